"""The commands of the cycle, as an operator runs them: `python -m swap COMMAND --json`, each a process of its own.

So a rehearsal tries what will run that night: the same options, the same exit codes, the same sessions. A process has a session of
its own: Ctrl-C reaches the rehearsal alone, which ends what it started.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from swap.rehearse.environment import clean_environment
from swap.rehearse.watchdog import Watchdog

STOP_S = 30.0
TAIL_BYTES = 4000


@dataclass(frozen=True)
class Ran:
    """How a command ended. `began`, `ended`: seconds since the epoch; `document`: what it printed."""

    args: tuple[str, ...]
    code: int
    began: float
    ended: float
    document: dict[str, Any]

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def error(self) -> dict[str, Any] | None:
        """Its error: message, state and hint; None where it ended with 0."""
        if self.code == 0:
            return None
        found = self.document.get("error")
        return dict(found) if found else {"message": f"It ended with {self.code} and said nothing.", "state": "", "hint": ""}


@dataclass
class Commands:
    """Runs commands with one configuration on one database. `directory`: for what `sync` prints. `watchdog`: ends them when this
    process is gone."""

    conninfo: str
    config: Path
    directory: Path
    watchdog: Watchdog = field(default_factory=Watchdog)

    def run(self, *args: str) -> Ran:
        """One command to its end. Whatever interrupts the wait ends the command too."""
        began = time.time()
        with (self.directory / "stderr").open("ab") as log:
            process = self._start([*args, "--json"], subprocess.PIPE, log)
            with self.watchdog.watching(group=process.pid):
                try:
                    stdout, _ = process.communicate()
                except BaseException:
                    end(process)
                    raise
        try:
            document = json.loads(stdout or b"{}")
        except ValueError:
            document = {"error": {"message": stdout[-TAIL_BYTES:].decode(errors="replace"), "state": "", "hint": ""}}
        return Ran(args, process.returncode, began, time.time(), document)

    @contextmanager
    def syncing(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run `swap sync` during the block."""
        with (self.directory / "sync.log").open("ab") as log:
            process = self._start(["sync"], log, log)
            with self.watchdog.watching(group=process.pid):
                try:
                    yield process
                finally:
                    end(process)

    def sync_works(self) -> bool:
        """Whether a `swap sync` works on the run; asked by `swap status`."""
        return bool((self.run("status").document.get("worker") or {}).get("running"))

    def sync_said(self) -> str:
        """The end of what `swap sync` printed."""
        try:
            return (self.directory / "sync.log").read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _start(self, args: list[str], stdout: int | IO[bytes], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        package = str(Path(__file__).resolve().parents[2])
        environment = clean_environment(SWAP_DSN=self.conninfo, SWAP_CONFIG=str(self.config), PYTHONPATH=package)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "swap", *args],
            env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL. Returns when the process has ended."""
    if process.poll() is not None:
        return
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
        return
    process.kill()
    process.wait()
