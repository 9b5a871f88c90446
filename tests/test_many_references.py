"""A cutover over two hundred references is one script: what is sent under the lock does not grow with them (I2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from cutover.exchange import exchange
from swap.core.catalog.load import read_structure
from swap.prepare.baseline import watched_tables
from tests.cycling import Cycle
from tests.fix_server import Database, DatabaseServer

USERS = "CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 3);"
TABLE = (
    "CREATE TABLE r{0} (id serial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE);"
    "CREATE INDEX ON r{0} (user_id); INSERT INTO r{0} (user_id) VALUES (1), (2);"
)


@dataclass
class Sent:
    """Every statement of this process with its session, in order; and the most locks held at a COMMIT."""

    statements: list[tuple[int, str]] = field(default_factory=list)
    locks: int = 0


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, server: DatabaseServer) -> Iterator[Sent]:
    log = Sent()
    execute = psycopg.Cursor.execute
    count = "SELECT count(*) FROM pg_locks WHERE pid = %s"
    with psycopg.connect(server.conninfo(), autocommit=True) as watcher:

        def logged(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            text = query if isinstance(query, str) else str(query) if isinstance(query, bytes) else query.as_string(self)
            pid = self.connection.info.backend_pid
            log.statements.append((pid, text))
            if text == "COMMIT":
                held = execute(watcher.cursor(), count, [pid]).fetchone()
                log.locks = max(log.locks, held[0] if held else 0)
            return execute(self, query, *args, **kwargs)

        monkeypatch.setattr(psycopg.Cursor, "execute", logged)
        yield log


def under_the_lock(sent: list[tuple[int, str]]) -> list[str]:
    """What one session sends from the exchange's LOCK TABLE to its COMMIT."""
    first, pid = next((n, p) for n, (p, s) in enumerate(sent) if s.startswith("LOCK TABLE") and "EXCLUSIVE" in s)
    mine = [s for p, s in sent[first:] if p == pid]
    return mine[: mine.index("COMMIT") + 1]


def scans_of_constraints(cycle: Cycle) -> int:
    """How often the structure's fingerprint, which is read twice under the lock, reads pg_constraint whole: it has no index
    on the table that a foreign key refers to."""
    conn = cycle.m.conn
    with conn.transaction():
        read_structure(conn, watched_tables(conn, cycle.m.plan))
        row = conn.execute("SELECT pg_stat_get_xact_numscans('pg_constraint'::regclass)").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.timeout(300)
def test_two_hundred_references(server: DatabaseServer, new_database: Callable[[str], Database], sent: Sent) -> None:
    counts, exchanged, scans = [], [], []
    for references in (2, 200):
        ddl = USERS + "".join(TABLE.format(n) for n in range(references))
        cycle = Cycle(server, new_database("template1"), ddl)
        cycle.m.synced()
        cycle.verified()
        exchanged.append(len(exchange(cycle.m.plan)))
        scans.append(scans_of_constraints(cycle))
        sent.statements.clear()
        assert cycle.exchange("cutover").outcome == "committed"
        counts.append(len(under_the_lock(sent.statements)))
        assert cycle.foreign_keys() == cycle.flags
        cycle.m.conn.close()
        (estimated,) = [int(f.detail.split("about ")[1].split()[0]) for f in cycle.findings if f.name == "lock-table"]
        assert sent.locks <= estimated < 2 * sent.locks  # `doctor` is not told by the server, and must not be wrong
    assert scans[1] < 50, scans  # not one for each table; of few tables, where it is small, the planner may do so
    assert counts[0] == counts[1]
    assert counts[1] < 30
    assert exchanged[1] - exchanged[0] <= 198 * 9  # each has the server build its picture of a table anew
