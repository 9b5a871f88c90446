"""The state that the threads of a load share: run, pause, stop, and the counts. One condition variable, no polling."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST_ERRORS: Final = 100


@dataclass(frozen=True)
class LoadStats:
    """Totals over all workers since the start."""

    acknowledged: int  # write operations whose COMMIT was acknowledged
    retried: int  # attempts that ended in a serialization failure, a deadlock or a cancelled statement
    reshaped: int  # attempts that ended because the tables had changed their shape
    stale_reads: int  # attempts in which an old snapshot did not show a row of the worker as it is
    longest_stall_ms: float  # the longest attempt, from BEGIN to the acknowledged COMMIT or to the error
    transactions: int  # acknowledged ones, those that only read too
    errors: tuple[str, ...]  # lost rows, and every other error that must not happen
    reconnected: int = 0


@dataclass
class Control:
    """Hold `changed` to read or write any other field."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    paused: bool = False
    stopping: bool = False
    running: int = 0
    parked: int = 0
    acknowledged: int = 0
    retried: int = 0
    reshaped: int = 0
    stale_reads: int = 0
    reconnected: int = 0
    transactions: int = 0
    longest_stall_s: float = 0.0
    longest_lately_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    last_failures: dict[str, str] = field(default_factory=dict)

    def proceed(self) -> bool:
        """A worker calls this while it has no transaction open. Waits while the load is paused. Returns False when it has to end."""
        with self.changed:
            if self.paused and not self.stopping:
                self.parked += 1
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.stopping or not self.paused)
                self.parked -= 1
            return not self.stopping

    def rest(self, seconds: float) -> None:
        """Wait, to back off or to keep the rate. Ends earlier when the load is paused or stopped."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopping or self.paused, timeout=seconds)

    def count(self, name: str, failure: str | None = None, worker: str = "") -> None:
        """Count a failed attempt in the field `name`, and keep the reason."""
        with self.changed:
            setattr(self, name, getattr(self, name) + 1)
            if failure is not None:
                self.last_failures[worker] = failure

    def took(self, seconds: float) -> None:
        with self.changed:
            self.longest_stall_s = max(self.longest_stall_s, seconds)
            self.longest_lately_s = max(self.longest_lately_s, seconds)

    def take_longest_s(self) -> float:
        """The longest attempt since the last call."""
        with self.changed:
            longest, self.longest_lately_s = self.longest_lately_s, 0.0
            return longest

    def committed(self, writes: int) -> None:
        with self.changed:
            self.acknowledged += writes
            self.transactions += 1
            self.changed.notify_all()

    def error(self, message: str) -> None:
        with self.changed:
            if len(self.errors) < MOST_ERRORS:
                self.errors.append(message)

    def entered(self) -> None:
        with self.changed:
            self.running += 1

    def left(self) -> None:
        with self.changed:
            self.running -= 1
            self.changed.notify_all()

    def pause(self, timeout_s: float) -> None:
        with self.changed:
            self.paused = True
            self.changed.notify_all()
            if not self.changed.wait_for(lambda: self.parked >= self.running, timeout_s):
                raise TimeoutError(f"{self.running - self.parked} workers did not finish their transaction")

    def resume(self) -> None:
        with self.changed:
            self.paused = False
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def await_transactions(self, more: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self.changed:
            goal = self.transactions + more
            reached: Callable[[], bool] = lambda: self.transactions >= goal or self.running == 0  # noqa: E731
            self.changed.wait_for(reached, deadline - time.monotonic())
            if self.transactions < goal:
                raise TimeoutError(
                    f"{goal - self.transactions} of {more} transactions missing;"
                    f" {self.running} workers running, {self.parked} of them paused;"
                    f" last failures {self.last_failures}; errors {self.errors[:3]}"
                )

    def stats(self) -> LoadStats:
        with self.changed:
            return LoadStats(
                acknowledged=self.acknowledged,
                retried=self.retried,
                reshaped=self.reshaped,
                stale_reads=self.stale_reads,
                longest_stall_ms=self.longest_stall_s * 1000,
                transactions=self.transactions,
                errors=tuple(self.errors),
                reconnected=self.reconnected,
            )
