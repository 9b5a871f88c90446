"""The lock that `plan` and every dry run print above a statement is not weaker than the one that it takes."""

from __future__ import annotations

from collections.abc import Iterable

from cutover.prepared_exchange import cutover_exchange, revert_exchange
from swap.core.connection import Connection
from swap.core.statement import BLOCKS, Statement, Step
from swap.ddl.teardown import abort_steps, finalize_steps
from tests.cutover.test_lock_retries import SCHEMA
from tests.support.migration import Synced
from tests.support.servers import Database


def _as_held(lock: str) -> str:
    """The mode under its name in pg_locks."""
    return lock.title().replace(" ", "") + "Lock"


WEAKEST_FIRST = [_as_held(lock) for lock in BLOCKS]  # no lock comes before all modes
HELD = (
    "SELECT c.relname::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
    " WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p')"
)


def held(conn: Connection, table: str) -> int:
    return max((WEAKEST_FIRST.index(mode) for name, mode in conn.execute(HELD) if name == table), default=0)


def understated(conn: Connection, statements: Iterable[Statement]) -> list[str]:
    """The statements that take a stronger lock on their own table than they say. Runs them in the caller's transaction."""
    out = []
    for s in statements:
        before = held(conn, s.table.name) if s.table else 0
        conn.execute(s.sql)
        if s.table and s.lock and held(conn, s.table.name) > max(before, WEAKEST_FIRST.index(_as_held(s.lock))):
            out.append(s.text)
    return out


def _of(steps: list[Step]) -> list[Statement]:
    return [s for step in steps for s in step.statements if s.transactional]


def test_no_statement_takes_more_than_it_says(synced: Synced, database: Database) -> None:
    """I2: of the exchange there and back, of `finalize` and of `abort`; each list in a transaction of its own."""
    m = synced(database, SCHEMA)
    with m.conn.transaction(force_rollback=True):
        assert understated(m.conn, _of(abort_steps(m.plan))) == []
    with m.conn.transaction():
        assert understated(m.conn, cutover_exchange(m.plan).statements) == []
    with m.conn.transaction(force_rollback=True):
        assert understated(m.conn, revert_exchange(m.plan).statements) == []
    with m.conn.transaction(force_rollback=True):
        assert understated(m.conn, _of(finalize_steps(m.plan, drop_legacy=True))) == []
