"""Failpoints: a test stops a command after its N-th statement. Only SWAP_FAILPOINT turns them on.

    kill:N        SIGKILL after the N-th statement of this process, counted over all its sessions
    hold:N:FILE   create FILE after the N-th statement, and go on when FILE is gone
    count:FILE    only count; FILE holds the number so far

A statement is one round trip that this code sends. The driver sends BEGIN and COMMIT of a transaction block itself, so a kill
before a COMMIT is a kill after the last statement before it. Without SWAP_FAILPOINT sessions have psycopg's own cursor, and none
of this code runs.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Self

import psycopg

VARIABLE = "SWAP_FAILPOINT"
_lock = threading.Lock()
_sent = 0


class _Counted(psycopg.Cursor[tuple[Any, ...]]):
    def execute(self, *args: Any, **kwargs: Any) -> Self:
        super().execute(*args, **kwargs)
        _reached()
        return self


def cursor_factory() -> type[psycopg.Cursor[tuple[Any, ...]]]:
    """The class of a session's cursors."""
    return _Counted if os.environ.get(VARIABLE) else psycopg.Cursor


def _reached() -> None:
    global _sent  # noqa: PLW0603 - counts the statements of all sessions of the process
    action, _, rest = os.environ[VARIABLE].partition(":")
    number, _, file = rest.partition(":")
    with _lock:
        _sent += 1
        if action == "count":
            Path(rest).write_text(str(_sent), encoding="ascii")
        elif _sent == int(number) and action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif _sent == int(number) and action == "hold":
            path = Path(file)
            path.touch()
            while path.exists():
                time.sleep(0.005)
