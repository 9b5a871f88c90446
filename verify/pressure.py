"""How many sessions a verification uses: fewer while they cost others too much.

Two things are looked at, every few seconds. How long a commit takes: a probe commits a row of the journal as the application commits its
own, with the wait for a synchronous standby. And the limits of [sync] and [throttle] that the server knows of: replicas (reading sets
hint bits, which may write WAL), active sessions, lock waits, WAL, slots. While one is over its limit the number is halved, down to one;
while none is it grows by one, up to `jobs`. A range that has begun is finished. It never stops: it holds the queue's entries.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from swap.state.migration import Migration
from swap.sync.throttle.server import WalClock, server_reasons

PROBE_EVERY_S = 2.0
SLOW_FACTOR, SLOW_S = 5.0, 0.05  # a commit is slow from 5 times the usual on, and never below 50 ms


@dataclass
class Pressure:
    """`m`: on a session of the primary that is in no transaction. The run has a verification under way."""

    m: Migration
    jobs: int
    usual_s: float = field(init=False)
    _wal: WalClock = field(init=False, default_factory=WalClock)
    _asked_at: float = field(init=False, default=0.0)
    _reduced: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.usual_s = sorted(self._commit_s() for _ in range(3))[1]

    def allowed(self, now: int) -> int:
        """How many sessions may work, after `now` of them did."""
        if time.monotonic() - self._asked_at < PROBE_EVERY_S:
            return now
        why = self.why()
        self._asked_at = time.monotonic()
        allowed = max(1, now // 2) if why else min(self.jobs, now + 1)
        if (allowed < self.jobs) != self._reduced:
            self._reduced = allowed < self.jobs
            self.m.report.note(
                f"verifies with {allowed} of {self.jobs} sessions: {why}" if why else f"verifies with {allowed} sessions again"
            )
        return allowed

    def why(self) -> str:
        """Why fewer sessions are to work; empty when all may."""
        took_s = self._commit_s()
        if took_s > max(SLOW_S, SLOW_FACTOR * self.usual_s):
            return f"a commit takes {1000 * took_s:.0f} ms, {1000 * self.usual_s:.0f} ms when it began"
        config = self.m.config
        return "; ".join(server_reasons(self.m.conn, config.sync, config.throttle, self._wal, time.monotonic()))

    def _commit_s(self) -> float:
        began = time.monotonic()
        self.m.journal.comparisons.touch(self.m.run.id)
        return time.monotonic() - began
