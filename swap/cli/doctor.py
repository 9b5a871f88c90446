"""`swap doctor`: run every preflight check, and build the whole target schema, empty, unless --no-trial."""

from __future__ import annotations

from pathlib import Path

from swap.cli.output import print_lines
from swap.cli.results import conclude
from swap.cli.session import active, opened
from swap.cli.terminal import print_checks
from swap.core.errors import RefusedError
from swap.core.units import counted
from swap.doctor.examine import examine
from swap.doctor.trial.build import trial_findings


def work(dsn: str | None, config: Path | None, *, trial: bool, show_all: bool, show_queries: bool, as_json: bool) -> int:
    with opened("doctor", dsn, config) as s:
        then = "swap status" if s.run and active(s.run) else "swap plan"
        findings = examine(s.journal.conn, s.config, trial=trial_findings if trial else None, show_queries=show_queries)
    rows = [{"name": f.name, "status": f.status, "object": f.object, "detail": f.detail, "hint": f.hint} for f in findings]
    blockers = [r for r in rows if r["status"] == "blocker"]
    error = None
    if blockers:
        first = blockers[0]
        error = RefusedError(
            f"{counted(len(blockers), 'blocker')}, the first is {first['name']} of {first['object']}.", hint=first["hint"]
        )
    if not as_json:
        print_checks(rows, fold=not show_all)
        warnings = counted(sum(r["status"] == "warning" for r in rows), "warning")
        print_lines([f"{counted(len(rows), 'check')}, {counted(len(blockers), 'blocker')}, {warnings}"])
    return conclude({"checks": rows} | ({} if blockers else {"next": then}), error, as_json=as_json)
