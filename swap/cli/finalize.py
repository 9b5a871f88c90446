"""`swap finalize`: drop the retired table and capture. No other command destroys."""

from __future__ import annotations

import sys
from pathlib import Path

from cutover.finalize import finalize
from cutover.finalize_checks import check_finalize
from swap.cli.left_behind import left_behind
from swap.cli.question import ask_removal
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
        question = _question(run.plan, drop_legacy=drop_legacy, first=first)
        if yes or not sys.stdin.isatty():
            confirm(question, yes=yes)
        else:
            ask_removal(s, run, question, found.lines(), word=str(run.source) if drop_legacy else None)
        found = finalize(s.migration(run), drop_legacy=drop_legacy)
        left = left_behind(s.journal, run)
        s.events.tell("finalized", f"{run.source} is finalized: {run.plan.retired} and capture are gone{_integers(drop_legacy)}.")
    document = {"phase": "finalized", **found.document(), **left.document()}
    said = [f"finalized: {run.plan.retired} and capture are gone{_integers(drop_legacy)}", *left.lines()]
    if drop_legacy:
        said.append("the space of the dropped columns comes back as rows are written anew, or with VACUUM FULL or pg_repack")
    done(as_json, document, "\n".join(said))


def _integers(drop_legacy: bool) -> str:
    return ", and the integer columns" if drop_legacy else ""


def _question(plan: Plan, *, drop_legacy: bool, first: bool) -> str:
    if drop_legacy:
        also = f"{plan.retired} and " if first else ""
        return f"Drop {also}every integer column for good? No integer of {plan.source} can be looked up after this."
    return f"Drop {plan.retired} for good? There is no revert after this."
