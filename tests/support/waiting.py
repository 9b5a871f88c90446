"""Waiting for a condition instead of for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

POLL_INTERVAL_S = 0.01
PATIENCE_S = 60.0  # a busy machine is slow, not wrong: only a test that fails waits this long

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout_s: float = PATIENCE_S, what: str = "condition") -> T:
    """Poll until the predicate's value is true, and return that value. Raises AssertionError after
    `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(POLL_INTERVAL_S)
    return value


def blocked_by(conn: psycopg.Connection[Any], pid: int) -> list[int]:
    """The pids that session `pid` waits for: empty when it waits for no heavyweight lock."""
    row = conn.execute(
        "SELECT pg_blocking_pids(pid) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
        (pid,),
    ).fetchone()
    return list(row[0]) if row else []


def wait_for_lock_wait(conn: psycopg.Connection[Any], pid: int, timeout_s: float = PATIENCE_S) -> list[int]:
    """Wait until the session `pid` waits for a lock, and return the pids in its way. `conn`: autocommit,
    another session.
    """
    return wait_until(lambda: blocked_by(conn, pid), timeout_s, f"session {pid} waits for a lock")
