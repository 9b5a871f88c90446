"""What a rehearsal predicted beside what the run really takes, for `swap status --rehearsal FILE`. Reads the journal only."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from swap.rehearse.expected import Expected
from swap.state.account import Account, read_account
from swap.state.attempts import MEASURED
from swap.state.journal import Journal, Run


def beside(journal: Journal, run: Run, expected: Expected, now: datetime) -> dict[str, Any]:
    """`steps`: what the journal has a beginning of, with the seconds that it took, or has taken so far (`running`). `locked_ms`: of each
    exchange that is committed."""
    account = read_account(journal, run)
    return {
        "verdict": expected.verdict, "age_s": round(expected.age_s, 1), "source": expected.source,
        "steps": [s for s in (_sync(account, expected, now), _verify(account, expected)) if s is not None],
        "expected_locked_ms": list(expected.locked_ms) if expected.locked_ms else None,
        "locked_ms": [json.loads(e["message"])["locked_ms"] for e in account.events if e["kind"] == MEASURED],
    }  # fmt: skip


def _sync(account: Account, expected: Expected, now: datetime) -> dict[str, Any] | None:
    """From the first chunk that was copied until the shadow was complete."""
    if not account.chunks:
        return None
    complete = next((e["at"] for e in account.events if e["kind"] == "syncing"), None)
    return _step("sync", expected, account.chunks[0][0], complete or now, running=complete is None)


def _verify(account: Account, expected: Expected) -> dict[str, Any] | None:
    """The first verification, as in a rehearsal: later ones compare less where they can."""
    if not account.verifications:
        return None
    first = account.verifications[0]
    return _step("verify", expected, first["started_at"], first["finished_at"], running=False)


def _step(name: str, expected: Expected, began: datetime, ended: datetime, *, running: bool) -> dict[str, Any]:
    phase = expected.phases.get(name)
    return {
        "name": name, "seconds": round((ended - began).total_seconds(), 1), "running": running,
        "expected_s": phase.seconds if phase else None, "low_s": phase.low_s if phase else None, "high_s": phase.high_s if phase else None,
    }  # fmt: skip
