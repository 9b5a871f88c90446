"""What a hook prints: kept in bounded memory, and told to whoever listens while it runs."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from swap.core.printable import printable
from swap.core.report import Reporter, Silent
from swap.core.secrets import mask

TAIL_BYTES = 8192
SNAPSHOT_CHARS = 500
LINE_END = re.compile(rb"[\r\n]")
TELL_EVERY_S, TIME_EVERY_S = 1.0, 5.0
TOLD_LINES, TOLD_CHARS = 5, 200  # of one second, and of one line


@dataclass(frozen=True)
class Audience:
    """Who hears the hook while it runs: `report` gets its newest lines and how long it has been running. `secrets` are masked in all
    that it prints, in every form."""

    report: Reporter = field(default_factory=Silent)
    secrets: Sequence[str] = ()


@dataclass
class Output:
    """The tail of everything, and the last non-empty line of stdout: bounded, however much is printed.

    Both streams are put together by whole lines, as a read may end in the middle of one: a password in two halves is not masked.
    """

    tail: bytearray = field(default_factory=bytearray)
    last: bytes = b""
    lines: int = 0  # that were read
    newest: deque[bytes] = field(default_factory=lambda: deque(maxlen=TOLD_LINES))
    unfinished: dict[bool, bytearray] = field(default_factory=lambda: {True: bytearray(), False: bytearray()})

    def add(self, data: bytes, *, stdout: bool) -> None:
        *complete, rest = LINE_END.split(data)
        for part in complete:
            self._extend(part, stdout)
            self._end(stdout)
        self._extend(rest, stdout)

    def end_line(self) -> None:
        for stdout in self.unfinished:
            self._end(stdout)

    def _extend(self, part: bytes, stdout: bool) -> None:
        line = self.unfinished[stdout]
        line += part[: TAIL_BYTES - len(line)]

    def _end(self, stdout: bool) -> None:
        line = bytes(self.unfinished[stdout])
        self.unfinished[stdout].clear()
        if not line.strip():
            return
        self.lines += 1
        self.newest.append(line)
        self.tail += line + b"\n"
        del self.tail[: -2 * TAIL_BYTES]  # twice of what is shown: its first line may be cut in the middle of a password
        if stdout:
            self.last = line


@dataclass
class Teller:
    """Tells the audience: the newest lines once a second, however many there are, and the time."""

    program: str
    report: Reporter
    hidden: Sequence[str]
    output: Output
    began: float
    told: int = 0
    told_at: float = 0.0
    time_at: float = 0.0

    def tell(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now - self.time_at >= TIME_EVERY_S:
            self.time_at = now
            self.report.waiting(f"the {self.program} has been running for {now - self.began:.0f} s")
        if self.output.lines == self.told or (now - self.told_at < TELL_EVERY_S and not at_once):
            return
        more = self.output.lines - self.told - len(self.output.newest)
        if more > 0:
            self.report.note(f"hook: … {more} more lines")
        for line in self.output.newest:
            self.report.note(f"hook: {as_text(line, self.hidden)[:TOLD_CHARS]}")
        self.output.newest.clear()
        self.told, self.told_at = self.output.lines, now

    def end(self) -> None:
        self.tell(at_once=True)
        self.report.waiting("")


def as_text(data: bytes | bytearray, secrets: Sequence[str]) -> str:
    """Printable text without control codes, and without a password the hook may have printed. A progress bar's carriage returns
    are line feeds."""
    text = data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return printable(mask(text, secrets)).strip().encode()[-TAIL_BYTES:].decode(errors="ignore")
