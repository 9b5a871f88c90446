"""Ends a private server when the process that started it is gone, however it ended: SIGKILL, a crash, the OOM killer.

A postmaster outlives its parent. So a child waits at a pipe whose other end only the parent holds: the kernel closes it. The child has
a session of its own; a signal for the parent's group does not reach it. After an orderly `stop()` there is nothing left to end.

Rejected: PR_SET_PDEATHSIG. It is Linux's alone, and it fires when the thread that started the server ends, not the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from swap.demo.directory import STOP_TIMEOUT_S, Layout, remove_left_behind

PACKAGES = Path(__file__).resolve().parents[2]


class ServerWatchdog:
    """The parent's end."""

    def __init__(self, layout: Layout) -> None:
        """Starts the child, and does not wait for it: the pipe keeps what it has to see."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWAP_"))}
        self._child = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "swap.demo.watchdog", str(layout.base)], env=env | {"PYTHONPATH": str(PACKAGES)},
            cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        """The server has ended and its directory is gone: the child has nothing to do."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def main(base: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    remove_left_behind(Layout(Path(base)), patience_s=STOP_TIMEOUT_S)


if __name__ == "__main__":
    main(sys.argv[1])
