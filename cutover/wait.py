"""A cutover that waits for its hour: until a file is there, a window is open, or an operator says so from elsewhere.

Meanwhile the verification is kept fresh, the gates are asked again and again, and nothing is held that another command needs: an abort
goes ahead, and `sync` goes on. What it waits for stands in the journal for `swap status`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from cutover.gates import check_phase, why_closed
from cutover.keep_verified import kept_verified
from swap.core.daily_window import DailyWindow, Opening
from swap.core.errors import LockError, RefusedError, StoppedError
from swap.core.units import about, counted
from swap.state.locks import OPERATOR
from swap.state.migration import Migration
from swap.state.worker import find_worker
from swap.sync.change_queue import ChangeQueue

POLL_S = 0.5
GATES_EVERY_S, DUE_EVERY_S = 10.0, 2.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Terms:
    """What has to be before a cutover begins. `now`: the clock."""

    wait_for: Path | None = None
    window: DailyWindow | None = None
    now: Callable[[], datetime] = utc_now

    def __bool__(self) -> bool:
        return self.wait_for is not None or self.window is not None

    def __str__(self) -> str:
        file = [f"the file {self.wait_for}"] if self.wait_for is not None else []
        window = [f"the window {self.window.text}"] if self.window is not None else []
        return " and ".join([*file, *window])


@dataclass(frozen=True)
class Deadline:
    """When the window closes: no attempt begins after that. Without a window, and when an operator said `--now`: never."""

    window: DailyWindow | None = None
    opening: Opening | None = None
    now: Callable[[], datetime] = utc_now

    @property
    def passed(self) -> str:
        """In words; empty while there is time."""
        if self.window is None or self.opening is None or self.now() < self.opening.ends:
            return ""
        return f"the window {self.window.text} closed at {self.window.shown(self.opening.ends)}"

    def refuse_late(self, tried: int, last: str) -> None:
        """Raises RefusedError when it has passed before the first attempt, LockError after some. `last`: who is in the way, for the
        journal too."""
        if not (late := self.passed):
            return
        again = "Run the command again: it waits for the next window."
        if not tried:
            raise RefusedError(f"No attempt was made: {late}.", hint=again)
        who = f" In the way now: {last}." if last else ""
        raise LockError(f"No lock within {counted(tried, 'attempt')}, and {late}.{who}", hint=again)


NO_DEADLINE = Deadline()


@dataclass
class Wait:
    """One cutover's wait. `until_due` returns when it may begin."""

    migration: Migration
    terms: Terms
    _gate: str = ""
    _asked: float | None = None
    _said: str = ""

    def until_due(self) -> Deadline:
        """Returns until when it may begin an attempt. Where a gate is closed when the file is there, or when it is told to begin, it
        returns too, and the cutover says which gate. A window it waits out.

        Raises RefusedError when the window closed first, StoppedError when told to stop, PhaseError when the run goes elsewhere."""
        m = self.migration
        with m.locks.only_waiting(), kept_verified(m) as check:
            number = m.journal.steering.wait(m.run.id)
            opening = self.terms.window.next(self.terms.now()) if self.terms.window else None
            deadline = Deadline(self.terms.window, opening, self.terms.now)
            m.report.note(f"waits for {self.terms}; `swap cutover --now` lets it begin at once")
            while True:
                check()
                check_phase(m.reload(), "cutover")
                try:
                    if (begun := self._look(number, deadline)) is not None:
                        return begun
                except psycopg.ProgrammingError:
                    if m.conn.closed or not self._overtaken():
                        raise
                if m.stop.wait(POLL_S):
                    raise StoppedError(
                        f"Stopped by the operator while the cutover waited for {self._said or self.terms}.",
                        hint="Run the command again when ready.",
                    )

    def _look(self, number: int, deadline: Deadline) -> Deadline | None:
        """Until when attempts may begin, if it is time; None: it is not."""
        m, opening = self.migration, deadline.opening
        if told := m.journal.steering.told_now(m.run.id, number):
            return self._begin(told, NO_DEADLINE)
        if late := deadline.passed:
            raise RefusedError(
                f"The cutover did not begin: {late}, and it still waited for {self._said or self.terms}.",
                hint="Run the command again: it waits for the next window.",
            )
        missing = self._missing(opening)
        if not missing and (opening is None or not self._closed_gate(DUE_EVERY_S)):
            return self._begin(f"{self.terms}: it is time", deadline)
        self._say(number, missing or ["a gate"])
        return None

    def _overtaken(self) -> bool:
        """Whether another command is removing, or has removed, what was asked for."""
        m = self.migration
        return m.locks.holder(OPERATOR) is not None or m.journal.get(m.run.id).phase is not m.run.phase

    def _begin(self, why: str, deadline: Deadline) -> Deadline:
        m = self.migration
        m.journal.steering.begin(m.run.id, why)
        m.report.waiting("")
        m.report.note(f"the wait is over: {why}")
        return deadline

    def _missing(self, opening: Opening | None) -> list[str]:
        window, now = self.terms.window, self.terms.now()
        out = []
        if window is not None and opening is not None and not opening.is_open(now):
            left = about((opening.begins - now).total_seconds())
            out.append(f"the window {window.text}, which opens at {window.shown(opening.begins)} (in {left})")
        if self.terms.wait_for is not None and (why := _not_there(self.terms.wait_for)):
            out.append(why)
        return out

    def _closed_gate(self, every_s: float = GATES_EVERY_S) -> str:
        """Why a cutover would be refused; asked at most every `every_s`."""
        now = time.monotonic()
        if self._asked is None or now - self._asked >= every_s:
            self._gate, self._asked = why_closed(self.migration), now
        return self._gate

    def _say(self, number: int, missing: list[str]) -> None:
        m = self.migration
        gate = self._closed_gate()
        said = " and ".join(missing) + ("; every gate is open" if not gate else f"; a gate is closed: {gate}") + self._worker()
        m.report.waiting(said)
        if said != self._said:
            self._said = said
            m.journal.steering.say(number, said)

    def _worker(self) -> str:
        """Without a `sync` the queue grows, and the exchange drains it first."""
        m = self.migration
        if find_worker(m.conn, m.journal.schema, m.plan.tag) is not None:
            return ""
        return f"; no `swap sync` runs, {ChangeQueue.of(m).count_due():,} changes wait"


def _not_there(path: Path) -> str:
    try:
        path.stat()
    except FileNotFoundError:
        return f"the file {path}"
    except OSError as e:
        return f"the file {path} ({e.strerror})"
    return ""
