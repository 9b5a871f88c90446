"""`swap check`: whether a person has to look at the run. For a container's health and for monitoring: one line, and an exit code.

It reads what `swap status` reads, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swap.cli.results import conclude, done
from swap.cli.session import opened
from swap.cli.status import read_status
from swap.core.errors import RefusedError
from swap.core.pgbouncer import by_hand


def work(dsn: str | None, config: Path | None, *, as_json: bool) -> int:
    with opened("check", dsn, config, writes=False) as s:
        status = read_status(s)
    found = list(problems(status))
    document = {
        "healthy": not found,
        "problems": found,
        "phase": status["phase"],
        "run_id": status["run_id"],
        "next": status["next"],
    }
    if found:
        error = RefusedError("; ".join(found) + ".", hint="`swap status` shows all of it; RUNBOOK.md says what to do.")
        return conclude(document, error, as_json=as_json)
    done(as_json, document, f"healthy: phase {status['phase']}, {status['pending_changes']:,} changes pending")
    return 0


def problems(status: dict[str, Any]) -> Iterator[str]:
    """What does not mend itself, or costs the application something while it lasts. A backlog that shrinks is no problem, and
    neither is a paused run: an operator paused it."""
    if status["unfinished"]:
        yield f"`swap {status['unfinished']}` has removed a part of the run and has not come to its end"
    for name in status["missing"]:
        yield f"{name} is missing: another session dropped it"
    if status["left_over"]:
        yield str(status["left_over"]).rstrip(".")
    if status["capture_problem"]:
        yield f"capture is not as it was made: {status['capture_problem']}"
    if status["slot"] and status["slot"]["problem"]:
        yield str(status["slot"]["problem"]).rstrip(".")
    if status["falling_behind"]:
        yield str(status["falling_behind"]).rstrip(".")
    if status["verification"] and status["verification"]["verdict"] == "different":
        yield "the last verification found differences"
    yield from (
        f"{p['pooler']} is paused for {p['database']}: {by_hand(p['database'])}".rstrip(".")
        for p in status["pooler"]
        if p["paused"]
    )
