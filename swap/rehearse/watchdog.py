"""Removes what a rehearsal made when the rehearsal is gone, however it ended: SIGKILL, a crash, the OOM killer.

A child process waits at a pipe whose other end only the rehearsal holds: the kernel closes it. Each line tells it of something to
remove, or that this is removed already: a process group to end, a database to drop, a clone's hook to call, a directory. What is left
when the pipe closes it removes in that order: a database is not dropped while a program still uses it.

What a line holds goes through the pipe, not through argv: it may be a password.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parents[2]
GROUP_S = 10.0
ORDER = ("group", "database", "hook", "directory")


@dataclass
class Watchdog:
    """A context manager: at the end of the block nothing is watched any more, and the child is gone."""

    _child: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def __enter__(self) -> Watchdog:
        from swap.rehearse.environment import clean_environment  # noqa: PLC0415 - the child does without

        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "swap.rehearse.watchdog"], env=clean_environment(PYTHONPATH=str(PACKAGES)), cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None and self._child.stdin is not None:
            self._tell({"all": True})
            with suppress(OSError):
                self._child.stdin.close()
            self._child.wait()

    @contextmanager
    def watching(self, **what: Any) -> Iterator[None]:
        """One thing, during the block, at whose end it is removed. One of: `group`, a number; `directory`; `database` and `conninfo`;
        `hook`, its argv, and `environment` and `directory_of`."""
        number = self.add(**what)
        try:
            yield
        finally:
            self.done(number)

    def add(self, **what: Any) -> int:
        number = next(self._numbers)
        self._tell({"add": number, **what})
        return number

    def done(self, number: int) -> None:
        self._tell({"done": number})

    def _tell(self, line: dict[str, Any]) -> None:
        """A child that is gone watches nothing, and hinders nothing."""
        if self._child is not None and self._child.stdin is not None:
            with suppress(OSError, ValueError):
                self._child.stdin.write(json.dumps(line).encode() + b"\n")
                self._child.stdin.flush()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left: dict[int, dict[str, Any]] = {}
    for line in sys.stdin:
        with suppress(ValueError):  # the last line may be half written
            told = json.loads(line)
            if "add" in told:
                left[told["add"]] = told
            elif "done" in told:
                left.pop(told["done"], None)
            else:
                left.clear()
    for kind in ORDER:
        for what in left.values():
            if kind in what:
                with suppress(Exception):  # the others are to go all the same
                    REMOVE[kind](what)


def _end_group(what: dict[str, Any]) -> None:
    os.killpg(what["group"], signal.SIGTERM)
    until = time.monotonic() + GROUP_S
    while time.monotonic() < until:
        os.killpg(what["group"], 0)  # raises when it is gone
        time.sleep(0.1)
    os.killpg(what["group"], signal.SIGKILL)


def _drop(what: dict[str, Any]) -> None:
    import psycopg  # noqa: PLC0415 - only where there is something to do

    from swap.rehearse.new_database import drop_database  # noqa: PLC0415

    with psycopg.connect(what["conninfo"], autocommit=True) as conn:
        drop_database(conn, what["database"])


def _call(what: dict[str, Any]) -> None:
    subprocess.run(
        what["hook"], cwd=what["directory_of"], env={**os.environ, **what["environment"]}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def _remove(what: dict[str, Any]) -> None:
    shutil.rmtree(what["directory"], ignore_errors=True)


REMOVE = {"group": _end_group, "database": _drop, "hook": _call, "directory": _remove}

if __name__ == "__main__":
    main()
