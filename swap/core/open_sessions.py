"""The sessions that this process has open, so that a signal can end what they wait for.

A signal reaches the main thread only. There the driver cancels its statement. A session of another thread goes on waiting, and the
main thread would wait for that thread.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq

CANCEL_S = 2.0
_open: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
_lock = threading.Lock()


def remember(conn: psycopg.Connection[Any]) -> None:
    with _lock:
        _open.add(conn)


def active() -> set[psycopg.Connection[Any]]:
    """The sessions in the middle of a statement."""
    with _lock:
        return {c for c in _open if not c.closed and c.pgconn.transaction_status == pq.TransactionStatus.ACTIVE}


def cancel_until(ended: threading.Event, every_s: float) -> None:
    """Cancel each statement that two looks in a row, `every_s` apart, have seen, until `ended` is set. A short statement of those
    that end the command in order is so left alone."""
    before: set[psycopg.Connection[Any]] = set()
    while not ended.wait(every_s):
        now = active()
        for conn in now & before:
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=CANCEL_S)
        before = now
