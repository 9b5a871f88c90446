"""Begins capture again after a slot was lost, gone, or found ahead of the journal (H13).

Nothing tells which changes were missed, so both sides are compared. A new slot comes first; then an instant of SHARE ROW
EXCLUSIVE on the live table, under which every writer that the new slot does not stream is visible; then one comparison,
whose differing keys are queued like any other. Nothing is copied again. Until the keys are queued the step `slot` is not in
the journal, and no stream begins.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.connection import Connection
from swap.core.lock_retries import with_locks
from swap.ddl.change_tables import change_table
from swap.ddl.replication import SLOT
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from swap.prepare.slot import make_slot
from swap.state.journal import Phase, Run
from swap.state.migration import Migration
from swap.sync.logical.position import CaptureLostError, check_journalled

OVER = (Phase.PREPARING, Phase.FINALIZED, Phase.ABORTED)


def lost(conn: Connection, run: Run) -> str | None:
    """Why capture has to begin again; None in trigger mode, and while the slot agrees with the journal."""
    if run.mode != "logical" or run.phase in OVER:
        return None
    try:
        check_journalled(conn, run.plan, run.id)
    except CaptureLostError as e:
        return e.message
    return None


def restart_capture(migration: Migration) -> int:
    """Returns how many keys differ and were queued. The caller holds the worker. Raises LockError, RefusedError."""
    conn, journal, run, report = migration.conn, migration.journal, migration.run, migration.report
    journal.forget_step(run.id, SLOT)
    report.note("capture begins again: a new replication slot")
    make_slot(migration, journalled=False)
    with_locks(conn, [run.plan.source], "SHARE ROW EXCLUSIVE", migration.budget, lambda: None)
    report.note("comparing both sides for what was missed")
    with conn.transaction():
        count = conn.execute(queue_differing(run.plan, migration.mapping)).rowcount
        journal.update_run(run.id, verified=None)
        journal.mark_step(run.id, SLOT)
        journal.event(run.id, "capture", f"began again after its slot was lost; {count} keys differ and are queued")
    return count


def queue_differing(plan: Plan, d: TableMapping) -> sql.Composed:
    """INSERT of every key whose rows are not the same image, or that one side alone has. One statement, one snapshot."""
    written = [m for m in d.columns if m.written]
    comma = sql.SQL(", ")
    return sql.SQL(
        "INSERT INTO {changes} (key) SELECT coalesce(a.k, b.k)"
        " FROM (SELECT s.{ok} AS k, ROW({values})::record AS r FROM ONLY {origin} s) a"
        " FULL JOIN (SELECT t.{tk} AS k, ROW({columns})::record AS r FROM ONLY {target} t) b ON a.k = b.k"
        " WHERE a.k IS NULL OR b.k IS NULL OR a.r *<> b.r"
    ).format(
        changes=change_table(plan, 0).sql,
        ok=sql.Identifier(d.origin_key),
        values=comma.join(d.value(m) for m in written),
        origin=d.origin.sql,
        tk=sql.Identifier(d.target_key),
        columns=comma.join(sql.Identifier("t", m.target) for m in written),
        target=d.target.sql,
    )
