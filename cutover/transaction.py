"""The cutover transaction, in either direction: journal, locks, fingerprint, drain, comparison, script, COMMIT.

One attempt is one transaction (invariant 5). It asks for its locks in one LOCK TABLE, at once in ACCESS EXCLUSIVE (an
upgrade deadlocks), in the order in which applications take theirs (see `lock_statements`). In logical mode another session
commits a barrier while the lock is held, and the stream passes it before the drain (H10): no session can have written after
it, and under the lock every writer is visible, not only committed (H9). How long it may hold its locks: `cutover/hold.py`.

The application waits for the work under the locks, so it is as little as possible, in few round trips: on a busy machine
each of them costs as much as a statement. The journal's rows, and all that can be made beforehand
(`cutover/prepared_exchange.py`), come first. The journal's rows delay no session but another command on this run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from cutover.attempt_monitor import AttemptMonitor
from cutover.exact_reads import UnplannedReadersError, note_trap, raise_before, trap_script, unplanned_readers
from cutover.final_drain import Uncompared, compare_touched, touched
from cutover.gates import Verified, refuse_changed, refuse_rewritten, refuse_waiting
from cutover.hold import Hold, HoldExceededError
from cutover.prepared_exchange import PARTITIONS, STRUCTURE, Exchange, PreparedExchange
from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, RefusedError, UnknownOutcomeError, UnreachableError
from swap.core.lock_retries import acquire, local_timeout
from swap.ddl.made_again import unlike_before
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.plan.texts import FUNCTION
from swap.prepare.drift import difference, partition_names, refuse_drift
from swap.state.migration import Migration
from swap.sync.follow_up import SETTLED, UNFILLED
from swap.sync.logical.barrier import StreamBarrier, emit_barrier
from swap.sync.reference_pairs import settle_locked
from swap.sync.replay import CONFLICT, replay_batch


@dataclass(frozen=True)
class Exchanged:
    """A committed exchange. Times in milliseconds; `locked_ms` from the lock's grant to the commit's acknowledgement."""

    lock_wait_ms: float
    locked_ms: float
    drained: int
    compared: int
    xid: str


def attempt(
    migration: Migration, prepared: PreparedExchange, verified: Verified, todo: Uncompared, monitor: AttemptMonitor,
    barrier: StreamBarrier | None = None,
) -> Exchanged:  # fmt: skip
    """One attempt. Raises psycopg's lock errors, HoldExceededError, UnplannedReadersError, RefusedError (drift), DifferenceError,
    UnknownOutcomeError. After any of them nothing was changed; only after the last it is not known."""
    conn, config = migration.conn, migration.config
    wait_ms, hold_ms = config.cutover.lock_timeout_ms, config.cutover.max_lock_hold_ms
    if prepared.exact:
        raise_before(migration)
    conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    hold: Hold | None = None
    try:
        xid = _journal(migration, prepared.exchange)
        trapped = note_trap(migration, exact=prepared.exact)
        files = _compare_partitions(migration, prepared, verified, wait_ms)
        asked = time.monotonic()
        acquire(conn, prepared.locks, wait_ms, Hold.timers(hold_ms))
        hold = Hold(hold_ms)
        monitor.granted(hold)
        last = hold.wait_for(lambda: emit_barrier(barrier.conn)) if barrier else 0
        now = conn.execute(STRUCTURE).fetchall()
        changed = difference(prepared.structure, now, migration.direction)
        refuse_drift(changed, "it was last recorded", migration.direction, NOTHING_CHANGED)
        refuse_changed(conn, migration.run, verified.snapshot, partitions=False)
        refuse_rewritten(conn, files)
        if barrier and not barrier.stream.wait_past(last, hold.patience_s()):
            raise HoldExceededError
        to_compare = touched(migration, todo)
        drained = _drain(migration)
        settled = settle_locked(migration)
        refuse_waiting(migration)
        compared = compare_touched(migration, to_compare)
        trap = trap_script(migration, exact=prepared.exact, drained=drained + settled > 0, trapped=trapped)
        conn.execute(hold.renewed(b";\n".join(filter(None, [prepared.script, trap]))))
        _refuse_added(conn, prepared, migration.plan)
        hold.wait_for(monitor.flush)
        if prepared.exact:
            _refuse_unplanned(conn, monitor)
        hold.check()
    except psycopg.errors.QueryCanceled:
        _rollback(conn)
        if hold is None or hold.left_ms() > 0:  # another session cancelled it
            raise
        raise HoldExceededError from None
    except psycopg.errors.InternalError_ as e:
        _rollback(conn)
        if "tuple concurrently" not in str(e):  # updated or deleted: not translated, src/backend/access/heap/heapam.c
            raise
        # Another session replaced an object that is about to be moved, and committed while this waited. Next time it is drift.
        raise psycopg.errors.LockNotAvailable("an object was changed meanwhile") from None
    except HoldExceededError:
        _rollback(conn)
        if conn.closed:  # the tool was too slow to notice: the server has ended the session
            raise psycopg.errors.IdleInTransactionSessionTimeout("the session was ended") from None
        raise
    except BaseException:
        _rollback(conn)
        raise
    monitor.committing()
    _commit(conn, xid)
    done = time.monotonic()
    return Exchanged(
        lock_wait_ms=(hold.granted - asked) * 1000, locked_ms=(done - hold.granted) * 1000, drained=drained, compared=compared,
        xid=xid,
    )  # fmt: skip


def _compare_partitions(
    migration: Migration, prepared: PreparedExchange, verified: Verified, wait_ms: int
) -> Mapping[str, tuple[int, int]]:
    """The partitions of the source stay as they are from here to the end of the transaction. Returns the files that are compared under
    the locks. Raises RefusedError (drift), LockNotAvailable."""
    conn, files = migration.conn, verified.files
    if prepared.steady is None:
        return files
    acquire(conn, [prepared.steady], wait_ms)
    changed = difference(prepared.partitions, conn.execute(PARTITIONS).fetchall(), migration.direction)
    refuse_drift(changed, "it was last recorded", migration.direction, NOTHING_CHANGED)
    refuse_changed(conn, migration.run, verified.snapshot)
    refuse_rewritten(conn, files)
    parts = partition_names(migration.plan)
    return {name: file for name, file in files.items() if name not in parts}


def _refuse_unplanned(conn: Connection, monitor: AttemptMonitor) -> None:
    """Raises UnplannedReadersError. Asked last, so that next to no time is left in which another one may come."""
    if readers := unplanned_readers(conn, [monitor.session.info.backend_pid]):
        raise UnplannedReadersError(readers)


def _refuse_added(conn: Connection, prepared: PreparedExchange, plan: Plan) -> None:
    """Raises RefusedError where an event trigger has changed what the script made (H55)."""
    if not prepared.watched or prepared.exchange.next_direction is not Direction.REVERSE:
        return
    replaced = tuple(f"{t.table}(" for t in plan.texts if t.kind == FUNCTION and not t.in_place)  # they take other arguments
    before = [line for line in prepared.structure if not line[0].startswith(replaced)]
    if lines := unlike_before(before, conn.execute(STRUCTURE).fetchall()):
        raise RefusedError(
            f"What the cutover made again is not as it was: {'; '.join(lines)}.",
            state=NOTHING_CHANGED,
            hint="An event trigger, perhaps: `swap doctor` names each (`event-triggers`), with the statement that disables it. Run that, then"
            " `swap cutover`, and enable the trigger again.",
        )


def _drain(migration: Migration) -> int:
    """Until the queue is empty: under the lock no session adds to it."""
    try:
        with migration.conn.transaction():
            return replay_batch(migration, None, two_pass=False).entries
    except CONFLICT:
        with migration.conn.transaction():
            return replay_batch(migration, None, two_pass=True).entries


def _journal(migration: Migration, exchange: Exchange) -> str:
    """Write what holds if this transaction commits. Returns its id."""
    journal, run = migration.journal, migration.run
    migration.conn.execute(local_timeout("lock_timeout", migration.config.cutover.lock_timeout_ms))
    journal.move(run, exchange.after, verified=None)
    journal.forget_step(run.id, SETTLED)
    if any(v.kind == "m" and v.populated for v in run.plan.catalog.views):
        journal.mark_step(run.id, UNFILLED)
    return journal.attempts.committed(run.id, exchange.kind)


def _rollback(conn: Connection) -> None:
    if not conn.closed and not conn.broken:
        try:
            conn.rollback()
        except psycopg.Error:
            conn.close()


def _commit(conn: Connection, xid: str) -> None:
    """COMMIT. When its acknowledgement is lost, `resolve` asks for the outcome; it is never guessed. So too when a signal ends the
    wait for it."""
    try:
        conn.execute("COMMIT")
    except (psycopg.Error, KeyboardInterrupt):
        conn.close()
        raise UnknownOutcomeError(xid) from None


def resolve(migration: Migration, xid: str, patience_s: float = 30.0) -> bool | None:
    """Whether the exchange of transaction `xid` committed: True, False, or None when the server does not answer within
    `patience_s`.

    The journal's row decides: it was written in that transaction, so it is there if and only if that committed.
    pg_xact_status only tells when to look. It cannot decide: the server hands out again an id whose records a crash took
    with it, and then the id tells another transaction's fate.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            with migration.database.session("outcome") as conn:
                if not _in_progress(conn, xid):
                    return migration.on(conn).journal.attempts.has(migration.run.id, xid)
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
