"""A program that a rehearsal waits for: in a process group of its own, which is ended as a whole, and with the end of what it prints.

A program may print without end. What is kept of it goes through a pipe into memory, and never into a file: a disk would be full.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from swap.rehearse.watchdog import Watchdog

TAIL_BYTES = 4000
STOP_S = 10.0
READ_BYTES = 1 << 16
LAST_READ_S = 1.0  # a process that left the group may hold the pipe for as long as it likes


@dataclass
class Tail:
    """A context manager. `writing`: a descriptor for a program's stdout or stderr, one after the other or several at once."""

    writing: int = field(init=False)
    _reading: int = field(init=False)
    _thread: threading.Thread = field(init=False)
    _kept: bytes = b""
    _cut: bool = False
    _ended: bool = False

    def __post_init__(self) -> None:
        self._reading, self.writing = os.pipe()
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> str:
        """What was written, or the whole lines of its last TAIL_BYTES: of half a password nobody would know that it is one. The programs
        have ended."""
        if not self._ended:
            self._ended = True
            os.close(self.writing)
            self._thread.join(LAST_READ_S)
        text = self._kept.decode(errors="replace")
        return text.partition("\n")[2] if self._cut else text

    def _read(self) -> None:
        try:
            while data := os.read(self._reading, READ_BYTES):
                whole = self._kept + data
                self._cut = self._cut or len(whole) > TAIL_BYTES
                self._kept = whole[-TAIL_BYTES:]
        finally:
            os.close(self._reading)


@dataclass(frozen=True)
class Finished:
    """How a program ended. `late`: its time was up, and it was ended. `out`, `err`: the ends of what it printed."""

    code: int
    seconds: float
    late: bool
    out: str
    err: str


@dataclass(frozen=True)
class Child:
    """A program with its environment. `directory`: where it runs. `timeout_s`: after so many seconds it is ended. `merged`: stderr is
    a part of `out`."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path | None = None
    timeout_s: float | None = None
    merged: bool = False

    def run(self, watchdog: Watchdog) -> Finished:
        """To its end. Whatever interrupts the wait ends it too, and `watchdog` does when this process is killed. Raises OSError where
        it cannot be started."""
        began, late = time.monotonic(), False
        with Tail() as out, Tail() as err:
            process = subprocess.Popen(
                self.argv, cwd=self.directory, env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=out.writing,
                stderr=(out if self.merged else err).writing, start_new_session=True,
            )  # fmt: skip
            with watchdog.watching(group=process.pid):
                try:
                    process.wait(self.timeout_s)
                except subprocess.TimeoutExpired:
                    late = True
                finally:
                    if process.poll() is None:
                        end_group(process)
            return Finished(process.returncode, time.monotonic() - began, late, out.end(), err.end())


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group, SIGKILL after STOP_S."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
