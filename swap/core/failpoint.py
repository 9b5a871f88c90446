"""Failpoints: a test stops a command after its N-th statement. Off unless SWAP_FAILPOINT says otherwise.

    kill:N        SIGKILL after the N-th statement of this process, counted over all its sessions
    hold:N:FILE   create FILE after the N-th statement, and go on when it is gone
    count:FILE    nothing but count; FILE holds the number so far

A statement is one round trip that this code sends; BEGIN and COMMIT of a transaction block are the driver's, so a kill
before a COMMIT is one after the last statement before it. Where nothing is configured, sessions have psycopg's own
cursor: nothing of this is on the way.
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
    """What sessions make their cursors with."""
    return _Counted if os.environ.get(VARIABLE) else psycopg.Cursor


def _reached() -> None:
    global _sent  # noqa: PLW0603 - statements of the process, whichever session sent them
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
