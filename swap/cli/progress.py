"""Progress on stderr: what moves and how fast, or why nothing moves.

A terminal shows bars (swap.cli.live). Without one there is a plain line every few seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from swap.cli.output import PLAIN_EVERY_S, for_people
from swap.core.report import Reporter
from swap.core.units import duration

MIN_SAMPLE_S = 1.0


class Progress(Reporter, Protocol):
    """A reporter that may draw on a terminal."""

    def close(self) -> None:
        """Stop drawing."""


def make_reporter() -> Progress:
    """Make a reporter: bars where stderr is a terminal, plain lines elsewhere. Neither writes to stdout."""
    if not sys.stderr.isatty():
        return PlainReporter()
    from swap.cli.live import LiveReporter

    return LiveReporter()


@dataclass
class Meter:
    """Rate and time left of one part, from what this process has seen. It gives no estimate before it can."""

    started_at: float
    first: int
    done: int = 0
    total: int | None = None
    unit: str = "rows"

    def rate(self, now: float) -> float | None:
        elapsed = now - self.started_at
        return (self.done - self.first) / elapsed if elapsed >= MIN_SAMPLE_S and self.done > self.first else None

    def percent(self) -> float | None:
        """Never over 100: the total is the server's estimate."""
        return min(100.0, 100.0 * self.done / self.total) if self.total else None

    def eta_s(self, now: float) -> float | None:
        rate = self.rate(now)
        if rate is None or not self.total or self.done >= self.total:
            return None
        return (self.total - self.done) / rate

    def line(self, part: str, now: float) -> str:
        text = f"{part}: {self.done:,}"
        percent, rate, eta = self.percent(), self.rate(now), self.eta_s(now)
        if percent is not None and self.total:
            of = f" of ~{self.total:,}" if self.done < self.total else ""  # the total of rows is the server's estimate
            text += f"{of} {self.unit} ({percent:.0f} %)"
        else:
            text += f" {self.unit}"
        if rate is not None:
            text += f", {rate:,.0f}/s"
        if eta is not None:
            text += f", about {duration(eta)} left"
        return text


def metered(meters: dict[str, Meter], part: str, done: int, now: float) -> Meter:
    """The part's meter, at `done`; a new one where it begins again (`verify --watch`)."""
    if part not in meters or done < meters[part].done:
        meters[part] = Meter(now, done)
    meters[part].done = done
    return meters[part]


@dataclass
class PlainReporter:
    """One line every few seconds, to stderr."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    meters: dict[str, Meter] = field(default_factory=dict)
    said_at: float = 0.0
    reason: str = ""

    def note(self, message: str) -> None:
        self._say(message)

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        now = time.monotonic()
        with self.lock:
            meter = metered(self.meters, part, done, now)
            meter.total, meter.unit = total, unit
            if now - self.said_at < PLAIN_EVERY_S and not (total and done >= total):
                return
            self.said_at = now
            line = meter.line(part, now)
        self._say(line)

    def waiting(self, reason: str) -> None:
        self._still(reason and f"waiting: {reason}")

    def working(self, what: str) -> None:
        self._still(what)

    def _still(self, text: str) -> None:
        now = time.monotonic()
        with self.lock:
            same = text == self.reason
            if not text or (same and now - self.said_at < PLAIN_EVERY_S):
                self.reason = text
                return
            self.reason, self.said_at = text, now
        self._say(text)

    def _say(self, text: str) -> None:
        sys.stderr.write(for_people(text) + "\n")
        sys.stderr.flush()

    def close(self) -> None: ...
