"""Progress on stderr: what moves and how fast, or why nothing moves.

A terminal shows bars (swap.cli.live). Without one there are lines (swap.cli.log).
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from swap.cli.log import Form, Line, Rank, log
from swap.cli.output import PLAIN_EVERY_S
from swap.core.report import Reporter
from swap.core.units import duration

MIN_SAMPLE_S = 1.0
STILL_EVERY_S, BEAT_S = 60.0, 1.0


class Progress(Reporter, Protocol):
    """A reporter that may draw on a terminal."""

    def warning(self, message: str) -> None:
        """What an operator has to see, with `--quiet` too."""

    def close(self) -> None:
        """Stop drawing."""


def make_reporter() -> Progress:
    """Make a reporter: bars where stderr is a terminal, plain lines elsewhere. Neither writes to stdout."""
    if not sys.stderr.isatty() or log.quiet or log.form is Form.json:
        return PlainReporter().watch()
    from swap.cli.live import LiveReporter

    bars = LiveReporter()
    return bars if log.file is None else Both(bars, PlainReporter(shown=False).watch())


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
    """Lines with time and level (swap.cli.log): one when something changes, numbers that move every PLAIN_EVERY_S, and one every
    STILL_EVERY_S while nothing does. `shown`: on stderr; the log file gets them in any case."""

    shown: bool = True
    lock: threading.RLock = field(default_factory=threading.RLock)
    meters: dict[str, Meter] = field(default_factory=dict)
    said_at: float = 0.0
    last: str = ""
    reason: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def note(self, message: str) -> None:
        self._say(Line(Rank.INFO, message))

    def warning(self, message: str) -> None:
        self._say(Line(Rank.WARNING, message))

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        now = time.monotonic()
        with self.lock:
            new = part not in self.meters
            before = (self.meters[part].done, self.meters[part].total) if not new else None
            meter = metered(self.meters, part, done, now)
            meter.total, meter.unit = total, unit
            line = meter.line(part, now)
            self.last = line
            complete = bool(total and done >= total)
            if before == (done, total) or (now - self.said_at < PLAIN_EVERY_S and not new and not complete):
                return
            more = {"part": part, "done": done, "total": total, "unit": unit, "per_s": meter.rate(now), "eta_s": meter.eta_s(now)}
            self._say(Line(Rank.INFO, line, more))

    def waiting(self, reason: str) -> None:
        self._still(reason and f"waiting: {reason}", Rank.WARNING)

    def working(self, what: str) -> None:
        self._still(what, Rank.INFO)

    def _still(self, text: str, rank: Rank) -> None:
        with self.lock:
            same = text == self.reason
            self.reason = text
            if not text or same:
                return
            self._say(Line(rank, text))

    def _say(self, line: Line) -> None:
        with self.lock:
            self.last, self.said_at = line.text, time.monotonic()
            log.write(line, shown=self.shown)

    def beat(self, now: float) -> None:
        """Say again what is so, where nothing was said for STILL_EVERY_S: a log that is silent looks like a command that is dead."""
        with self.lock:
            if now - self.said_at >= STILL_EVERY_S and (text := self.reason or self.last):
                self._say(Line(Rank.INFO, text, {"unchanged": True}))

    def watch(self) -> PlainReporter:
        """Call `beat` from a thread of its own until `close`."""

        def run() -> None:
            while not self.ended.wait(BEAT_S):
                self.beat(time.monotonic())

        self.said_at = time.monotonic()
        threading.Thread(target=run, name="log", daemon=True).start()
        return self

    def close(self) -> None:
        self.ended.set()


@dataclass(frozen=True)
class Both:
    """What a terminal shows, and the log file."""

    first: Progress
    second: Progress

    def note(self, message: str) -> None:
        self.first.note(message)
        self.second.note(message)

    def warning(self, message: str) -> None:
        self.first.warning(message)
        self.second.warning(message)

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        self.first.progress(part, done, total, unit)
        self.second.progress(part, done, total, unit)

    def waiting(self, reason: str) -> None:
        self.first.waiting(reason)
        self.second.waiting(reason)

    def working(self, what: str) -> None:
        self.first.working(what)
        self.second.working(what)

    def close(self) -> None:
        self.first.close()
        self.second.close()
