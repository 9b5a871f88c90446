"""While a long statement runs, its progress and the sessions that it waits for are reported."""

from __future__ import annotations

import pytest

from swap.core.blockers import reporting_waits
from swap.core.connection import Database as Conninfo
from swap.core.report import Silent
from tests.support.migration import background
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

BARRIER = 7
SLOW = f"""
CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n;
CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    WHILE NOT pg_try_advisory_xact_lock({BARRIER}) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN n; END $$
"""


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def waiting(self, reason: str) -> None:
        self.lines.append(reason)

    def working(self, what: str) -> None:
        self.lines.append(what)


@pytest.mark.parametrize("waits", [False, True])
def test_a_long_statement(database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    """H33: an index build of an hour is not an hour without a line. An empty line ends the report."""
    monkeypatch.setattr("swap.core.blockers.ASK_EVERY_S", 0.02)
    monkeypatch.setattr("swap.core.blockers.SAY_EVERY_S", 0.1)
    holder = connect(database.superuser)
    holder.execute(SLOW)
    said = Said()
    conninfo = Conninfo.from_options(database.superuser, "test")
    with conninfo.session("build") as conn:
        if waits:
            holder.execute("BEGIN; LOCK TABLE t")
            expected = f"pid {holder.info.backend_pid}"
        else:
            holder.execute("SELECT pg_advisory_lock(%s)", [BARRIER])
            expected = "building index: scanning table, "

        def build() -> None:
            with reporting_waits(conninfo, conn, "CREATE INDEX i", said):
                conn.execute("CREATE INDEX i ON public.t (public.slow(n))")

        def release() -> None:
            holder.execute("COMMIT" if waits else "SELECT pg_advisory_unlock_all()")

        with background(build, release) as running:
            line = wait_until(lambda: next((x for x in said.lines if expected in x), ""), what=f"a line with {expected}")
            assert line.startswith("CREATE INDEX i waits for" if waits else "CREATE INDEX i, ")
            release()
            running.result(30)
        assert said.lines[-1] == ""
