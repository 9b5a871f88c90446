"""Capture and guards put back after somebody took a part of them away, in either direction (H38): `swap prepare`.

What was written meanwhile is in no queue, so it is looked for, as after a lost slot: the triggers first, under an instant
of ACCESS EXCLUSIVE, behind which no writer is in flight that they missed; then one comparison of both sides, whose
differing keys are queued like any other. A step in the journal says that this is still to be done, so that whoever kills
it in between has to run it again. References have no queue: `swap verify` compares every pair.
"""

from __future__ import annotations

from cutover.prepared_exchange import table_no_and_generation
from swap.catalog.load import read_structure
from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.lock_retries import LockBudget, with_locks
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.statement import AX, Statement, script
from swap.ddl.capture import capture_functions
from swap.ddl.compat import reference_triggers
from swap.ddl.exchange import live_objects
from swap.ddl.fence import fence_function
from swap.ddl.guards import reference_guards
from swap.ddl.phases import trigger_functions
from swap.ddl.replication import create_publication, drop_publication, publication_name, publish
from swap.plan.direction import Direction, table_mapping
from swap.plan.model import Plan
from swap.prepare.drift import watched_tables
from swap.state.journal import Journal, Phase, Run
from swap.sync.logical.restart import lost, queue_differing, restart_capture
from verify.capture import current_faults, own_trigger
from verify.published import publication_faults

MISSED = "queue what was missed"
COMPLETE = (Phase.SYNCING, Phase.CUT_OVER)  # before them the maintained side has not been filled: `abort` costs less


def to_put_back(conn: Connection, journal: Journal, run: Run) -> str | None:
    """Why capture has to begin again; None while it is as it was made."""
    if reason := lost(conn, run):
        return reason
    if run.phase not in COMPLETE:
        return None
    if journal.step_done(run.id, MISSED):
        return "Capture was put back, and what was missed before is not queued yet."
    found = current_faults(journal, run)
    return "; ".join(f.detail for f in found) or None


def capture_again(database: Database, journal: Journal, run: Run, config: Config, report: Reporter) -> None:
    """The caller holds the worker. Raises LockError, RefusedError."""
    conn, plan = journal.conn, run.plan
    if run.phase in COMPLETE:
        tables = {_root(plan, f.table) for f in current_faults(journal, run)}
        if tables:
            report.note(f"putting triggers back on {', '.join(map(str, sorted(tables)))}")
            _put_back(journal, run, config, tables)
    if run.mode == "logical":
        if lost(conn, run) or journal.step_done(run.id, MISSED):
            restart_capture(database, journal, run, config, report)
            journal.forget_step(run.id, MISSED)
        return
    if journal.step_done(run.id, MISSED):
        report.note("comparing both sides for what was missed")
        with conn.transaction():
            count = conn.execute(queue_differing(plan, table_mapping(plan, run.direction))).rowcount
            journal.forget_step(run.id, MISSED)
            journal.event(run.id, "capture", f"was put back; {count} keys differ and are queued")


def _put_back(journal: Journal, run: Run, config: Config, tables: set[TableName]) -> None:
    """Triggers with their functions; of logical capture the publication, for which a new slot is made then: decoding looks
    a publication up as it was at each change."""
    conn, plan = journal.conn, run.plan
    publication: list[Statement] = []
    if run.mode == "logical" and publication_faults(conn, plan, run.direction):
        publication = [drop_publication(plan), create_publication(plan), *publish(plan, plan.source, run.direction)]
    triggers = [s for t in sorted(tables) for s in _triggers(plan, t, run.direction)]
    again = [*(s.reversed() for s in reversed(triggers)), *_functions(journal, run), *triggers, *publication]

    def body() -> None:
        conn.execute(script(again))
        if plan.source in tables:
            journal.mark_step(run.id, MISSED)
        journal.update_run(run.id, verified=None)
        journal.event(run.id, "capture", f"put back on {', '.join(map(str, sorted(tables)))}")
        _record_own(conn, journal, run)

    with_locks(conn, sorted(tables), AX, LockBudget(config.cutover.lock_timeout_ms, config.cutover.max_attempts), body)


def _record_own(conn: Connection, journal: Journal, run: Run) -> None:
    """In the recorded structure what was put back, as it is now, and nothing else: whatever somebody changed besides goes on
    being drift. There the triggers of partitions have numbers, and one that was gone when the build ended is missing."""
    published_in = f"publication {publication_name(run.plan)} "

    def own(line: str) -> bool:
        return own_trigger(line) is not None or line.startswith(published_in)

    kept = [x for x in journal.baseline(run.id) or [] if not own(x[1])]
    now = [x for x in read_structure(conn, watched_tables(conn, run.plan)) if own(x[1])]
    journal.update_run(run.id, baseline=[list(x) for x in sorted({*kept, *now})])


def _triggers(plan: Plan, table: TableName, way: Direction) -> list[Statement]:
    if table == plan.source:
        published_here = publish(plan, table, way) if plan.mode == "logical" else []
        return [s for s in live_objects(plan, table, way) if s not in published_here]
    refs = [r.columns for r in plan.references if r.table == table]
    guards = [s for ref in refs for s in reference_guards(plan, ref, table, way)]
    return [*guards, *(s for ref in refs for s in reference_triggers(plan, ref, way))]


def _functions(journal: Journal, run: Run) -> list[Statement]:
    """All of them, then those that say which change table is in use and which exchange was the last."""
    table_no, following = table_no_and_generation(journal, run)
    return [
        *trigger_functions(run.plan),
        *capture_functions(run.plan, run.direction, table_no),
        fence_function(run.plan, following - 1 or None),
    ]


def _root(plan: Plan, table: TableName) -> TableName:
    """The table with the reference, of which `table` may be a partition."""
    for ref in plan.references:
        if table in {t.name for t in plan.catalog.table(ref.table).partitions}:
            return ref.table
    return table
