"""Begins capture again after a slot was lost, gone, or found ahead of the journal (H13).

Nothing tells which changes were missed, so both sides are compared. A new slot comes first; then an instant of SHARE ROW
EXCLUSIVE on each live table, under which every writer that the new slot does not stream is visible; then one comparison of each,
whose differing keys are queued like any other. Nothing is copied again. Until the keys are queued the step `slot` is not in
the journal, and no stream begins.

What nothing shows any more: the uuid of a row that was born and deleted meanwhile, after the cutover. References that name it
name nobody then.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from swap.core.connection import Connection
from swap.core.lock_retries import with_locks
from swap.core.sql_text import Query
from swap.ddl.change_tables import queue_rows
from swap.ddl.replication import SLOT
from swap.plan.direction import TableMapping
from swap.plan.lookups import lookups
from swap.plan.model import Plan
from swap.plan.row_keys import COMMA, equal, origin_columns, target_columns
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
    for t in run.plan.swapped:  # one after the other: no writer waits for more than one of them
        with_locks(conn, [t.name], "SHARE ROW EXCLUSIVE", migration.budget, lambda: None)
    report.note("comparing both sides for what was missed")
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        count = sum(conn.execute(queue_differing(run.plan, d)).rowcount for d in migration.mappings)
        journal.unverify(run.id)
        journal.mark_step(run.id, SLOT)
        journal.event(run.id, "capture", f"began again after its slot was lost; {count} keys differ and are queued")
    return count


def queue_differing(plan: Plan, d: TableMapping) -> sql.Composed:
    """INSERT of every key of a table whose rows are not the same image, or that one side alone has. One statement, one snapshot.

    After the cutover the retired table may not have the uuid of a row of the source. So a row whose uuid is not the one that the
    mapping tells is queued too."""
    written = [m for m in d.columns if m.written]
    names = [sql.Identifier(f"k{n}") for n in range(len(d.key))]
    a, b = ([sql.Identifier(alias, f"k{n}") for n in range(len(d.key))] for alias in "ab")
    extra: Query = sql.SQL("")
    unmapped = sql.SQL("")
    if d.origin_uuid and not d.target_uuid:
        told = lookups(plan, forward=True, to_uuid=True).value(sql.Identifier("s", d.origin_key), None)
        extra = sql.SQL(", s.{} IS DISTINCT FROM {} AS unmapped").format(sql.Identifier(d.origin_uuid), told)
        unmapped = sql.SQL(" OR a.unmapped")
    rows = sql.SQL(
        "SELECT {keys} FROM (SELECT {origin_key}, ROW({values})::record AS r{extra} FROM {origin} s) a"
        " FULL JOIN (SELECT {target_key}, ROW({columns})::record AS r FROM {target} t) b ON {same}"
        " WHERE a.k0 IS NULL OR b.k0 IS NULL OR a.r *<> b.r{unmapped}"
    ).format(
        keys=COMMA.join(sql.SQL("coalesce({}, {})").format(*pair) for pair in zip(a, b, strict=True)),
        origin_key=_named(origin_columns(d, "s"), names),
        values=COMMA.join(d.value(m) for m in written),
        extra=extra,
        origin=d.origin_rows,
        target_key=_named(target_columns(d, "t"), names),
        columns=COMMA.join(sql.Identifier("t", m.target) for m in written),
        target=d.target_rows,
        same=equal(a, b),
        unmapped=unmapped,
    )
    return queue_rows(plan, d.number, d.key, rows)


def _named(columns: Sequence[sql.Composable], names: Sequence[sql.Composable]) -> sql.Composed:
    return COMMA.join(sql.SQL("{} AS {}").format(c, n) for c, n in zip(columns, names, strict=True))
