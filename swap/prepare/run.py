"""`swap prepare`: builds everything up to live capture, in journalled steps that each commit whole.

After a kill, the next call goes on at the first step without a journal row: a step and its row are one transaction
(invariant 4). Locks: ACCESS EXCLUSIVE for an instant to add a column, SHARE ROW EXCLUSIVE to install a trigger, both with
lock retries.
"""

from __future__ import annotations

from collections.abc import Callable

from swap.core.errors import PhaseError
from swap.core.lock_retries import with_locks
from swap.core.statement import Step, script
from swap.ddl.likeness import Stage
from swap.ddl.phases import prepare_steps
from swap.ddl.replication import SLOT
from swap.prepare.drift import KEPT, foreign_drift, refuse_drift, store_baseline
from swap.prepare.likeness import refuse_unlike
from swap.prepare.slot import make_slot
from swap.state.journal import Phase, Run
from swap.state.migration import Migration


def resume_prepare(migration: Migration) -> Run:
    """Run what is left of `prepare` and move the run to `prepared`. Raises LockError after the last lock retry."""
    run, journal = migration.run, migration.journal
    if run.phase is not Phase.PREPARING:
        raise PhaseError(f"The run is {run.phase.value}; there is nothing to prepare.")
    done = journal.steps_done(run.id)
    for step in prepare_steps(run.plan):
        if step.name in done:
            continue
        on = f" on {step.tables[0]}" if step.tables and step.name[-1:].isdigit() else ""
        migration.report.note(f"prepare: {step.name.rstrip('0123456789 ') if on else step.name}{on}")
        if step.name == SLOT:
            make_slot(migration)
        elif _begins_capture(migration, step):
            run_step(migration, step, lambda: journal.capture.begin(run.id))
        else:
            run_step(migration, step)
    with migration.conn.transaction():
        refuse_drift(foreign_drift(migration), "the plan was made", migration.direction)
        refuse_unlike(migration.conn, migration.plan, Stage.EMPTY, KEPT)
        store_baseline(migration)
        journal.move(run, Phase.PREPARED)
        journal.event(run.id, "prepared", "capture is live; the shadow is empty")
    return migration.reload()


def _begins_capture(migration: Migration, step: Step) -> bool:
    """Whether the queue begins with this step, in the transaction that installs the triggers: no writer of the table is in flight, and a
    writer of another one is in the watermark. With triggers that is the first table's: every entry has to be due, for a copy by heap
    blocks leaves all rows with an entry to replay (seen: a row written between two tables' steps was neither copied nor replayed)."""
    if migration.plan.mode == "logical":
        return step.name == "capture"
    return step.name.startswith("capture") and migration.journal.capture.position(migration.run.id) is None


def run_step(migration: Migration, step: Step, after: Callable[[], None] | None = None) -> None:
    """Execute a step and journal it in one transaction; `after` its statements, in the same one."""
    conn, report = migration.conn, migration.report

    def body() -> None:
        if step.statements:
            conn.execute(script(step.statements))
        if after is not None:
            after()
        migration.journal.mark_step(migration.run.id, step.name)

    if not step.tables:
        with conn.transaction():
            body()
        return
    with_locks(
        conn, step.tables, step.lock, migration.budget, body,
        lambda n, e: report.waiting(f"{step.lock} on {step.tables[0]} was not free (attempt {n})"),
    )  # fmt: skip
    report.waiting("")
