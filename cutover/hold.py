"""How long one exchange may hold its locks: `max_lock_hold_ms` from their grant (I2).

Three things keep it, because each alone has a hole. The server's statement_timeout ends a slow statement, but counts
each of a script's or a drain's statements from zero. So a second session cancels what runs past the limit
(`cutover/watch.py`). And if the tool hangs or is stopped, idle_in_transaction_session_timeout ends the session.

The COMMIT itself can be ended by nobody. It would wait, with every lock held, for a synchronous standby that does not
answer: so the exchange commits with synchronous_commit = local, and the follow-up's next commit, which holds no lock
that others want, waits in its place. No acknowledged write of the application can be lost by it: one that was made on
top of the exchange lies behind it in the WAL, and is acknowledged when the standby has both. What is left is the
server's own disk: a flush of the WAL that stalls there stalls every writer of the cluster, with or without swap.
"""

from __future__ import annotations

import time

from psycopg import sql

from swap.core.ladder import local_timeout, rest

IDLE = "idle_in_transaction_session_timeout"


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

    def renewed(self, script: bytes) -> bytes:
        """`script` with the server's timers set to what is left: before it, and when it has run, in the same message.
        Raises HoldExceededError when nothing is."""
        self.check()
        left = int(self.left_ms()) + 1
        before = sql.SQL("; ").join(local_timeout(name, left) for name in ("statement_timeout", IDLE))
        after = rest("statement_timeout", left), rest(IDLE, left)
        return b";\n".join([before.as_bytes(), script, *(q.as_bytes() for q in after)])
