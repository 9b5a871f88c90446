"""When to stop, wait or hand over: every loop asks here between batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from swap.state.migration import Migration

ASK_EVERY_S = 0.1


class Interrupted(Exception):
    """Work ended early and cleanly: `reason` is `stop` (an operator's signal) or `handover`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Control:
    """Worker threads call `check`. Only the thread that owns the migration's session asks the server, in `poll`."""

    migration: Migration
    lag: Callable[[], str] = lambda: ""
    alive: Callable[[], None] = lambda: None
    _asked: float = 0.0
    _hold: str = ""
    _failed: threading.Event = field(default_factory=threading.Event)

    def poll(self, *, force: bool = False) -> None:
        """Refresh pause, handover and throttle from the server, at most every ASK_EVERY_S. Raises the error that ended
        capture's stream."""
        self.alive()
        now = time.monotonic()
        if not force and now - self._asked < ASK_EVERY_S:
            return
        self._asked = now
        if self.migration.locks.handover_wanted():
            self._hold = "handover"
        elif self.migration.journal.paused(self.migration.run.id):
            self._hold = "paused (`swap resume` goes on)"
        else:
            self._hold = self.lag()

    @property
    def hold(self) -> str:
        """Why work must not go on right now; empty when it may."""
        return self._hold

    def fail(self) -> None:
        """A worker failed: the others end after their batch."""
        self._failed.set()

    def check(self) -> None:
        """Between batches, on any thread. Raises Interrupted."""
        if self.migration.stop.is_set() or self._failed.is_set():
            raise Interrupted("stop")
        if self._hold == "handover":
            raise Interrupted("handover")

    def gate(self) -> None:
        """Between batches on the owning thread: wait while paused or throttled, saying why. Raises Interrupted."""
        self.poll()
        waited = False
        while True:
            self.check()
            if not self._hold:
                break
            self.migration.report.waiting(self._hold)
            waited = True
            self.migration.stop.wait(ASK_EVERY_S)
            self.poll(force=True)
        if waited:
            self.migration.report.waiting("")
