"""`swap abort`: removes everything that `swap` added before a cutover, table by table, with lock retries. Each step can be
repeated, so a command that was killed is run again."""

from __future__ import annotations

from cutover.teardown import remove
from swap.core.errors import PhaseError
from swap.ddl.older_guards import drop_completing
from swap.ddl.teardown import abort_steps
from swap.state.journal import Phase
from swap.state.migration import Migration
from swap.state.missing import Begun
from swap.sync.exact_reads import drop
from swap.sync.logical.switch import forget_logical


def way_back(phase: Phase) -> str:
    """The hint in place of an abort, from the cutover on."""
    if phase is Phase.CUT_OVER:
        return "`swap revert` goes back first; then abort."
    return "The retired table is gone: restore from the snapshot (RUNBOOK.md, 'Restoring')."


def abort(migration: Migration) -> None:
    """Raises PhaseError after a cutover."""
    conn, locks, phase = migration.conn, migration.locks, migration.run.phase
    if phase in (Phase.CUT_OVER, Phase.FINALIZED):
        raise PhaseError(f"An abort is not possible: the run is {phase.public}.", hint=way_back(phase))
    with locks.only_operator(), locks.taking_over():
        run = migration.reload()
        if run.phase is Phase.ABORTED:
            return
        older = drop_completing(run.plan, migration.journal.baseline(run.id) or ())
        drop(migration, migration.budget)
        remove(migration, [*older, *abort_steps(run.plan)], Begun.ABORT)
        forget_logical(migration)
        with conn.transaction():
            migration.journal.move(run, Phase.ABORTED)
            migration.journal.event(run.id, "aborted", "everything that was added is removed")
