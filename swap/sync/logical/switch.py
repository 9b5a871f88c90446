"""Another mode of capture for a prepared run: the new one is live before the old one stops (`swap prepare --mode`).

To logical: publication and slot first; then, under ACCESS EXCLUSIVE for an instant, the triggers go and the mode changes
in one transaction. Who wrote before it was captured by the triggers, who writes after it commits after the slot began.
To triggers: they are installed under that lock; then the stream passes a barrier, so that it has delivered everyone who
wrote before them; then the mode changes, and slot and publication go. Killed anywhere, the same call does it again.
"""

from __future__ import annotations

from swap.core.config import Config
from swap.core.connection import Database
from swap.core.errors import PhaseError
from swap.core.lock_retries import LockBudget, with_locks
from swap.core.report import Reporter
from swap.core.statement import AX, Statement, script
from swap.ddl import capture as objects
from swap.ddl import guards as own_triggers
from swap.ddl.replication import SLOT, create_publication, drop_publication, publish
from swap.plan.direction import Direction
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.prepare.slot import end_slot, make_slot
from swap.state.journal import Journal, Phase, Run
from swap.sync.logical.barrier import streaming

ALLOWED = (Phase.PREPARED, Phase.BACKFILLING, Phase.SYNCING)


def switch_mode(database: Database, journal: Journal, run: Run, to: str, config: Config, report: Reporter) -> Run:
    """The run in its new mode. The caller holds the worker. Raises PhaseError, RefusedError, LockError."""
    if run.phase not in ALLOWED:
        raise PhaseError(
            f"The mode of capture cannot be changed: the run is {run.phase.public}.",
            hint="`swap revert` goes back first, or leave the mode as it is.",
        )
    refuse_drift(foreign_drift(journal.conn, journal, run), "it was last recorded")
    budget = LockBudget(config.cutover.lock_timeout_ms, config.cutover.max_attempts)
    if to == "logical":
        _to_logical(database, journal, run, budget, report)
    else:
        _to_triggers(database, journal, run, budget)
    journal.event(run.id, "mode", f"capture is {to}")
    return journal.get(run.id)


def _triggers(run: Run) -> list[Statement]:
    return own_triggers.capture_triggers(run.plan, run.plan.source, Direction.FORWARD)


def _to_logical(database: Database, journal: Journal, run: Run, budget: LockBudget, report: Reporter) -> None:
    conn, plan = journal.conn, run.plan
    journal.forget_step(run.id, SLOT)
    end_slot(conn, plan)
    with conn.transaction():
        conn.execute(script([drop_publication(plan), create_publication(plan), *publish(plan, plan.source, Direction.FORWARD)]))
        journal.event(run.id, "mode", "published")
    make_slot(conn, journal, run, report, database)

    def change() -> None:
        conn.execute(script([s.reversed() for s in reversed(_triggers(run))]))
        _note(journal, run, "logical")

    with_locks(conn, [plan.source], AX, budget, change)


def _to_triggers(database: Database, journal: Journal, run: Run, budget: LockBudget) -> None:
    conn, plan = journal.conn, run.plan
    table_no = journal.capture.table_no(run.id)
    triggers = _triggers(run)
    install = [*(s.reversed() for s in triggers), *objects.capture_functions(plan, Direction.FORWARD, table_no), *triggers]

    def change() -> None:
        conn.execute(script(install))
        journal.event(run.id, "mode", "triggers installed")

    with_locks(conn, [plan.source], AX, budget, change)
    with streaming(database, plan, run.id) as fence:
        if fence is not None:
            fence.close_up()
    with conn.transaction():
        conn.execute(drop_publication(plan).sql)
        journal.forget_step(run.id, SLOT)
        _note(journal, run, "trigger")
    forget_logical(journal, journal.get(run.id))


def forget_logical(journal: Journal, run: Run) -> None:
    """Slot and publication of a run that captures by triggers, if a change of mode, perhaps one that was killed, left them:
    the server is asked, because a slot is there before its journal row."""
    if run.mode != "trigger":
        return
    end_slot(journal.conn, run.plan)
    with journal.conn.transaction():
        journal.conn.execute(drop_publication(run.plan).sql)
        journal.capture.end_stream(run.id)


def _note(journal: Journal, run: Run, mode: str) -> None:
    journal.update_run(run.id, mode=mode)
    store_baseline(journal.conn, journal, run)
