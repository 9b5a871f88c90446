"""`swap set`: other settings for a running `sync`, which it takes up within about a second. They hold until `--reset`, or until the run
has ended: a `sync` that is started again keeps to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swap.cli.results import done
from swap.cli.session import Session, active, opened
from swap.core.errors import PhaseError, UsageError
from swap.core.overrides import known_name, parse_overrides, shown, with_overrides
from swap.state.journal import Run
from swap.sync.live_settings import accepted


def work(dsn: str | None, config: Path | None, words: Sequence[str], *, reset: bool, as_json: bool) -> None:
    with opened("set", dsn, config, writes=bool(words) or reset) as s:
        run = s.need_run("set")
        if not active(run):
            raise PhaseError(f"There is nothing to set: the run is {run.phase.public}.")
        holds = accepted(s.journal.steering.overrides(run.id))
        if words or reset:
            holds = _without(holds, words) if reset else holds | parse_overrides(words)
            with_overrides(s.config, holds)
            s.journal.steering.override(run.id, holds)
            said = ", ".join(shown(n, v) for n, v in holds.items()) or "as in the configuration"
            s.ending.set(said)
        lines = [shown(n, v) for n, v in holds.items()] or ["nothing is set: the configuration holds"]
        lines += [_when(s, run)] if words or reset else []
    listed = [{"name": n, "value": v} for n, v in holds.items()]
    done(as_json, {"settings": listed, "next": "swap status --watch"}, "\n".join(lines))


def _without(holds: dict[str, object], words: Sequence[str]) -> dict[str, object]:
    """What is left after `--reset` of these names, or of all."""
    if any("=" in word for word in words):
        raise UsageError(
            "--reset goes with names alone.", hint="For example: swap set --reset jobs. Without a name it resets all."
        )
    names = {known_name(word) for word in words}
    return {n: v for n, v in holds.items() if names and n not in names}


def _when(s: Session, run: Run) -> str:
    from swap.cli.status_progress import worker

    found = worker(s.journal, run)
    runs = found is not None and found["running"] and found["command"] == "swap sync"
    return "`sync` takes it up within about a second" if runs else "no `sync` runs: the next one takes it up"
