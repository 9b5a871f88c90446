"""`swap finalize`: the only command that destroys. It removes the retired table, capture, and what else is needed only for a
revert, table by table, with lock retries. Each step can be repeated, so a command that was killed is run again."""

from __future__ import annotations

from cutover.finalize_checks import check_finalize
from cutover.teardown import remove
from cutover.what_goes import WhatGoes
from swap.core.errors import PhaseError
from swap.ddl.older_guards import drop_completing
from swap.ddl.teardown import finalize_steps
from swap.state.journal import Phase
from swap.state.migration import Migration
from swap.state.missing import Begun
from swap.sync.exact_reads import drop
from swap.sync.logical.switch import forget_logical


def finalize(migration: Migration, *, drop_legacy: bool) -> WhatGoes:
    """What is gone. Raises PhaseError before a cutover, RefusedError while another object needs what goes."""
    conn, locks, phase = migration.conn, migration.locks, migration.run.phase
    if phase not in (Phase.CUT_OVER, Phase.FINALIZED):
        raise PhaseError(f"Nothing can be finalized: the run is {phase.public}.", hint="`swap cutover` first; then let it bake.")
    with locks.only_operator(), locks.taking_over():
        run = migration.reload()
        first = run.phase is Phase.CUT_OVER  # afterwards a column of an old name is not ours
        found = check_finalize(migration, drop_legacy=drop_legacy, compat=first)
        older = drop_completing(run.plan, migration.journal.baseline(run.id) or ())
        drop(migration, migration.budget)
        retired, *rest = finalize_steps(run.plan, drop_legacy=drop_legacy, compat=first)
        remove(migration, [retired, *older, *rest], Begun.FINALIZE)
        forget_logical(migration)
        if first:
            with conn.transaction():
                migration.journal.move(run, Phase.FINALIZED)
                dropped = f"retired table dropped{', integer columns too' if drop_legacy else ''}"
                migration.journal.event(run.id, "finalized", "; ".join([dropped, *found.lines()]))
    return found
