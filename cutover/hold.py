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

from swap.core.connection import Connection
from swap.core.ladder import local_timeout


class HoldExceededError(Exception):
    """The transaction would have held its locks longer than allowed; it was rolled back."""


class Hold:
    """Begins when the locks were granted, in the transaction of `conn` that holds them."""

    def __init__(self, conn: Connection, limit_ms: int) -> None:
        self.conn, self.limit_ms = conn, limit_ms
        self.granted = time.monotonic()

    def left_ms(self) -> float:
        return self.limit_ms - (time.monotonic() - self.granted) * 1000

    def renew(self) -> None:
        """The server's own timers are set to what is left. Raises HoldExceededError when nothing is."""
        left = self.left_ms()
        if left <= 0:
            raise HoldExceededError
        timers = ("statement_timeout", "idle_in_transaction_session_timeout")
        local = sql.SQL("SET LOCAL synchronous_commit = local")
        self.conn.execute(sql.SQL("; ").join([*(local_timeout(n, int(left) + 1) for n in timers), local]))
