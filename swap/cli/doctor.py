"""`swap doctor`: run every preflight check; with --trial build the whole target schema."""

from __future__ import annotations

from pathlib import Path

from swap.cli.output import print_lines
from swap.cli.results import conclude
from swap.cli.session import active, opened
from swap.cli.terminal import print_checks
from swap.core.errors import RefusedError
from swap.doctor.examine import examine
from swap.doctor.trial.build import trial_findings


def work(dsn: str | None, config: Path | None, *, trial: bool, show_queries: bool, as_json: bool) -> int:
    with opened("doctor", dsn, config) as s:
        then = "swap status" if s.run and active(s.run) else "swap plan"
        findings = examine(s.journal.conn, s.config, trial=trial_findings if trial else None, show_queries=show_queries)
    rows = [{"name": f.name, "status": f.status, "object": f.object, "detail": f.detail, "hint": f.hint} for f in findings]
    blockers = [r for r in rows if r["status"] == "blocker"]
    error = None
    if blockers:
        first = blockers[0]
        error = RefusedError(f"{len(blockers)} blockers, the first is {first['name']} of {first['object']}.", hint=first["hint"])
    if not as_json:
        print_checks(rows)
        print_lines([f"{len(rows)} checks, {len(blockers)} blockers, {sum(r['status'] == 'warning' for r in rows)} warnings"])
    return conclude({"checks": rows} | ({} if blockers else {"next": then}), error, as_json=as_json)
