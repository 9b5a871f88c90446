"""The server's lock table is small, or somebody has filled it (max_locks_per_transaction; I1, I2, H33)."""

from __future__ import annotations

import psycopg
import pytest

import cutover.lock_table
from swap.core.connection import translate
from swap.core.errors import ExitCode, LockError, RefusedError
from swap.doctor.server import read_server
from tests.cutover.test_lock_retries import SCHEMA, reader
from tests.support.cycling import Cycle, Start
from tests.support.migration import Session, background
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait

NEVER = 60_000  # ms: the lock comes before


def fill(session: Session, leave: int) -> None:
    """Locks until the server has no room for another one, but for so many."""
    with pytest.raises(psycopg.errors.OutOfMemory) as full:
        session.execute("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 10000000) n")
    assert "max_locks_per_transaction" in (full.value.diag.message_hint or "")
    said = translate(full.value)
    assert (said.exit_code, "max_locks_per_transaction" in said.hint) == (ExitCode.REFUSED, True)
    session.execute("SELECT count(pg_advisory_unlock(n)) FROM generate_series(1::bigint, %s) n", [leave])


def test_no_room_in_the_lock_table(start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `cutover`, then of `revert`: nothing is changed, whenever it is found out, and it goes on when there is room."""
    cycle = start(SCHEMA, cutover={"max_attempts": 1, "lock_timeout_ms": NEVER, "max_lock_hold_ms": NEVER})
    cycle.ready()
    admin = connect(database.superuser)
    for kind in ("cutover", "revert"):
        before = cycle.dump()
        too_small(cycle, kind, monkeypatch)
        with psycopg.connect(database.superuser, autocommit=True) as crowd:
            filled_meanwhile(cycle, kind, crowd, reader(connect, database, "users"), admin)
            full_before_it_begins(cycle, kind, crowd)
            connect(database.app).execute("UPDATE users SET email = email || '!' WHERE email ~ 'user5'")
            crowd.execute("SELECT pg_advisory_unlock_all()")
        assert cycle.dump() == before
        assert cycle.exchange(kind).outcome == "committed"
        cycle.caught_up()
    assert admin.execute("SELECT count(*) FROM users WHERE email = 'user5!!'").fetchone() == (1,)


def too_small(cycle: Cycle, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate: exit code 3, by the estimate of `doctor`."""
    with monkeypatch.context() as patch:
        patch.setattr(cutover.lock_table, "read_server", lambda conn: read_server(conn)._replace(lock_slots=100))
        with pytest.raises(RefusedError, match=r"room for 100 \(max_locks_per_transaction\)") as refused:
            cycle.exchange(kind)
    assert "Raise max_locks_per_transaction" in refused.value.hint


def filled_meanwhile(cycle: Cycle, kind: str, crowd: Session, first: Session, admin: Session) -> None:
    """Given an attempt that has looked and waits for its locks, when another session fills the table, then the server
    refuses in the middle of the exchange (53200), which is exit code 4, and the line says who, and which setting."""
    with background(lambda: cycle.exchange(kind), first.rollback) as running:
        wait_for_lock_wait(admin, cycle.m.pid)
        fill(crowd, leave=15 if crowd.info.server_version >= 180000 else 60)  # before 18 few locks go by the fast path
        first.rollback()
        who = rf"lock table was full \(max_locks_per_transaction\), .*pid {crowd.info.backend_pid} "
        with pytest.raises(LockError, match=who) as refused:
            running.result(60)
    assert (refused.value.exit_code, "Nothing was changed" in refused.value.state) == (ExitCode.LOCK, True)
    held = "SELECT mode FROM pg_locks WHERE pid = %s AND mode = 'AccessExclusiveLock'"
    assert admin.execute(held, [cycle.m.pid]).fetchone() is None


def full_before_it_begins(cycle: Cycle, kind: str, crowd: Session) -> None:
    """No lock is asked for, so nobody else finds the table full."""
    with pytest.raises(LockError, match=rf"\(max_locks_per_transaction\) has room for .*pid {crowd.info.backend_pid} "):
        cycle.exchange(kind)
