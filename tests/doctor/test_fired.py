"""The trial fires the application's triggers on copies (H27, H28): what works today and fails after the cutover is a finding, and nothing of
the application's is touched. The findings are those of the case `refused_trigger_fired`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.trial.build import trial_findings
from swap.doctor.trial.fire import Firing, Outcome
from tests.support.fixture_run import DIRECTORY
from tests.support.migration import install
from tests.support.servers import Database
from tests.support.waiting import wait_for_lock_wait

SCHEMA = (DIRECTORY / "refused_trigger_fired" / "before.sql").read_text(encoding="utf-8")
SEQUENCES = "SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"


def findings(database: Database, **application: Any) -> dict[str, Finding]:
    config = Config.model_validate({"source": {"table": "public.users"}, "application": application})
    with closing(Conninfo.from_options(database.owner, "fired").connect()) as conn:
        return {f.object.removeprefix("public."): f for f in examine(conn, config, trial=trial_findings) if f.name == "trial"}


HELD = """
SELECT DISTINCT c.relname::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = %s AND n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1
"""


def held_between_firings(conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Fills with what the trial's session holds of the application's tables before each firing."""
    held: list[list[str]] = []
    fire = Firing._fire

    def seen(self: Firing, *event: Any) -> Outcome:
        held.append([name for (name,) in conn.execute(HELD, [self.conn.info.backend_pid])])
        return fire(self, *event)

    monkeypatch.setattr(Firing, "_fire", seen)
    return held


@pytest.fixture
def fired(database: Database) -> Database:
    install(database, SCHEMA)
    return database


def test_what_firing_says_and_touches(fired: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is locked that an application writes, no sequence moves and nobody is notified: another session holds the rows and tables
    meanwhile. A table is locked by the firing that reads it, and not until the trial ends."""
    with closing(psycopg.connect(fired.superuser)) as other, closing(psycopg.connect(fired.superuser, autocommit=True)) as conn:
        conn.execute("LISTEN told")
        held = held_between_firings(conn, monkeypatch)
        sequences = conn.execute(SEQUENCES).fetchall()
        other.execute("LOCK TABLE audit, totals, sessions, users IN SHARE ROW EXCLUSIVE MODE; SELECT FROM totals FOR UPDATE")
        found = findings(fired)
        assert conn.execute(SEQUENCES).fetchall() == sequences
        assert list(conn.notifies(timeout=0)) == []
        assert len(held) > 20
        assert max(held) == []
        assert conn.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'rows_%' OR relname = 'numbers'").fetchone() == (1,)
    blockers = {o: f.detail for o, f in found.items() if f.status == "blocker" and f.acceptable}
    assert blockers.keys() == {"users.audited", "users.in_public", "sessions.remembered", "sessions.helped", "looked_up(bigint)"}
    assert "on INSERT, UPDATE, DELETE: " in blockers["users.audited"]
    assert "bigint" in blockers["users.audited"]
    assert "22P02" in blockers["sessions.remembered"]
    assert "looked_up(uuid) does not exist" in blockers["sessions.helped"]
    warned = {o: f.detail for o, f in found.items() if f.status == "warning"}
    assert warned.keys().isdisjoint({"counted()", "told()"})
    assert "nobody wrote" in warned["who()"]
    assert "[application] settings" in warned["who()"]
    assert "computes the name of the sequence" in warned["counted_on()"]
    assert "EXCEPTION WHEN OTHERS" in warned["silent()"]
    assert "pg_advisory_lock, whose effect" in warned["locked()"]
    assert "at run time (EXECUTE)" in warned["made()"]
    assert "WHEN did not hold" in warned["never()"]


def test_nobody_waits_for_the_firing(fired: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """H59: given a migration of the application's that waits for a table that a view reads: no other trigger is fired."""
    fire, done = Firing._fire, list[Any]()
    with (
        closing(psycopg.connect(fired.owner, autocommit=True)) as other,
        closing(psycopg.connect(fired.superuser, autocommit=True)) as conn,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("CREATE TABLE orders (n int); CREATE VIEW both_of AS SELECT u.email, o.n FROM users u CROSS JOIN orders o")

        def fire_beside(self: Firing, *event: Any) -> Outcome:
            if self.before is not None and not done:
                done.append(pool.submit(other.execute, "ALTER TABLE orders ADD more int"))
                wait_for_lock_wait(conn, other.info.backend_pid)
            return fire(self, *event)

        monkeypatch.setattr(Firing, "_fire", fire_beside)
        found = findings(fired)
        done[0].result(60)
    assert sum("another session waited for a lock of the trial" in f.detail for f in found.values()) > 1


def test_the_application_s_settings(fired: Database) -> None:
    assert "who()" not in findings(fired, settings={"app.who": "me"})


def test_without_firing(fired: Database) -> None:
    found = findings(fired, fire_triggers=False)
    assert "users.audited" not in found
    assert "not checked" in found["counted()"].detail
