"""The lock ladder: short attempts, jittered pauses, a bounded number of them. The one module that uses tenacity.

A queued ACCESS EXCLUSIVE request blocks every later reader (H33): so each attempt waits at most
`lock_timeout_ms`, gives up, and pauses long enough for the queue behind it to drain.
Locks are asked for in one LOCK TABLE statement, at once in the mode needed: an upgrade is how deadlocks start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import sql
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from swap.core.connection import Connection
from swap.core.errors import LockError
from swap.core.names import TableName

T = TypeVar("T")
RETRIED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)


@dataclass(frozen=True)
class LockBudget:
    """How long one attempt may queue for its locks (ms), and how often it is tried."""

    lock_timeout_ms: int
    max_attempts: int


def lock_tables(tables: Sequence[TableName], mode: str) -> sql.Composed:
    """One LOCK TABLE over `tables` in a fixed order. ONLY is not used: children belong to the table."""
    names = sql.SQL(", ").join(t.sql for t in sorted(set(tables)))
    return sql.SQL("LOCK TABLE {} IN {} MODE").format(names, sql.SQL(mode))


def local_timeout(name: str, ms: int) -> sql.Composed:
    return sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(f"{ms}ms"))


def with_locks(
    conn: Connection,
    tables: Sequence[TableName],
    mode: str,
    budget: LockBudget,
    body: Callable[[], T],
    on_refused: Callable[[int, psycopg.Error], None] = lambda attempt, error: None,
) -> T:
    """Run `body` in one transaction that holds `mode` on `tables`.

    Raises LockError when every attempt was refused; then nothing was changed.
    """

    def attempt() -> T:
        with conn.transaction():
            conn.execute(local_timeout("lock_timeout", budget.lock_timeout_ms))
            conn.execute(lock_tables(tables, mode))
            return body()

    def refused(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, psycopg.Error):
            on_refused(state.attempt_number, error)

    try:
        return _retrying(budget, refused)(attempt)
    except RETRIED as e:
        names = ", ".join(str(t) for t in sorted(set(tables)))
        raise LockError(
            f"No {mode} lock on {names} within {budget.max_attempts} attempts of {budget.lock_timeout_ms} ms: "
            f"{e.diag.message_primary}."
        ) from None


def _retrying(budget: LockBudget, refused: Callable[[RetryCallState], None]) -> Retrying:
    pause = max(budget.lock_timeout_ms, 50) / 1000
    return Retrying(
        retry=retry_if_exception_type(RETRIED),
        stop=stop_after_attempt(budget.max_attempts),
        wait=wait_random_exponential(multiplier=pause, min=pause / 2, max=max(2.0, pause * 4)),
        after=refused,
        reraise=True,
    )
