"""`swap abort`: remove everything that `swap` added, before a cutover."""

from __future__ import annotations

import sys
from pathlib import Path

from cutover.abort import abort, way_back
from swap.cli.left_behind import left_behind
from swap.cli.question import added, ask_removal
from swap.cli.results import done
from swap.cli.session import confirm, opened
from swap.cli.statements import print_statements, trap
from swap.core.errors import PhaseError
from swap.ddl.teardown import abort_steps
from swap.state.journal import Phase


def work(dsn: str | None, config: Path | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    with opened("abort", dsn, config, writes=not dry_run) as s:
        run = s.need_run("abort")
        if run.phase in (Phase.CUT_OVER, Phase.FINALIZED):
            raise PhaseError(f"An abort is not possible: the run is {run.phase.public}.", hint=way_back(run.phase))
        if dry_run:
            statements = [*trap(s, run), *(st for step in abort_steps(run.plan) for st in step.statements)]
            print_statements(statements, "swap abort", as_json=as_json)
            return
        if run.phase is not Phase.ABORTED:
            question = f"Remove {run.plan.shadow} and everything else swap added?"
            if yes or not sys.stdin.isatty():
                confirm(question, yes=yes)
            else:
                ask_removal(s, run, question, added(run.plan))
            abort(s.migration(run))
        left = left_behind(s.journal, run)
    document = {"phase": "aborted", **left.document(), "next": "swap prepare"}
    said = [f"aborted: {run.source} and its references are as they were before prepare", *left.lines()]
    done(as_json, document, "\n".join(said))
