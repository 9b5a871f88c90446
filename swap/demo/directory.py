"""The directory of a private server, its owner, and the removal of directories whose owner died.

The process that makes a directory holds an exclusive `flock` on the file `owner` in it. The kernel drops that lock however the
process ends. So a directory whose lock can be taken was left behind: the watchdog of that server (`swap.demo.watchdog`), or the next
start of any, ends its postmaster and removes it. A process id
in a file is not enough: ids are used again, and mean nothing in another container that shares the temporary directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PREFIX = "swap-pg-"
STOP_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.02


@dataclass(frozen=True)
class Layout:
    """The files of one server. `base` belongs to this process, `data` and `sockets` to the server's user."""

    base: Path

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def sockets(self) -> Path:
        return self.base / "s"  # short: a socket's path may not exceed 107 bytes

    @property
    def log(self) -> Path:
        return self.base / "log"

    @property
    def owner(self) -> Path:
        return self.base / "owner"


def remove_stale(parent: Path) -> None:
    """Remove the directories, and end the postmasters, of owners that died without `stop()`.

    Safe while other processes start servers or do the same: the process that gets the lock does the work. Leaves alone the
    directories of other users, and those that have no `owner` file yet.
    """
    for base in parent.glob(f"{PREFIX}*"):
        layout = Layout(base.resolve())
        if base.is_symlink() or base.stat().st_uid != os.geteuid():
            continue
        remove_left_behind(layout)


def remove_left_behind(layout: Layout, patience_s: float = 0.0) -> None:
    """End the postmaster and remove the directory, if its owner is gone. An owner that is just ending has `patience_s` for it."""
    deadline = time.monotonic() + patience_s
    with contextlib.suppress(OSError), layout.owner.open("r+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return
                time.sleep(POLL_INTERVAL_S)
        if layout.owner.exists():
            _end_postmaster(layout)
            shutil.rmtree(layout.base, ignore_errors=True)


def _end_postmaster(layout: Layout) -> None:
    """Shut down the postmaster of this data directory, if it runs, in mode immediate, and wait for its end."""
    try:
        pid = int((layout.data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if not _runs_on(pid, layout.data):
        return
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _runs_on(pid, layout.data):
        if time.monotonic() > deadline:
            raise OSError(f"the postmaster {pid} of {layout.base} did not stop")
        time.sleep(POLL_INTERVAL_S)


def _runs_on(pid: int, data: Path) -> bool:
    """Whether the process exists and is a postmaster on this directory. The id alone may be that of another process by now."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        command = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout
    return f" -D {data} ".encode() in command


def take_ownership(layout: Layout) -> IO[str]:
    """Lock the `owner` file before it gets its name: under that name it is never unlocked while this process lives."""
    layout.base.chmod(0o711)  # the server's user may pass through it, and not list it
    unnamed = layout.base / "owner.new"
    lock = unnamed.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(layout.owner)
    return lock
