"""What users see. Progress and notes go to stderr, results to stdout; with --json stdout is one document.

Without a terminal there are no control codes, and a plain line every few seconds says what moves, or why nothing does.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from swap.core.errors import SwapError

PLAIN_EVERY_S = 5.0
MIN_SAMPLE_S = 1.0


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def emit_json(document: Any) -> None:
    """The one JSON document of a --json command."""
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@dataclass
class Meter:
    """Rate and time left of one part, from what this process has seen. No estimate before it can be known."""

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


def duration(seconds: float) -> str:
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02d} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02d} min"


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
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def close(self) -> None: ...


class LiveReporter:
    """Progress bars on a terminal, drawn from the first part that moves on: bars are drawn again ten times a second, over
    whatever stands in their line, and a question stood there. Nothing is redirected: rich would take stdout along to stderr,
    and with it the document of `swap status --json | jq`."""

    def __init__(self) -> None:
        self.progress_bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),  # a long reason wraps, the name stays
            BarColumn(bar_width=30),
            TextColumn("{task.fields[said]}", table_column=Column(overflow="fold")),
            console=Console(stderr=True, highlight=False),
            transient=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.lock = threading.Lock()
        self.meters: dict[str, Meter] = {}
        self.tasks: dict[str, TaskID] = {}
        self.wait_task: TaskID | None = None

    def note(self, message: str) -> None:
        self.progress_bars.console.print(message, markup=False)

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        now = time.monotonic()
        with self.lock:
            meter = metered(self.meters, part, done, now)
            meter.total, meter.unit = total, unit
            task = self.tasks.get(part)
            if task is None:
                self.progress_bars.start()
                task = self.tasks[part] = self.progress_bars.add_task(part, total=None, said="")
            said = meter.line(part, now).removeprefix(f"{part}: ")
            known = max(total, done) if total else None
            self.progress_bars.update(task, completed=done if known else 0, total=known, said=said)

    def waiting(self, reason: str) -> None:
        self._still("waiting", reason)

    def _still(self, label: str, text: str) -> None:
        with self.lock:
            if self.wait_task is None:
                if not text:
                    return
                self.progress_bars.start()
                self.wait_task = self.progress_bars.add_task(label, total=None, said="")
            self.progress_bars.update(self.wait_task, description=label, said=text, visible=bool(text))

    def working(self, what: str) -> None:
        self._still("at work", what)

    def close(self) -> None:
        self.progress_bars.stop()


def make_reporter() -> PlainReporter | LiveReporter:
    """Bars where stderr is a terminal; plain lines otherwise. stdout is never touched."""
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()


STATUS_STYLE = {"ok": "green", "warning": "yellow", "blocker": "bold red", "failed": "bold red"}


def print_checks(rows: list[dict[str, Any]]) -> None:
    """doctor's and verify's checks, worst last so that it stays on the screen."""
    out = console()
    order = {"ok": 0, "warning": 1, "blocker": 2, "failed": 2}
    for row in sorted(rows, key=lambda r: order.get(r["status"], 3)):
        line = Text(f"{row['status']:8} ", style=STATUS_STYLE.get(row["status"], ""))
        line.append(row["name"], style="bold")
        if row.get("object"):
            line.append(f" {row['object']}")
        out.print(line)
        for key in ("detail", "hint"):
            if row.get(key) and (row["status"] != "ok" or key == "detail"):
                out.print(Text(f"         {row[key]}"))


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    table = RichTable(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else "-" if v is None else str(v) for v in row))
    console().print(table)


def print_lines(lines: list[str]) -> None:
    for line in lines:
        console().print(line, markup=False)


@contextmanager
def watched() -> Iterator[tuple[Callable[[list[str]], None], float]]:
    """What shows lines, and how often it should: a view that is drawn again on a terminal, else a block every few seconds."""
    out = console()
    if not out.is_terminal:
        yield lambda lines: print_lines([*lines, ""]), PLAIN_EVERY_S
        return
    with Live(console=out, refresh_per_second=2) as live:
        yield lambda lines: live.update(Text("\n".join(lines))), 0.5  # Text: a name may look like rich's markup


def error_document(error: SwapError) -> dict[str, Any]:
    """`error` of a --json document."""
    return {"code": int(error.exit_code), "message": error.message, "state": error.state, "hint": error.hint}


def print_error(message: str, state: str, hint: str) -> None:
    """The three lines of every failure."""
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    err.print(Text("error: ", style="bold red") + Text(message))
    err.print(Text("state: ", style="bold") + Text(state))
    err.print(Text("next:  ", style="bold") + Text(hint))
