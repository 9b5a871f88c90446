"""`swap history`: who did what to the runs of the source, and what happened to them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from swap.cli.output import emit_json, print_lines
from swap.cli.session import opened
from swap.core.units import duration
from swap.state.history import Command, Entry


def work(dsn: str | None, config: Path | None, *, limit: int, as_json: bool) -> None:
    with opened("history", dsn, config, writes=False) as s:
        runs = s.journal.history.runs_of(s.config.source.name) if s.run is not None else []
        commands = s.journal.history.commands(runs)[-limit:] if runs else []
        events = s.journal.history.events(runs)[-limit:] if runs else []
    if as_json:
        emit_json(
            {"commands": [_document(c) for c in commands], "events": [asdict(e) | {"run_id": str(e.run_id)} for e in events]}
        )
        return
    told: list[tuple[Any, str]] = [(c.began_at, _command(c)) for c in commands] + [(e.at, _event(e)) for e in events]
    print_lines(
        [text for _, text in sorted(told, key=lambda t: t[0])] or ["nothing has happened: no run was prepared for this table"]
    )


def _document(c: Command) -> dict[str, Any]:
    return asdict(c) | {"run_id": str(c.run_id), "ended": c.ended_at is not None}


def _command(c: Command) -> str:
    if c.ended_at is None:
        how = "has not ended, or was killed"
    else:
        how = f"{c.outcome} ({c.exit_code}) after {duration((c.ended_at - c.began_at).total_seconds())}"
    who = f"{c.user}@{c.host} as {c.role}, version {c.version}"
    return f"{c.began_at:%Y-%m-%d %H:%M:%S}  {' '.join([c.command, c.options]).strip()}: {how}; {who}"


def _event(e: Entry) -> str:
    return f"{e.at:%Y-%m-%d %H:%M:%S}    {e.kind}: {e.message}"
