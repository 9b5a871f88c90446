"""A cutover over two hundred references is one script: the number of statements under the lock does not grow with them (I2). Nor does
that of the sessions that build them, and of the gates' statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from cutover.prepared_exchange import RECORD, STRUCTURE, cutover_exchange, prepare_exchange
from swap.ddl.exchange import exchange
from tests.support.cycling import Cycle
from tests.support.servers import Database, DatabaseServer

USERS = "CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 3);"
TABLE = (
    "CREATE TABLE r{0} (id serial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE);"
    "CREATE INDEX ON r{0} (user_id); INSERT INTO r{0} (user_id) VALUES (1), (2);"
)

MONITORED = "-- How many sessions wait"  # asked again and again while an attempt runs
LOOKS = 2  # at the files of the change tables, where there are many
PER_TABLE = 3  # statements of a cutover beside its script: a key is looked at and validated


@dataclass
class Sent:
    """Every statement of this process with its session, in order; and the greatest number of locks at a COMMIT."""

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
    """The statements of the attempt that succeeds, from its LOCK TABLE to its COMMIT. On a busy machine others come before it."""
    pid = next(p for p, s in sent if _asks_for_the_lock(s))
    mine = [s for p, s in sent if p == pid]
    end = mine.index("COMMIT")
    begin = max(n for n, s in enumerate(mine[:end]) if _asks_for_the_lock(s))
    return mine[begin : end + 1]


def _asks_for_the_lock(statement: str) -> bool:
    return statement.startswith("LOCK TABLE") and "EXCLUSIVE" in statement


def scans(cycle: Cycle) -> list[int]:
    """How often the queries for the structure's fingerprint scan each large catalog. They run under the lock."""
    m = cycle.m
    prepare_exchange(m, cutover_exchange(m.plan), exact=False)
    count = (
        "SELECT pg_stat_get_xact_numscans(c) FROM unnest('{pg_class,pg_attribute,pg_type,pg_constraint,pg_depend}'::regclass[]) c"
    )
    with m.conn.transaction():
        before = m.conn.execute(count).fetchall()  # the session has not reported these yet
        m.conn.execute(STRUCTURE)
        m.conn.execute(RECORD)
        after = m.conn.execute(count).fetchall()
    return [b[0] - a[0] for a, b in zip(before, after, strict=True)]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("in_place", [False, True], ids=["rebuilt", "in-place"])
def test_two_hundred_references(
    server: DatabaseServer, new_database: Callable[[str], Database], sent: Sent, in_place: bool
) -> None:
    counts, exchanged, sessions, around = [], [], [], []
    for references in (2, 200):
        ddl = USERS + "".join(TABLE.format(n) for n in range(references))
        cycle = Cycle(server, new_database("template1"), ddl, in_place=in_place)
        sent.statements.clear()
        cycle.m.synced()
        sessions.append(len({pid for pid, _ in sent.statements}))
        cycle.verified()
        exchanged.append(len(exchange(cycle.m.plan)))
        assert max(scans(cycle)) <= 2  # at most once in each statement, never once for each table
        sent.statements.clear()
        assert cycle.exchange("cutover").outcome == "committed"
        counts.append(len(under_the_lock(sent.statements)))
        around.append(len([s for _, s in sent.statements if not s.startswith(MONITORED)]))
        assert cycle.foreign_keys() == cycle.flags
        cycle.m.conn.close()
        (estimated,) = [int(f.detail.split("about ")[1].split()[0]) for f in cycle.findings if f.name == "lock-table"]
        assert sent.locks <= estimated < 2 * sent.locks  # an estimate of `doctor`, which must not be too low
    assert counts[0] <= counts[1] <= counts[0] + LOOKS
    assert counts[1] < 30
    assert sessions[1] <= sessions[0] + 1
    if not in_place:  # there each column becomes NOT NULL in a transaction of its own
        assert around[1] - around[0] <= 198 * PER_TABLE
    # For each of them the server rebuilds its cached description of a table.
    assert exchanged[1] - exchanged[0] <= 198 * (9 if in_place else 25)
