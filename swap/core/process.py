"""The process around a command: its signals until the command begins, and standard streams that lose no exit code.

Imports little and is imported first: a signal may come while Python still loads the command line (seen: a traceback of the
import system, and exit code 1 or -15).

A stream can be closed (`2>&-`), full, without a reader (`| head -1`), or of an encoding that lacks a character. None of these may
end a command that commits: the exit code is that of the work. What a closed or full stdout cannot take goes to stderr. A reader
that has gone away wanted no more.
"""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = 6  # swap.core.errors.ExitCode.STOPPED: this module imports nothing of its own
STDOUT, STDERR = 1, 2
_SAID = {
    "message": "Stopped by a signal before the command began.",
    "state": "Nothing was changed.",
    "hint": "Run the command again when ready.",
}
_begun = False


def start() -> None:
    """Take over the signals and the standard streams of this process. Call it before any other import."""
    for number in SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # ignored: by nohup
            signal.signal(number, interrupt)
    _take_over_streams()


def begin() -> None:
    """From now on a signal is a KeyboardInterrupt: there is something to roll back, to stop or to remove."""
    global _begun  # noqa: PLW0603 - the process has one state
    _begun = True


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal. Before the command begins it ends the process here: an exception in the middle of an import can be lost."""
    if _begun:
        raise KeyboardInterrupt
    if "--json" in sys.argv:
        code = f'"code": {STOPPED}'
        text = ", ".join([code, *(f'"{k}": "{v}"' for k, v in _SAID.items())])
        _write_or_lose(STDOUT, f'{{"error": {{{text}}}}}\n')
    else:
        _write_or_lose(STDERR, "error: {message}\nstate: {state}\nnext:  {hint}\n".format(**_SAID))
    os._exit(STOPPED)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal inside the block takes effect at its end. For a step of an instant that must not be left half done. It holds on the
    main thread, which alone hears signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {s: h for s in SIGNALS if callable(h := signal.getsignal(s))}
    try:
        for number in before:
            signal.signal(number, lambda n, _: came.append(n))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _write_or_lose(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode())
    except OSError:
        return


class Sink(io.RawIOBase):
    """A file descriptor to which every write succeeds. `lost`: the error after which the descriptor took no more. `other`: where
    the rest goes then, unless the reader has gone away."""

    def __init__(self, fd: int, name: str, *, closed: bool) -> None:
        self.fd, self.name = fd, name
        self.other: Sink | None = None
        self.lost: OSError | None = None
        if closed:
            self._lose(OSError(errno.EBADF, "it is closed"), b"")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.fd

    def isatty(self) -> bool:
        return self.lost is None and os.isatty(self.fd)

    def write(self, data: Any, /) -> int:
        rest = memoryview(data)
        size = len(rest)
        while self.lost is None and rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                select.select([], [self.fd], [])
            except OSError as e:
                self._lose(e, rest)
                return size
        if rest:
            self._pass_on(rest)
        return size

    def _lose(self, error: OSError, rest: bytes | memoryview) -> None:
        """Take the descriptor out of use. It stays open, on /dev/null: else the next connection would get its number, and whatever
        writes to it would write to the server."""
        self.lost = error
        null = os.open(os.devnull, os.O_RDWR)
        if null != self.fd:
            os.dup2(null, self.fd)
            os.close(null)
        if error.errno not in (errno.EPIPE, errno.EBADF):
            self._pass_on(f"{self.name} took no more ({error.strerror}); the rest follows here:\n".encode())
        self._pass_on(rest)

    def _pass_on(self, data: bytes | memoryview) -> None:
        assert self.lost is not None
        if self.other is not None and self.other.lost is None and self.lost.errno != errno.EPIPE:
            self.other.write(data)


def is_lost(stream: object) -> bool:
    """Whether a standard stream took no more."""
    sink = getattr(stream, "buffer", None)
    return isinstance(sink, Sink) and sink.lost is not None


def lost_reader(stream: object) -> bool:
    """Whether the reader of a standard stream has gone away. What was written to it since is nowhere."""
    sink = getattr(stream, "buffer", None)
    return isinstance(sink, Sink) and sink.lost is not None and sink.lost.errno == errno.EPIPE


def _take_over_streams() -> None:
    """Replace stdout and stderr by streams on a Sink. A closed descriptor is opened on /dev/null, stdin first: `open` takes the
    lowest free number."""
    closed = [_open_if_closed(fd) for fd in (0, STDOUT, STDERR)]
    if sys.stdin is None:  # Python gives no stream for a descriptor that was closed
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 - for the life of the process
    out = Sink(STDOUT, "stdout", closed=closed[STDOUT])
    err = Sink(STDERR, "stderr", closed=closed[STDERR])
    out.other = err  # not the other way: with --json stdout is one document
    sys.stdout = _text_on(out, sys.stdout)
    sys.stderr = _text_on(err, sys.stderr)


def _text_on(sink: Sink, before: io.TextIOBase | object) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    # RawIOBase in place of a buffer: `Sink.write` takes everything at once.
    return io.TextIOWrapper(sink, encoding=encoding, errors="backslashreplace", line_buffering=True, write_through=True)


def _open_if_closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        os.open(os.devnull, os.O_RDWR)
        return True
    return False
