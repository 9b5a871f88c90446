"""Resumes the application's poolers when the process that paused them is gone: SIGKILL, a crash, or a hang past a limit.

PgBouncer keeps a database paused when the client that paused it is gone. So a child process waits at a pipe whose other end
only the parent holds: the kernel closes it, however the parent ends. The child has a session of its own, so a signal that a
terminal or a supervisor sends to the parent's group does not reach it. It ends when the parent closes the pipe.

The parent writes lines: first a JSON list [[dsn, …], [database, …]] (a password is in no argv and no environment), then
`arm SECONDS` before a pause and `disarm` after it. The child answers `ready` once.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

from swap.core.errors import StoppedError, SwapError
from swap.core.pgbouncer import Console

START_S = 20.0
GIVE_UP_S = 600.0
# A PAUSE that the parent sent just before it died may still be on its way: RESUME overtakes it on another connection.
OVERTAKEN_S = 2.0
AGAIN_S = 0.1
PATIENCE_S = 5.0
PACKAGES = Path(__file__).resolve().parent.parent


class PauseWatchdog:
    """The parent's end."""

    def __init__(self, dsns: Sequence[str], names: Sequence[str]) -> None:
        self._what = json.dumps([list(dsns), list(names)])
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises StoppedError."""
        path = os.pathsep.join(p for p in (str(PACKAGES), os.environ.get("PYTHONPATH", "")) if p)
        variables = {k: v for k, v in os.environ.items() if k != "SWAP_DSN"}
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cutover.pause_watchdog"], env=variables | {"PYTHONPATH": path}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._tell(self._what)
        assert self._child.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self._child.stdout, selectors.EVENT_READ)
            if not ready.select(START_S) or self._child.stdout.readline() != b"ready\n":
                self.close()
                raise StoppedError(
                    "The watchdog that would resume PgBouncer if this process died could not be started.",
                    hint="Look for limits on processes of this machine; run it again.",
                )

    def arm(self, limit_s: float) -> None:
        """From now on the child resumes when this process ends, or after `limit_s`. Raises StoppedError."""
        self._tell(f"arm {limit_s}")

    def disarm(self) -> None:
        with suppress(StoppedError):  # nothing is paused any more
            self._tell("disarm")

    def close(self) -> None:
        """End the child, unless it is armed: then it goes on until it has resumed, and this does not wait for it."""
        child, self._child = self._child, None
        if child is None:
            return
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(1.0)
        child.returncode = child.returncode or 0  # this process does not wait for one that goes on

    def _tell(self, line: str) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line.encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise StoppedError(
                "The watchdog that would resume PgBouncer if this process died is gone; nothing is paused without it.",
                hint="Run it again.",
            ) from None


def watch(consoles: Sequence[Console], names: Sequence[str]) -> None:
    """The child's loop: until the parent's end of the pipe closes, and no database is left paused."""
    until: float | None = None
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        while True:
            if not selector.select(None if until is None else max(0.0, until - time.monotonic())):
                lift(consoles, names, renew=True, patience_s=PATIENCE_S)
                until = None
                continue
            data = os.read(0, 65536)
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                until = time.monotonic() + float(line.split()[1]) if line.startswith(b"arm ") else None
    if until is not None:
        resume(consoles, names)


def lift(consoles: Sequence[Console], names: Sequence[str], *, renew: bool, patience_s: float) -> bool:
    """Whether every console has answered."""
    done = True
    for console in consoles:
        try:
            console.lift(names, renew=renew, patience_s=patience_s)
        except (SwapError, psycopg.Error):
            done = False
    return done


def resume(consoles: Sequence[Console], names: Sequence[str]) -> None:
    """The parent is gone. Tries for `GIVE_UP_S`; after that an operator has to resume (`swap status` shows a pause)."""
    began = time.monotonic()
    done = False
    while time.monotonic() < began + (OVERTAKEN_S if done else GIVE_UP_S):
        done = lift(consoles, names, renew=not done, patience_s=0.0) or done
        time.sleep(AGAIN_S)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(0, "rb", buffering=0, closefd=False) as told:  # unbuffered: what follows is for `watch`
        dsns, names = json.loads(told.readline())
    consoles = [Console(dsn) for dsn in dsns]
    for console in consoles:
        with suppress(SwapError):  # connected beforehand; if it cannot be now, then when it is needed
            console.pools()
    os.write(1, b"ready\n")
    watch(consoles, names)


if __name__ == "__main__":
    main()
