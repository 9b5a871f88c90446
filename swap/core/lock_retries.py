"""Lock retries: a bounded number of short attempts, with random pauses between them.

A queued ACCESS EXCLUSIVE request blocks every later reader (H33). So each attempt waits at most `lock_timeout_ms` and then gives
up, and the pause is long enough for the queue behind the attempt to drain. One LOCK TABLE statement asks for all tables, at once
in the mode that is needed: a later upgrade of the mode is how deadlocks begin.

lock_timeout limits each wait, and not their sum. LOCK TABLE waits for its tables in turn; it holds those that were granted, and
other sessions queue for them (seen: 1.2 s for three tables under a lock_timeout of 0.5 s). So a statement_timeout of the same
length runs beside it (I2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from swap.core.connection import Connection
from swap.core.errors import LockError
from swap.core.lock_budget import LockBudget
from swap.core.names import TableName
from swap.core.sql_text import Query, local_timeout

__all__ = ["RETRIED", "acquire", "local_timeout", "lock_tables", "rest", "with_lock_retries", "with_locks"]

T = TypeVar("T")
RETRIED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)


def lock_tables(tables: Sequence[TableName], mode: str) -> sql.Composed:
    """One LOCK TABLE over `tables`, ordered by name. Without ONLY: the children belong to the table."""
    names = sql.SQL(", ").join(t.sql for t in sorted(set(tables)))
    return sql.SQL("LOCK TABLE {} IN {} MODE").format(names, sql.SQL(mode))


def rest(name: str, ms: int) -> sql.Composed:
    """Set a timeout to what is left of `ms` since the server received this message. All statements of one message have the same
    statement_timestamp(), and the server's clock decides."""
    return sql.SQL(
        "SELECT set_config({}, greatest(1, ceil({} - 1000 *"
        " extract(epoch FROM clock_timestamp() - statement_timestamp())))::int || 'ms', true)"
    ).format(sql.Literal(name), sql.Literal(ms))


def acquire(conn: Connection, locks: Sequence[Query], budget_ms: int, then: Query | None = None) -> None:
    """Run statements that wait for locks, one after another, in the caller's transaction: `budget_ms` for all waits together.

    Afterwards lock_timeout stays at `budget_ms` for every later lock of the transaction. statement_timeout is off, or what `then`
    sets in the same message.

    Raises psycopg's LockNotAvailable, whichever timer ended the wait, and QueryCanceled when an operator cancelled it earlier.
    """
    timers = sql.SQL("; ").join(local_timeout(n, budget_ms) for n in ("lock_timeout", "statement_timeout"))
    conn.execute(timers)
    steps = [s for lock in locks for s in (rest("statement_timeout", budget_ms), lock)][1:]
    steps.append(then or local_timeout("statement_timeout", 0))
    asked = time.monotonic()
    try:
        conn.execute(sql.SQL("; ").join(steps))
    except psycopg.errors.QueryCanceled:
        if (time.monotonic() - asked) * 1000 < budget_ms:
            raise
        raise psycopg.errors.LockNotAvailable(f"not all granted within {budget_ms} ms") from None


def with_locks(
    conn: Connection,
    tables: Sequence[TableName],
    mode: str,
    budget: LockBudget,
    body: Callable[[], T],
    on_refused: Callable[[int, psycopg.Error], None] = lambda attempt, error: None,
) -> T:
    """Run `body` in one transaction that holds `mode` on `tables`. Returns what it returns.

    `on_refused`: called after each attempt that failed, with its number and its error. Raises LockError when every attempt failed;
    nothing was changed then.
    """
    names = ", ".join(str(t) for t in sorted(set(tables)))
    return with_lock_retries(conn, [lock_tables(tables, mode)], f"{mode} lock on {names}", budget, body, on_refused)


def with_lock_retries(
    conn: Connection,
    locks: Sequence[Query],
    what: str,
    budget: LockBudget,
    body: Callable[[], T],
    on_refused: Callable[[int, psycopg.Error], None] = lambda attempt, error: None,
) -> T:
    """`with_locks`, for locks that LOCK TABLE does not take. `what`: the locks in words, for the error."""

    def attempt() -> T:
        with conn.transaction():
            acquire(conn, locks, budget.lock_timeout_ms)
            return body()

    def refused(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, psycopg.Error):
            on_refused(state.attempt_number, error)

    try:
        return _retrying(budget, refused)(attempt)
    except RETRIED as e:
        raise LockError(
            f"No {what} within {budget.max_attempts} attempts of {budget.lock_timeout_ms} ms: {e.diag.message_primary or e}."
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
