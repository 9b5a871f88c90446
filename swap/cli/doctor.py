"""`swap doctor`: run every preflight check, and build the whole target schema, empty, unless --no-trial."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swap.cli.output import print_lines
from swap.cli.results import conclude
from swap.cli.session import active, opened
from swap.cli.terminal import print_checks
from swap.core.errors import RefusedError
from swap.core.units import counted
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.fixes import Fix, fixes, script
from swap.doctor.follow import folded
from swap.doctor.trial.build import trial_findings
from swap.doctor.undo import undo_of


@dataclass(frozen=True)
class Options:
    """`trial`: build the target schema. `show_all`: checks that are ok too. `fix_sql`: the script instead of the findings."""

    trial: bool
    show_all: bool
    show_queries: bool
    fix_sql: bool


def work(dsn: str | None, config: Path | None, options: Options, *, as_json: bool) -> int:
    with opened("doctor", dsn, config) as s:
        then = "swap status" if s.run and active(s.run) else "swap plan"
        trial = trial_findings if options.trial else None
        findings = examine(s.journal.conn, s.config, trial=trial, show_queries=options.show_queries)
        made = fixes(findings, str(s.config.source.name)) if options.fix_sql else []
        undo = undo_of(s.journal.conn, [f.sql for f in made])
    following = folded(findings)
    rows = [_row(f) for f in findings]
    error = _error(findings, following)
    if not as_json and options.fix_sql:
        print_lines(script(made, undo, findings))
    elif not as_json:
        print_checks([r | {"detail": _with_following(r, following)} for r in _folded(rows, following)], fold=not options.show_all)
        warnings = counted(sum(r["status"] == "warning" for r in rows), "warning")
        print_lines([f"{counted(len(rows), 'check')}, {_blockers(findings, following) or '0 blockers'}, {warnings}"])
    document: dict[str, Any] = {"checks": rows} | ({"fixes": [_fix(f, undo) for f in made]} if options.fix_sql else {})
    return conclude(document | ({} if error else {"next": then}), error, as_json=as_json)


def _row(f: Finding) -> dict[str, Any]:
    row = {"name": f.name, "status": f.status, "object": f.object, "detail": f.detail, "hint": f.hint}
    return row | ({"follows": f.follows} if f.follows else {})


def _fix(f: Fix, undo: dict[str, str]) -> dict[str, Any]:
    return {"sql": f.sql, "undo": undo.get(f.sql), "findings": list(f.findings), "offered": f.offered or None}


def _label(row: dict[str, Any]) -> str:
    return f"{row['name']}:{row['object']}"


def _folded(rows: list[dict[str, Any]], following: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [r for r in rows if not (r["status"] == "blocker" and _label(r) in following.get(r.get("follows", ""), ()))]


def _with_following(row: dict[str, Any], following: dict[str, list[str]]) -> str:
    more = following.get(_label(row), []) if row["status"] == "blocker" else []
    return f"{row['detail']}\n{_following(len(more))}: {', '.join(more)}" if more else str(row["detail"])


def _following(number: int) -> str:
    return f"{number} more {'follows' if number == 1 else 'follow'} from this one, or {'goes' if number == 1 else 'go'} with the same remedy"


def _blockers(findings: list[Finding], following: dict[str, list[str]]) -> str:
    """How many stand alone, and how many follow; empty where there is none."""
    all_of_them = sum(f.status == "blocker" for f in findings)
    follow = sum(map(len, following.values()))
    alone = counted(all_of_them - follow, "blocker")
    return "" if not all_of_them else f"{alone} and {follow} that follow" if follow else alone


def _error(findings: list[Finding], following: dict[str, list[str]]) -> RefusedError | None:
    first = next((f for f in findings if f.status == "blocker"), None)
    if first is None:
        return None
    return RefusedError(f"{_blockers(findings, following)}, the first is {first.name} of {first.object}.", hint=first.hint)
