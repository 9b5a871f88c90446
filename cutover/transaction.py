"""The cutover transaction, in either direction: journal, locks, fingerprint, drain, comparison, script, COMMIT.

One attempt is one transaction (invariant 5). Its locks are asked for in one LOCK TABLE, at once in ACCESS EXCLUSIVE
(an upgrade deadlocks), in the order in which applications take theirs (see `lock_statements`). In logical mode a barrier
is committed by another session while the lock is held, and the stream passes it before the drain (H10): nobody can have
written after it, and under the lock every writer is visible, not only committed (H9). How long its locks may be held:
`cutover/hold.py`.

Everybody waits for what is done under the locks, so it is as little as can be, in few round trips: on a machine that is
busy each of them costs as much as a statement. What the journal says and what can be made beforehand (`cutover/prepared_exchange.py`)
comes first. The journal's rows hold up nobody but another command that would write to this run's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

from cutover.attempt_monitor import Watch
from cutover.compare import refuse_differences
from cutover.gates import Verified, refuse_changed
from cutover.hold import Hold, HoldExceededError
from cutover.prepared_exchange import STRUCTURE, Exchange, Ready
from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.errors import NOTHING_CHANGED, UnknownOutcomeError, UnreachableError
from swap.core.lock_retries import acquire, local_timeout
from swap.core.snapshot import Snapshot
from swap.plan.direction import TableMapping, table_mapping
from swap.plan.model import Plan
from swap.prepare.drift import difference, refuse_drift
from swap.state.journal import Journal, Run
from swap.sync.follow_up import SETTLED, UNFILLED
from swap.sync.logical.barrier import OwnFence, barrier
from swap.sync.replay import CONFLICT, take
from verify.changed_keys import touched_keys


@dataclass(frozen=True)
class Exchanged:
    """A committed exchange. Times in milliseconds; `locked_ms` from the lock's grant to the commit's acknowledgement."""

    lock_wait_ms: float
    locked_ms: float
    drained: int
    compared: int
    xid: str


def attempt(
    conn: Connection, journal: Journal, run: Run, ready: Ready, config: Config, verified: Verified,
    compare_from: Snapshot, watch: Watch, fence: OwnFence | None = None,
) -> Exchanged:  # fmt: skip
    """One attempt. Raises psycopg's lock errors, HoldExceededError, RefusedError (drift), DifferenceError,
    UnknownOutcomeError; whatever is raised, nothing was changed (but for the last, which says so)."""
    plan, d = run.plan, table_mapping(run.plan, run.direction)
    wait_ms, hold_ms = config.cutover.lock_timeout_ms, config.cutover.max_lock_hold_ms
    conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    hold: Hold | None = None
    try:
        xid = _journal(conn, journal, run, ready.what, wait_ms)
        asked = time.monotonic()
        acquire(conn, ready.locks, wait_ms, Hold.timers(hold_ms))
        hold = Hold(hold_ms)
        watch.granted(hold)
        last = hold.wait_for(lambda: barrier(fence.conn)) if fence else 0
        now = conn.execute(STRUCTURE).fetchall()
        refuse_drift(difference(ready.structure, now), "it was last recorded", NOTHING_CHANGED)
        refuse_changed(conn, run, verified.snapshot)
        if fence and not fence.stream.wait_past(last, hold.patience_s()):
            raise HoldExceededError
        drained = _drain(conn, plan, d, run)
        compared = refuse_differences(conn, d, touched_keys(conn, plan, compare_from))
        conn.execute(hold.renewed(ready.script))
        hold.wait_for(watch.flush)
        hold.check()
    except psycopg.errors.QueryCanceled:
        _rollback(conn)
        if hold is None or hold.left_ms() > 0:  # somebody cancelled it
            raise
        raise HoldExceededError from None
    except psycopg.errors.InternalError_ as e:
        _rollback(conn)
        if "tuple concurrently" not in str(e):  # updated or deleted: not translated, src/backend/access/heap/heapam.c
            raise
        # Somebody replaced what is about to be moved, and his commit came while this waited for him. Next time it is drift.
        raise psycopg.errors.LockNotAvailable("an object was changed meanwhile") from None
    except HoldExceededError:
        _rollback(conn)
        if conn.closed:  # the tool was too slow to notice: the server has ended the session
            raise psycopg.errors.IdleInTransactionSessionTimeout("the session was ended") from None
        raise
    except BaseException:
        _rollback(conn)
        raise
    watch.committing()
    _commit(conn, xid)
    done = time.monotonic()
    return Exchanged((hold.granted - asked) * 1000, (done - hold.granted) * 1000, drained, compared, xid)


def _drain(conn: Connection, plan: Plan, d: TableMapping, run: Run) -> int:
    """To empty: under the lock nobody adds to the queue."""
    try:
        with conn.transaction():
            return take(conn, plan, d, run.id, None, two_pass=False).entries
    except CONFLICT:
        with conn.transaction():
            return take(conn, plan, d, run.id, None, two_pass=True).entries


def _journal(conn: Connection, journal: Journal, run: Run, what: Exchange, wait_ms: int) -> str:
    """What is so if this transaction commits. Returns its id."""
    conn.execute(local_timeout("lock_timeout", wait_ms))
    journal.move(run, what.after, verified=None)
    journal.forget_step(run.id, SETTLED)
    if any(v.kind == "m" and v.populated for v in run.plan.catalog.views):
        journal.mark_step(run.id, UNFILLED)
    return journal.attempts.committed(run.id, what.kind)


def _rollback(conn: Connection) -> None:
    if not conn.closed and not conn.broken:
        try:
            conn.rollback()
        except psycopg.Error:
            conn.close()


def _commit(conn: Connection, xid: str) -> None:
    """COMMIT. When its acknowledgement is lost, the outcome is asked for by `resolve`, never guessed."""
    try:
        conn.execute("COMMIT")
    except psycopg.Error:
        conn.close()
        raise UnknownOutcomeError(xid) from None


def resolve(database: Database, schema: str, run: Run, xid: str, patience_s: float = 30.0) -> bool | None:
    """Whether the exchange of transaction `xid` committed: True, False, or None when the server cannot be asked within
    `patience_s`.

    The journal's row is what decides: it was written in that transaction, so it is there if and only if that committed.
    pg_xact_status only says when to look. It cannot decide: an id whose records a crash took with it is handed out
    again, and then tells another transaction's fate.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            with database.session("outcome") as conn:
                if not _in_progress(conn, xid):
                    return Journal(conn, schema).attempts.has(run.id, xid)
        except (UnreachableError, psycopg.Error):
            pass
        time.sleep(0.25)
    return None


def _in_progress(conn: Connection, xid: str) -> bool:
    """Whether the server still runs it: its backend may not have noticed that its client is gone."""
    try:
        row = conn.execute("SELECT pg_xact_status(%s::text::xid8)", [xid]).fetchone()
    except psycopg.errors.InvalidParameterValue:  # "transaction ID … is in the future": a crash took it with it
        return False
    return row is not None and row[0] == "in progress"
