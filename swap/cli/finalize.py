"""`swap finalize`: drop the retired table and capture. No other command destroys."""

from __future__ import annotations

from pathlib import Path

from cutover.finalize import finalize
from cutover.finalize_checks import check_finalize
from swap.cli.results import done
from swap.cli.session import confirm, opened
from swap.cli.statements import print_statements, trap
from swap.core.errors import PhaseError
from swap.ddl.teardown import finalize_steps
from swap.plan.model import Plan
from swap.state.journal import Phase


def work(dsn: str | None, config: Path | None, *, drop_legacy: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    with opened("finalize", dsn, config, writes=not dry_run) as s:
        run = s.need_run("finalize")
        if run.phase not in (Phase.CUT_OVER, Phase.FINALIZED):
            raise PhaseError(
                f"Nothing can be finalized: the run is {run.phase.public}.",
                hint="The run was aborted." if run.phase is Phase.ABORTED else "`swap cutover` first; then let it bake.",
            )
        first = run.phase is Phase.CUT_OVER
        found = check_finalize(s.migration(run), drop_legacy=drop_legacy, compat=first)
        if dry_run:
            steps = finalize_steps(run.plan, drop_legacy=drop_legacy, compat=first)
            command = f"swap finalize{' --drop-legacy' if drop_legacy else ''}"
            statements = [*trap(s, run), *(st for step in steps for st in step.statements)]
            print_statements(statements, command, as_json=as_json)
            return
        if yes:
            s.report.note("; ".join(found.lines()))
        confirm(_question(run.plan, drop_legacy=drop_legacy, first=first), yes=yes, first=found.lines())
        found = finalize(s.migration(run), drop_legacy=drop_legacy)
    integers = ", and the integer columns" if drop_legacy else ""
    done(as_json, {"phase": "finalized", **found.document()}, f"finalized: {run.plan.retired} and capture are gone{integers}")


def _question(plan: Plan, *, drop_legacy: bool, first: bool) -> str:
    if drop_legacy:
        also = f"{plan.retired} and " if first else ""
        return f"Drop {also}every integer column for good? No integer of {plan.source} can be looked up after this."
    return f"Drop {plan.retired} for good? There is no revert after this."
