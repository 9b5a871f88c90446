"""`swap sync`: backfill what is missing, then replay changes."""

from __future__ import annotations

from pathlib import Path

from swap.cli.metrics_port import MetricsPort
from swap.cli.results import conclude, done
from swap.cli.session import Session, active, opened
from swap.core.blockers import reporting_all_waits
from swap.core.errors import ExitCode, PhaseError, StoppedError
from swap.plan.direction import Direction
from swap.state.migration import Migration
from swap.sync.loop import Sync

SAID = {"caught_up": "caught up", "stopped": "stopped after the batch in hand", "finished": "the run has ended"}

KEPT = "what was committed stays, and capture goes on."


def work(dsn: str | None, config: Path | None, *, once: bool, jobs: int | None, metrics: MetricsPort, as_json: bool) -> int:
    with opened("sync", dsn, config, graceful=True) as s:
        run = s.need_run("sync")
        if not active(run):
            raise PhaseError(f"There is nothing to sync: the run is {run.phase.public}.")
        with metrics.serving(s), reporting_all_waits(s.database, s.report):
            m = s.migration(run)
            result = Sync(m, jobs=jobs or s.config.sync.jobs, once=once, on_caught_up=lambda: _tell(s, m)).run()
        text = f"{SAID[result.reason]}: {result.phase.public}, {result.replayed:,} changes replayed, {result.pending:,} pending"
        early = once and result.reason == "stopped"
        s.ending.set(text, ExitCode.STOPPED if early else ExitCode.DONE)
    document = {
        "reason": result.reason, "phase": result.phase.public, "direction": result.direction,
        "replayed": result.replayed, "pending_changes": result.pending,
        "next": {"caught_up": "swap verify", "stopped": "swap sync"}.get(result.reason),
    }  # fmt: skip
    if early:
        error = StoppedError(
            f"Stopped before it had caught up: {result.pending:,} changes wait.", state=f"The run is {result.phase.public}; {KEPT}",
            hint="`swap sync --once` goes on from there.",
        )  # fmt: skip
        return conclude(document, error, as_json=as_json)
    done(as_json, document, text)
    return 0


def _tell(s: Session, m: Migration) -> None:
    """The event `caught_up`, of the direction in which the run is synced now."""
    side = "the retired table" if m.run.direction is Direction.REVERSE else "the shadow"
    s.events.tell("caught_up", f"{side} of {m.run.source} has caught up: no captured change waits for replay.")
