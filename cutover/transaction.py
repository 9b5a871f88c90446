"""The cutover transaction, in either direction: locks, fingerprint, drain, comparison, script, journal, COMMIT.

One attempt is one transaction (invariant 5). Its locks are asked for in one LOCK TABLE, at once in ACCESS EXCLUSIVE
(an upgrade deadlocks), in the order in which applications take theirs (see `lock_statement`). In logical mode a barrier
is committed by another session while the lock is held, and the stream passes it before the drain (H10): nobody can have
written after it, and under the lock every writer is visible, not only committed (H9). How long its locks may be held:
`cutover/hold.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa
from psycopg import sql

from cutover.compare import refuse_differences
from cutover.exchange import exchange
from cutover.hold import Hold, HoldExceededError
from cutover.set_aside import WORDS
from cutover.watch import Watch
from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.direction import Direction, direction
from swap.core.errors import NOTHING_CHANGED, UnknownOutcomeError, UnreachableError
from swap.core.journal import Journal, Phase, Run
from swap.core.ladder import acquire
from swap.core.plan import Plan
from swap.core.snapshot import Snapshot
from swap.core.statement import Statement, script, undo_all
from swap.core.text import Query, verbatim
from swap.prepare import objects
from swap.prepare.baseline import drift, refuse_drift, store_baseline
from swap.sync.logical.fence import OwnFence, barrier
from swap.sync.replay import CONFLICT, take
from swap.sync.settle import SETTLED, UNFILLED
from verify.touched import touched_keys


@dataclass(frozen=True)
class Exchanged:
    """A committed exchange. Times in milliseconds; `locked_ms` from the lock's grant to the commit's acknowledgement."""

    lock_wait_ms: float
    locked_ms: float
    drained: int
    compared: int
    xid: str


@dataclass(frozen=True)
class Exchange:
    """What differs between cutover and revert: the statements, the phase they lead to, the direction after them."""

    kind: str
    statements: tuple[Statement, ...]
    before: Phase
    after: Phase
    next_direction: str


def cutover_exchange(plan: Plan) -> Exchange:
    return Exchange("cutover", tuple(exchange(plan)), Phase.SYNCING, Phase.CUT_OVER, "reverse")


def revert_exchange(plan: Plan) -> Exchange:
    return Exchange("revert", tuple(undo_all(exchange(plan))), Phase.CUT_OVER, Phase.SYNCING, "forward")


def lock_statements(plan: Plan, kind: str) -> list[Query]:
    """Views, then one LOCK TABLE of every table involved, in a fixed order.

    Views come first, topmost first: a reader holds its view before it asks for the tables under it. LOCK TABLE on a
    view would lock every table under it as well, and refuses a materialized view; giving it the owner it has takes
    the same lock on it alone, and changes nothing. Then the
    source: applications reach its children through it, in the same transaction, far more often than the other
    way round, and a lock order that opposes theirs is refused again and again (seen under load: seconds of
    attempts with the source last, well under one with it first).
    """
    views = [
        sql.SQL("ALTER {} {} OWNER TO {}").format(verbatim(WORDS[v.kind]), v.name.sql, sql.Identifier(v.owner))
        for v in reversed(plan.catalog.views)
    ]
    others = [t.sql for t in plan.locked_tables if t != plan.source]
    maintained = plan.shadow if kind == "cutover" else plan.retired
    names = sql.SQL(", ").join([plan.source.sql, *others, maintained.sql])
    return [*views, sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names)]


def closing_statements(plan: Plan, what: Exchange, slot: int, generation: int) -> list[Statement]:
    """What the exchange changes in the state schema, in the same script."""
    fence = sql.SQL("UPDATE {} SET generation = {} WHERE tag = {}").format(
        sql.Identifier(plan.state_schema, "fence"), sql.Literal(generation), sql.Literal(plan.tag)
    )
    return [
        *objects.capture_functions(plan, what.next_direction, slot),
        objects.fence_function(plan, generation),
        Statement(fence, "snapshots of before the exchange are told to retry"),
    ]


def attempt(
    conn: Connection, journal: Journal, run: Run, what: Exchange, config: Config, compare_from: Snapshot,
    watch: Watch, fence: OwnFence | None = None,
) -> Exchanged:  # fmt: skip
    """One attempt. Raises psycopg's lock errors, HoldExceededError, RefusedError (drift), DifferenceError,
    UnknownOutcomeError; whatever is raised, nothing was changed (but for the last, which says so)."""
    plan, d = run.plan, direction(run.plan, run.direction)
    body = script(what.statements).as_bytes(conn)  # two hundred references are 400 kB of text: written before the lock
    locks = lock_statements(plan, what.kind)
    asked = time.monotonic()
    conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    hold: Hold | None = None
    try:
        acquire(conn, locks, config.cutover.lock_timeout_ms)
        hold = Hold(conn, config.cutover.max_lock_hold_ms)
        watch.granted(hold)
        hold.renew()
        last = barrier(fence.conn) if fence else 0
        refuse_drift(drift(conn, journal, run), "it was last recorded", NOTHING_CHANGED)
        if fence and not fence.stream.wait_past(last, hold.left_ms() / 1000):
            raise HoldExceededError
        drained = _drain(conn, plan, d, run)
        compared = refuse_differences(conn, d, touched_keys(conn, plan, compare_from))
        hold.renew()
        xid = _script(conn, journal, run, what, body)
        hold.renew()
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


def _drain(conn: Connection, plan: Plan, d: Direction, run: Run) -> int:
    """To empty: under the lock nobody adds to the queue. Deferred constraints are checked here, not at COMMIT."""
    try:
        with conn.transaction():
            taken = take(conn, plan, d, run.id, None, two_pass=False).entries
    except CONFLICT:
        with conn.transaction():
            taken = take(conn, plan, d, run.id, None, two_pass=True).entries
    if taken:
        conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return taken


def _script(conn: Connection, journal: Journal, run: Run, what: Exchange, body: bytes) -> str:
    """The whole exchange in one round trip (`body` is its statements' text), then its journal rows."""
    slot, generation = slot_and_generation(journal, run)
    conn.execute(body + b";\n" + script(closing_statements(run.plan, what, slot, generation)).as_bytes(conn))
    journal.move(run, what.after)
    journal.forget_step(run.id, SETTLED)
    if any(v.kind == "m" and v.populated for v in run.plan.catalog.views):
        journal.mark_step(run.id, UNFILLED)
    journal.update_run(run.id, verified=None)
    store_baseline(conn, journal, run)
    row = journal.execute(
        sa.insert(journal.t["attempt"])
        .values(run_id=run.id, kind=what.kind, outcome="committed", xid=sa.text("pg_current_xact_id()::text"))
        .returning(journal.t["attempt"].c.xid)
    )
    return str(row[0][0])


def slot_and_generation(journal: Journal, run: Run) -> tuple[int, int]:
    """The change table in use, and the number of the exchange that is about to be made."""
    capture, fence = journal.t["capture"], journal.t["fence"]
    slot = journal.execute(sa.select(capture.c.active).where(capture.c.run_id == run.id))[0][0]
    generation = journal.execute(sa.select(fence.c.generation).where(fence.c.tag == run.plan.tag))[0][0]
    return slot, generation + 1


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
                    journal = Journal(conn, schema)
                    row = sa.select(journal.t["attempt"].c.id).where(
                        journal.t["attempt"].c.run_id == run.id, journal.t["attempt"].c.xid == xid
                    )
                    return bool(journal.execute(row))
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
