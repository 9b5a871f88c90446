"""`swap prepare`: builds everything up to live capture, in journalled steps that each commit whole.

Killed anywhere, the next call goes on at the first step without a journal row: a step and its row are one
transaction (invariant 4). Locks: ACCESS EXCLUSIVE for an instant where a column is added, SHARE ROW EXCLUSIVE
where a trigger is, both through the ladder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.errors import PhaseError
from swap.core.lock_retries import LockBudget, with_locks
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.snapshot import Snapshot
from swap.core.statement import Statement, script
from swap.ddl import capture as objects
from swap.ddl import guards as own_triggers
from swap.ddl.compat import add_compat_column, compat_functions, reference_triggers
from swap.ddl.references import add_identity, add_reference_column
from swap.ddl.replication import create_publication, create_slot, publish
from swap.ddl.shadow import create_shadow
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.prepare.slot import STEP as SLOT
from swap.prepare.slot import make_slot
from swap.state.journal import Journal, Phase, Run


@dataclass(frozen=True)
class Step:
    """A journalled step: its statements run in one transaction, under `lock` on `tables` when it names any."""

    name: str
    statements: tuple[Statement, ...]
    tables: tuple[TableName, ...] = ()
    lock: str = ""


def trigger_functions(plan: Plan) -> list[Statement]:
    """Every trigger function of both directions, as before the first exchange."""
    functions = [objects.truncate_function(plan), objects.fence_function(plan, None)]
    for way in Direction:
        functions += [*objects.capture_functions(plan, way, 0), objects.source_guard_function(plan, way)]
        for ref in plan.references:
            functions += objects.reference_functions(plan, ref.columns, way)
    for own in plan.own_references:
        functions += objects.reference_functions(plan, own, Direction.REVERSE)
    return [*functions, *compat_functions(plan)]


def prepare_steps(plan: Plan) -> list[Step]:
    """Every step of `prepare`, in order: what `plan --sql` prints and what runs."""
    steps = []
    if plan.identity_added:
        steps.append(Step("identity", tuple(add_identity(plan)), (plan.source,), "ACCESS EXCLUSIVE"))
    steps.append(Step("queue", (*objects.change_tables(plan), *trigger_functions(plan))))
    logical = plan.mode == "logical"
    if logical:
        steps.append(Step("publication", (create_publication(plan), *publish(plan, plan.source, Direction.FORWARD))))
        steps.append(Step(SLOT, (create_slot(plan),)))
    # The lock of this step is needed in logical mode too: transactions that committed before the slot's beginning are
    # not streamed, and under it every one that wrote is not only committed but visible, so that the copy sees it (H9).
    capture = [
        *([] if logical else own_triggers.capture_triggers(plan, plan.source, Direction.FORWARD)),
        *own_triggers.source_guards(plan, plan.source, Direction.FORWARD),
        own_triggers.fence_trigger(plan, plan.source),
    ]
    steps.append(Step("capture", tuple(capture), (plan.source,), "SHARE ROW EXCLUSIVE"))
    for ref in plan.references:
        column = add_reference_column(plan, ref)
        column += add_compat_column(ref.columns)
        guards = [
            *own_triggers.reference_guards(plan, ref.columns, ref.table, Direction.FORWARD),
            *reference_triggers(plan, ref.columns, Direction.FORWARD),
        ]
        lock = "ACCESS EXCLUSIVE" if column else "SHARE ROW EXCLUSIVE"
        steps.append(Step(f"reference {ref.columns.number}", (*column, *guards), (ref.table,), lock))
    steps.append(Step("shadow", tuple(create_shadow(plan))))
    return steps


def resume_prepare(
    conn: Connection, journal: Journal, run: Run, config: Config, report: Reporter, database: Database | None = None
) -> Run:
    """Run what is left of `prepare` and move the run to `prepared`. Raises LockError after the ladder's budget.

    `database`: for a second session that says whom the replication slot waits for.
    """
    if run.phase is not Phase.PREPARING:
        raise PhaseError(f"The run is {run.phase.value}; there is nothing to prepare.")
    plan = run.plan
    budget = LockBudget(config.cutover.lock_timeout_ms, config.cutover.max_attempts)
    for step in prepare_steps(plan):
        if journal.step_done(run.id, step.name):
            continue
        report.note(f"prepare: {step.name}")
        if step.name == SLOT:
            make_slot(conn, journal, run, report, database)
            continue
        run_step(conn, journal, run, step, budget, report, _after(conn, journal, run, step))
    with conn.transaction():
        refuse_drift(foreign_drift(conn, journal, run), "the plan was made")
        store_baseline(conn, journal, run)
        journal.move(run, Phase.PREPARED)
        journal.event(run.id, "prepared", "capture is live; the shadow is empty")
    return journal.get(run.id)


def run_step(
    conn: Connection, journal: Journal, run: Run, step: Step, budget: LockBudget, report: Reporter,
    after: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Execute a step and journal it in one transaction."""

    def body() -> None:
        if step.statements:
            conn.execute(script(step.statements))
        after()
        journal.mark_step(run.id, step.name)

    if not step.tables:
        with conn.transaction():
            body()
        return
    with_locks(
        conn, step.tables, step.lock, budget, body,
        lambda n, e: report.waiting(f"{step.lock} on {step.tables[0]} was not free (attempt {n})"),
    )  # fmt: skip
    report.waiting("")


def _after(conn: Connection, journal: Journal, run: Run, step: Step) -> Callable[[], None]:
    """Capture begins with its watermark: the snapshot of the transaction that installs the trigger, no writer in flight."""

    def watermark() -> None:
        row = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
        assert row is not None
        table = sql.Identifier(journal.schema, "capture")
        conn.execute(
            sql.SQL("INSERT INTO {} (run_id, watermark) VALUES ({}, {})").format(
                table, sql.Literal(run.id), sql.Literal(str(Snapshot.parse(row[0])))
            )
        )

    return watermark if step.name == "capture" else lambda: None
