"""`swap finalize`: the only command that destroys. `swap abort`: removes what `swap` added before a cutover.

Both are steps of `Statement`s through the lock ladder, table by table; each step can be repeated, so a killed
command is simply run again.
"""

from __future__ import annotations

from cutover.finalize_checks import check_finalize
from swap.core.advisory_locks import only_operator, taking_over
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.errors import PhaseError
from swap.core.lock_retries import LockBudget, with_locks
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.statement import Step, script
from swap.ddl.replication import SLOT
from swap.ddl.teardown import abort_steps, finalize_steps
from swap.plan.model import Plan
from swap.prepare.slot import end_slot
from swap.state.journal import Journal, Phase, Run
from swap.sync.logical.switch import forget_logical


def finalize(conn: Connection, journal: Journal, run: Run, config: Config, report: Reporter, *, drop_legacy: bool) -> None:
    """Raises PhaseError before a cutover, RefusedError while something else needs what goes."""
    if run.phase not in (Phase.CUT_OVER, Phase.FINALIZED):
        raise PhaseError(
            f"Nothing can be finalized: the run is {run.phase.public}.", hint="`swap cutover` first; then let it bake."
        )
    with only_operator(conn, run.plan.tag), taking_over(conn, run.plan.tag):
        run = journal.get(run.id)
        first = run.phase is Phase.CUT_OVER  # afterwards a column of an old name is somebody else's
        check_finalize(conn, run.plan, config, drop_legacy=drop_legacy, compat=first)
        _run(conn, run.plan, config, report, finalize_steps(run.plan, drop_legacy=drop_legacy, compat=first))
        forget_logical(journal, run)
        if run.phase is Phase.CUT_OVER:
            with conn.transaction():
                journal.move(run, Phase.FINALIZED)
                journal.event(run.id, "finalized", f"retired table dropped{', integer columns too' if drop_legacy else ''}")


def way_back(phase: Phase) -> str:
    """What there is in place of an abort, from the cutover on."""
    if phase is Phase.CUT_OVER:
        return "`swap revert` goes back first; then abort."
    return "The retired table is gone: restore from the snapshot (RUNBOOK.md, 'Restoring')."


def abort(conn: Connection, journal: Journal, run: Run, config: Config, report: Reporter) -> None:
    """Raises PhaseError after a cutover."""
    if run.phase in (Phase.CUT_OVER, Phase.FINALIZED):
        raise PhaseError(
            f"An abort is not possible: the run is {run.phase.public}.",
            hint=way_back(run.phase),
        )
    with only_operator(conn, run.plan.tag), taking_over(conn, run.plan.tag):
        run = journal.get(run.id)
        if run.phase is Phase.ABORTED:
            return
        _run(conn, run.plan, config, report, abort_steps(run.plan))
        forget_logical(journal, run)
        with conn.transaction():
            journal.move(run, Phase.ABORTED)
            journal.event(run.id, "aborted", "everything that was added is removed")


def _run(conn: Connection, plan: Plan, config: Config, report: Reporter, steps: list[Step]) -> None:
    budget = LockBudget(config.cutover.lock_timeout_ms, config.cutover.max_attempts)
    for step in steps:
        report.note(f"removing: {step.name}")
        if step.name == SLOT:
            end_slot(conn, plan)
            continue
        tables = [t for t in step.tables if _exists(conn, t)]
        if step.tables and not tables:
            continue

        def body(step: Step = step) -> None:
            conn.execute(script(step.statements))

        if tables:
            with_locks(conn, tables, step.lock, budget, body)
        else:
            with conn.transaction():
                body()


def _exists(conn: Connection, name: TableName) -> bool:
    row = conn.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        [name.schema, name.name],
    ).fetchone()
    return row is not None
