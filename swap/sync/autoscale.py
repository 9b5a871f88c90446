"""How many sessions the backfill may use, so that the application's commits stay as fast as they are without it.

A probe measures: a tiny write into swap's own schema, committed as the application commits (`swap.sync.commit_probe`). What is normal is
measured first, while the build waits. Then: slower than `max_slowdown` times normal, half the jobs; calm for a while, one more
(additive increase, multiplicative decrease, as TCP shares a line: several swaps on one server come to equal parts).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from swap.core.config import Sync
from swap.state.migration import Migration
from swap.sync.commit_probe import CommitProbe

DECIDE_EVERY_S = 2.0
CALM_ROUNDS = 2  # decisions, before one more session
NEAR = 0.8  # of the limit: no reason to add one
FLOOR_MS = 5.0  # below this a factor of normal says nothing: twice 0.2 ms is noise
NORMAL_SAMPLES = 30
MEASURES = "how long a commit takes without the backfill is measured (sync.max_jobs)"


@dataclass(frozen=True)
class Pace:
    """`calm`: decisions in a row for which there was room."""

    jobs: int
    calm: int = 0


def decide(pace: Pace, slowest_ms: float, limit_ms: float, max_jobs: int) -> Pace:
    """The next pace. At least one job goes on: what should stop the backfill altogether is a throttle."""
    if slowest_ms > limit_ms:
        return Pace(min(max_jobs, max(1, pace.jobs // 2)))
    if slowest_ms > NEAR * limit_ms or pace.jobs >= max_jobs:
        return Pace(min(max_jobs, pace.jobs))
    return replace(pace, calm=pace.calm + 1) if pace.calm + 1 < CALM_ROUNDS else Pace(pace.jobs + 1)


def p99(samples: Sequence[float]) -> float:
    """The nearest rank: of fewer than a hundred the largest."""
    return sorted(samples)[max(0, math.ceil(0.99 * len(samples)) - 1)]


class Autoscaler:
    """`settings` gives [sync] as it is now. Without `max_jobs`, and when nothing is built, `jobs` is the configuration's and no probe
    runs. Only the thread that owns the migration's session calls `look` and `close`; any may read `jobs`."""

    def __init__(self, migration: Migration, settings: Callable[[], Sync]) -> None:
        self.migration, self.settings = migration, settings
        self._probe: CommitProbe | None = None
        self._pace: Pace | None = None
        self._given = 0  # the jobs that the pace began with
        self._normal_ms: float | None = None
        self._decided = 0.0

    @property
    def jobs(self) -> int:
        pace = self._pace
        return pace.jobs if pace is not None else self.settings().jobs

    def look(self, *, building: bool) -> str:
        """Measure and decide, when it is time. Returns why the build has to wait; empty: it may go on."""
        sync = self.settings()
        if sync.max_jobs is None or not building:
            self.close()
            return ""
        if self._probe is None or sync.jobs != self._given:
            self._pace, self._given = Pace(sync.jobs), sync.jobs
        if self._probe is None:
            self._probe = CommitProbe(self.migration, after_s=sync.chunk_target_ms / 1000)  # the ranges in hand end first
        if self._normal_ms is None:
            samples = self._probe.samples()
            if len(samples) < NORMAL_SAMPLES:
                return MEASURES
            self._normal_ms = p99(samples)
            self._probe.calm_down()
            self._decided = time.monotonic()
            self._told(sync, self._normal_ms)
        if time.monotonic() - self._decided >= DECIDE_EVERY_S:
            self._decide(sync, sync.max_jobs, self._normal_ms, self._probe.take())
        return ""

    def close(self) -> None:
        """End the probe. What is normal is measured again when it is needed again."""
        if self._probe is not None:
            self._probe.close()
        self._probe = self._pace = self._normal_ms = None

    def _decide(self, sync: Sync, max_jobs: int, normal_ms: float, samples: Sequence[float]) -> None:
        self._decided = time.monotonic()
        if not samples or self._pace is None:
            return
        slowest, limit, before = p99(samples), limit_ms(normal_ms, sync.max_slowdown), self._pace.jobs
        self._pace = decide(self._pace, slowest, limit, max_jobs)
        if self._pace.jobs < before:
            self.migration.report.note(
                f"{before} jobs become {self._pace.jobs}: a commit takes {slowest:,.0f} ms, and {normal_ms:,.1f} ms without the backfill"
                f" (sync.max_slowdown = {sync.max_slowdown:g})"
            )
        self._told(sync, slowest)

    def _told(self, sync: Sync, commit_ms: float) -> None:
        """For `swap status`."""
        m, normal = self.migration, self._normal_ms or 0.0
        m.journal.steering.tell_pace(
            m.run.id,
            {
                "jobs": self.jobs, "max_jobs": sync.max_jobs, "commit_ms": round(commit_ms, 1), "normal_ms": round(normal, 1),
                "limit_ms": round(limit_ms(normal, sync.max_slowdown), 1),
            },
        )  # fmt: skip


def limit_ms(normal_ms: float, max_slowdown: float) -> float:
    return max(FLOOR_MS, normal_ms * max_slowdown)
