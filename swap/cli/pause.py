"""`swap pause` and `swap resume`: write to the journal what a running `sync` reads there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from swap.cli.results import done
from swap.cli.session import active, opened
from swap.core.errors import PhaseError


def work(command: Literal["pause", "resume"], dsn: str | None, config: Path | None, *, as_json: bool) -> None:
    paused = command == "pause"
    with opened(command, dsn, config) as s:
        run = s.need_run(command)
        if not active(run):
            raise PhaseError(f"There is nothing to {command}: the run is {run.phase.public}.")
        s.journal.update_run(run.id, paused=paused)
        s.journal.event(run.id, command, "by the operator")
    done(
        as_json,
        {"paused": paused, "next": "swap resume" if paused else "swap status --watch"},
        "paused: `swap resume` goes on" if paused else "resumed",
    )
