"""How long one exchange may hold its locks: `max_lock_hold_ms` from their grant (I2).

Three timers keep the limit, because each alone has a hole. The server's statement_timeout ends a slow statement, but counts
each statement of a script or a drain from zero. So a second session cancels a statement that runs past the limit
(`cutover/attempt_monitor.py`). And if the tool hangs or is stopped, idle_in_transaction_session_timeout ends the session.

No session can end the COMMIT itself, so nothing is left in it to wait for. There are two cases.

A synchronous standby does not answer. The exchange commits with synchronous_commit = local. The next commit of the follow-up
waits for the standby instead; it holds no lock that another session wants. The application loses no acknowledged write: one
that was made on top of the exchange lies behind it in the WAL, and is acknowledged when the standby has both.

A disk stalls. Before the COMMIT a second session commits a message, which flushes all that the exchange wrote. If that is not
done in time, the exchange is rolled back, and a rollback flushes nothing. Seen on a frozen file system: readers had the
table again while it was frozen; without the message they waited until it was not. The COMMIT then flushes one record only.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg import sql

from swap.core.lock_retries import local_timeout, rest

IDLE = "idle_in_transaction_session_timeout"
BEFORE_MS = 50.0
T = TypeVar("T")


@contextmanager
def without_collector() -> Iterator[None]:
    """The block leaves no garbage worth its time: Python's collector would look through every object of a large plan while the
    application waits (seen: 0.3 s of the 1.3 s of an exchange of a hundred tables)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class HoldExceededError(Exception):
    """The transaction would have held its locks longer than allowed, so it was rolled back."""


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
        """How long another wait may take: until shortly before the server would end the idle session."""
        return max(0.0, self.left_ms() - BEFORE_MS) / 1000

    def wait_for(self, work: Callable[[], T]) -> T:
        """Run `work`, SQL of another session, which a stalled disk could hold up for ever. Raises the server's errors, and
        HoldExceededError when it takes too long; then `work` ends by itself."""
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
        """`script` with the server's timers set to the time left: before it, and when it has run, in the same message.
        Raises HoldExceededError when no time is left."""
        self.check()
        left = int(self.left_ms()) + 1
        before = sql.SQL("; ").join(local_timeout(name, left) for name in ("statement_timeout", IDLE))
        after = rest("statement_timeout", left), rest(IDLE, left)
        return b";\n".join([before.as_bytes(), script, *(q.as_bytes() for q in after)])
