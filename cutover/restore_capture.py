"""Puts capture and guards back after another session took a part of them away, in either direction (H38): `swap prepare`.

Changes that were written meanwhile are in no queue, so both sides are compared, as after a lost slot. The triggers come
first, under an instant of ACCESS EXCLUSIVE, behind which no writer is in flight that they missed. Then one comparison
of each swapped table queues the differing keys like any other. A step in the journal notes that this is still to be done, so a
call that was killed in between has to be made again. References in place have no queue: `swap verify` compares every pair.
"""

from __future__ import annotations

from swap.catalog.load import read_structure
from swap.core.lock_retries import with_locks
from swap.core.names import TableName
from swap.core.statement import AX, Statement, script
from swap.ddl.replication import create_publication, drop_publication, publication_name, publish
from swap.ddl.restore import functions_of, triggers_of
from swap.plan.model import Plan
from swap.prepare.drift import recorded, watched_tables
from swap.state.journal import Phase
from swap.state.migration import Migration
from swap.sync.logical.restart import lost, queue_differing, restart_capture
from swap.sync.take_over import take_over
from verify.capture import current_faults, own_trigger
from verify.published import publication_faults

MISSED = "queue what was missed"
COMPLETE = (Phase.SYNCING, Phase.CUT_OVER)  # before them the maintained side has not been filled: `abort` costs less


def capture_faults(migration: Migration) -> str | None:
    """Why capture has to begin again; None while it is as it was made."""
    run = migration.run
    if reason := lost(migration.conn, run):
        return reason
    if run.phase not in COMPLETE:
        return None
    if migration.journal.step_done(run.id, MISSED):
        return "Capture was put back, and what was missed before is not queued yet."
    found = current_faults(migration.journal, run)
    return "; ".join(f.detail for f in found) or None


def restore_capture(migration: Migration) -> None:
    """The caller holds the worker. Raises LockError, RefusedError."""
    conn, journal, run, report = migration.conn, migration.journal, migration.run, migration.report
    take_over(migration)
    if run.phase in COMPLETE:
        tables = {_root(run.plan, f.table) for f in current_faults(journal, run)}
        if tables:
            report.note(f"putting triggers back on {', '.join(map(str, sorted(tables)))}")
            _put_back(migration, tables)
    if run.mode == "logical":
        if lost(conn, run) or journal.step_done(run.id, MISSED):
            restart_capture(migration)
            journal.forget_step(run.id, MISSED)
        return
    if journal.step_done(run.id, MISSED):
        report.note("comparing both sides for what was missed")
        with conn.transaction():
            count = sum(conn.execute(queue_differing(run.plan, d)).rowcount for d in migration.mappings)
            journal.forget_step(run.id, MISSED)
            journal.event(run.id, "capture", f"was put back; {count} keys differ and are queued")


def _put_back(migration: Migration, tables: set[TableName]) -> None:
    """Triggers with their functions; of logical capture the publication. A new slot is made for it then, because decoding
    looks a publication up as it was at each change."""
    conn, journal, run, plan = migration.conn, migration.journal, migration.run, migration.plan
    publication: list[Statement] = []
    if run.mode == "logical" and publication_faults(conn, plan, run.direction):
        publication = [drop_publication(plan), create_publication(plan)]
        publication += [s for t in plan.swapped for s in publish(plan, t, run.direction)]
    generation = journal.capture.generation(plan.tag)
    triggers = [s for t in sorted(tables) for s in triggers_of(plan, t, run.direction, fenced=generation > 0)]
    functions = functions_of(plan, run.direction, journal.capture.table_no(run.id), generation)
    again = [*(s.reversed() for s in reversed(triggers)), *functions, *triggers, *publication]

    def body() -> None:
        conn.execute(script(again))
        if any(plan.swapped_table(t) for t in tables):
            journal.mark_step(run.id, MISSED)
        journal.unverify(run.id)
        journal.event(run.id, "capture", f"put back on {', '.join(map(str, sorted(tables)))}")
        _record_own(migration)

    with_locks(conn, sorted(tables), AX, migration.budget, body)


def _record_own(migration: Migration) -> None:
    """Record in the journalled structure what was put back, as it is now, and nothing else: any other change stays drift.
    The triggers of partitions have numbers there, and one that was gone when the build ended is missing."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    published_in = f"publication {publication_name(run.plan)} "

    def own(line: str) -> bool:
        return own_trigger(line) is not None or line.startswith(published_in)

    before = journal.baseline(run.id) or []
    kept = [x for x in before if not own(x[1])]
    found = recorded(run.plan, before, read_structure(conn, watched_tables(conn, run.plan)))
    now = [x for x in found if own(x[1])]
    journal.update_run(run.id, baseline=[list(x) for x in sorted({*kept, *now})])


def _root(plan: Plan, table: TableName) -> TableName:
    """The source, or the table with the reference; `table` may be a partition of it."""
    if table in {p.name for p in plan.swapped[0].partitions}:
        return plan.source
    for ref in plan.references:
        if table in {t.name for t in plan.catalog.table(ref.table).partitions}:
            return ref.table
    return table
