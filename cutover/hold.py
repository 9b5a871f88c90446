"""How long one exchange may hold its locks: `max_lock_hold_ms` from their grant (I2).

Three things keep it, because each alone has a hole. The server's statement_timeout ends a slow statement, but counts
each of a script's or a drain's statements from zero. So a second session cancels what runs past the limit
(`cutover/attempt_monitor.py`). And if the tool hangs or is stopped, idle_in_transaction_session_timeout ends the session.

The COMMIT itself can be ended by nobody, so nothing is left in it to wait for. A synchronous standby that does not answer:
the exchange commits with synchronous_commit = local, and the follow-up's next commit, which holds no lock that others
want, waits in its place. No acknowledged write of the application can be lost by it: one that was made on top of the
exchange lies behind it in the WAL, and is acknowledged when the standby has both. A disk that stalls: before the COMMIT a
second session commits a message, which flushes all that the exchange wrote; if that is not done in time the exchange is
rolled back, for which nothing is flushed. Seen on a frozen file system: readers had the table again while it was
frozen; without the message they waited until it was not. What is left is the flush of one record a moment later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import psycopg
from psycopg import sql

from swap.core.lock_retries import local_timeout, rest

IDLE = "idle_in_transaction_session_timeout"
BEFORE_MS = 50.0
T = TypeVar("T")


class HoldExceededError(Exception):
    """The transaction would have held its locks longer than allowed; it was rolled back."""


class Hold:
    """Begins when the locks were granted, by a message that ended with `timers`."""

    def __init__(self, limit_ms: int) -> None:
        self.limit_ms = limit_ms
        self.granted = time.monotonic()

    @staticmethod
    def timers(limit_ms: int) -> sql.Composed:
        """Both of the server's, at the limit; and the COMMIT waits for no standby."""
        timers = (local_timeout(name, limit_ms) for name in ("statement_timeout", IDLE))
        return sql.SQL("; ").join([*timers, sql.SQL("SET LOCAL synchronous_commit = local")])

    def left_ms(self) -> float:
        return self.limit_ms - (time.monotonic() - self.granted) * 1000

    def check(self) -> None:
        if self.left_ms() <= 0:
            raise HoldExceededError

    def patience_s(self) -> float:
        """How long to wait for something else: until shortly before the server would end the idle session."""
        return max(0.0, self.left_ms() - BEFORE_MS) / 1000

    def wait_for(self, work: Callable[[], T]) -> T:
        """`work`, SQL of another session, which a stalled disk could hold up for ever. Raises what the server says, and
        HoldExceededError when it takes too long: then it is left to end by itself."""
        doing: Future[T] = Future()

        def do() -> None:
            try:
                doing.set_result(work())
            except psycopg.Error as e:
                doing.set_exception(e)

        threading.Thread(target=do, name="beside the hold", daemon=True).start()
        try:
            return doing.result(self.patience_s())
        except TimeoutError:
            raise HoldExceededError from None

    def renewed(self, script: bytes) -> bytes:
        """`script` with the server's timers set to what is left: before it, and when it has run, in the same message.
        Raises HoldExceededError when nothing is."""
        self.check()
        left = int(self.left_ms()) + 1
        before = sql.SQL("; ").join(local_timeout(name, left) for name in ("statement_timeout", IDLE))
        after = rest("statement_timeout", left), rest(IDLE, left)
        return b";\n".join([before.as_bytes(), script, *(q.as_bytes() for q in after)])
