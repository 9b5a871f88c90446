"""`swap prepare`: builds everything up to live capture, in journalled steps that each commit whole.

Killed anywhere, the next call goes on at the first step without a journal row: a step and its row are one
transaction (invariant 4). Locks: ACCESS EXCLUSIVE for an instant where a column is added, SHARE ROW EXCLUSIVE
where a trigger is, both through the ladder.
"""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.errors import PhaseError
from swap.core.lock_retries import LockBudget, with_locks
from swap.core.report import Reporter
from swap.core.snapshot import Snapshot
from swap.core.statement import Step, script
from swap.ddl.phases import prepare_steps
from swap.ddl.replication import SLOT
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.prepare.slot import make_slot
from swap.state.journal import Journal, Phase, Run


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
