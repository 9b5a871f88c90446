"""`swap check`: whether a person has to look at the run. For a container's health and for monitoring: one line, and an exit code.
`--nagios`: in the form of monitoring plugins.

It reads what `swap status` reads, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

from swap.cli.results import conclude, done
from swap.cli.session import opened
from swap.cli.status import read_status
from swap.core.errors import RefusedError, SwapError
from swap.core.pgbouncer import by_hand


class Level(IntEnum):
    """Exit codes of plugins for Nagios, Icinga, Zabbix and the like."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def work(dsn: str | None, config: Path | None, *, nagios: bool, as_json: bool) -> int:
    if nagios:
        return _plugin(dsn, config, as_json=as_json)
    status = _look(dsn, config)
    found = list(problems(status))
    document = _document(status)
    if found:
        error = RefusedError("; ".join(found) + ".", hint="`swap status` shows all of it; RUNBOOK.md says what to do.")
        return conclude(document, error, as_json=as_json)
    pending = f"{status['pending_changes']:,} changes pending"
    done(as_json, document, "; ".join([f"healthy: phase {status['phase']}, {pending}", *warnings(status)]))
    return 0


def _look(dsn: str | None, config: Path | None) -> dict[str, Any]:
    with opened("check", dsn, config, writes=False) as s:
        return read_status(s)


def _document(status: dict[str, Any]) -> dict[str, Any]:
    found = list(problems(status))
    return {
        "healthy": not found, "problems": found, "warnings": list(warnings(status)), "phase": status["phase"],
        "run_id": status["run_id"], "next": status["next"],
    }  # fmt: skip


def _plugin(dsn: str | None, config: Path | None, *, as_json: bool) -> int:
    """One line and the exit code of a plugin. A check that could not look is UNKNOWN, whatever the reason."""
    try:
        status = _look(dsn, config)
    except SwapError as e:
        line, level = f"SWAP UNKNOWN - {e.message} {e.hint}", Level.UNKNOWN
        document: dict[str, Any] = {"healthy": False, "problems": [e.message], "warnings": [], "phase": None, "run_id": None}
    else:
        document = _document(status)
        level = Level.CRITICAL if document["problems"] else Level.WARNING if document["warnings"] else Level.OK
        said = "; ".join([*document["problems"], *document["warnings"]]) or f"phase {status['phase']}"
        line = f"SWAP {level.name} - {said} | {_measured(status)}"
    done(as_json, document | {"level": level.name}, " ".join(line.split()))
    return int(level)


def _measured(status: dict[str, Any]) -> str:
    """What a plugin measured, in the form of plugins: name=value and its unit."""
    values = [f"pending_changes={status['pending_changes']}"]
    if status["lag_bytes"] is not None:
        values.append(f"lag={status['lag_bytes']}B")
    if status["verification"]:
        values.append(f"verification_age={status['verification']['age_s']}s")
    return " ".join(values)


def warnings(status: dict[str, Any]) -> Iterator[str]:
    """What a person has to see to before it costs something: work that stands still, a structure that an exchange would refuse."""
    at_work = status["phase"] in ("prepared", "backfilling", "syncing", "cut_over") and not status["unfinished"]
    if at_work and not status["paused"] and status["worker"] and not status["worker"]["running"]:
        yield "no `swap sync` runs: nothing is copied or replayed"
    if status["paused"]:
        yield "the run is paused: `swap resume` goes on"
    if status["drift"]:
        yield f"the structure was changed ({len(status['drift'])} lines): no cutover or revert is possible"


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
