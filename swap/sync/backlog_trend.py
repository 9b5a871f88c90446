"""Whether replay keeps up with the application (H12). Where more changes come than are replayed, the queue grows, no drain
ends and no gate opens. The operator is told, with the rates, while it lasts and when it is over.

The rate of incoming changes is not measured. It follows from what was replayed in a window, and from how much the queue
has grown meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_S = 5.0
BEHIND, CAUGHT_UP = "falling behind", "keeping up"


@dataclass
class BacklogTrend:
    """Observes every batch. Counts the queue once in a window, and only where a batch was not the last."""

    began: float = field(default_factory=time.monotonic)
    taken: int = 0
    pending: int | None = None
    behind: bool = False

    def observe(self, replayed: int, complete: bool, count: Callable[[], int]) -> tuple[str, str] | None:
        """`replayed`: in all so far. Returns a kind of event and its text, when there is something to report."""
        now = time.monotonic()
        if complete:
            self.began, self.taken, self.pending = now, replayed, 0
            if self.behind:
                self.behind = False
                return CAUGHT_UP, "replay has caught up with the changes"
            return None
        if now - self.began < WINDOW_S:
            return None
        seconds, taken, pending, before = now - self.began, replayed - self.taken, count(), self.pending
        self.began, self.taken, self.pending = now, replayed, pending
        if before is None or pending <= before:
            return None
        self.behind = True
        come = taken + pending - before
        return BEHIND, (
            f"replay does not keep up: {come / seconds:,.0f} changes/s come, {taken / seconds:,.0f}/s are replayed, {pending:,}"
            " wait. While this lasts it does not catch up, and no cutover or revert is possible"
        )
