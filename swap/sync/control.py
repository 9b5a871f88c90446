"""When to stop, wait or hand over: every loop asks here between batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from swap.state.migration import Migration
from swap.state.worker import GOING_ON, HELD
from swap.sync.autoscale import Autoscaler
from swap.sync.live_settings import LiveSettings
from swap.sync.throttle.limits import Throttles

ASK_EVERY_S, READ_EVERY_S, TELL_EVERY_S = 0.1, 1.0, 10.0


class Interrupted(Exception):
    """Work ended early and cleanly: `reason` is `stop` (an operator's signal) or `handover`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Control:
    """Worker threads call `check`. Only the thread that owns the migration's session asks the server, in `poll`."""

    migration: Migration
    live: LiveSettings
    throttles: Throttles
    autoscaler: Autoscaler
    alive: Callable[[], None] = lambda: None
    _asked: float = 0.0
    _read: float | None = None
    _told: str | None = None
    _told_at: float = 0.0
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
        if self._read is None or now - self._read >= READ_EVERY_S:
            self._read = now
            self.live.refresh()
        if self.migration.locks.handover_wanted():
            self._hold = "handover"
        elif self.migration.journal.paused(self.migration.run.id):
            self._hold = "paused (`swap resume` goes on)"
        else:
            self._hold = self.throttles.reason(self.migration.conn) or self.autoscaler.look(building=self.throttles.building)
        self._tell(now)

    def _tell(self, now: float) -> None:
        """Journal why this waits and that it goes on, for `swap status`: at once, and every TELL_EVERY_S while the reason's numbers change."""
        hold = "" if self._hold == "handover" else self._hold
        if self._told is None:  # a killed `sync` may have left its reason
            last = self.migration.journal.last_event(self.migration.run.id, HELD, GOING_ON)
            self._told = last.message if last and last.kind == HELD else ""
        if hold == self._told or (hold and self._told and now - self._told_at < TELL_EVERY_S):
            return
        journal, run = self.migration.journal, self.migration.run
        if hold or self._told:
            journal.event(run.id, HELD if hold else GOING_ON, hold or "sync goes on")
        self._told, self._told_at = hold, now

    @property
    def jobs(self) -> int:
        """How many sessions may work now. Any thread may ask."""
        return self.autoscaler.jobs

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
