"""The sessions of a build's workers. Each is used for one task after another: to open one takes longer than to copy a small table,
and a build of two hundred tables would open eight hundred."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from psycopg import pq, sql

from swap.core.connection import Connection, Database


class WorkerSessions:
    """Sessions of `database` that are kept open until `close`. Any thread may ask for one. What a task sets in its session stays set
    for the next one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._idle: SimpleQueue[Connection] = SimpleQueue()

    @contextmanager
    def session(self, purpose: str = "") -> Iterator[Connection]:
        """A session for the length of the block, under the name of its `purpose`. After an error it is closed."""
        conn = self._take(purpose)
        try:
            yield conn
        except BaseException:
            conn.close()
            raise
        if conn.closed or conn.info.transaction_status is not pq.TransactionStatus.IDLE:
            conn.close()
        else:
            self._idle.put(conn)

    def _take(self, purpose: str) -> Connection:
        try:
            conn = self._idle.get_nowait()
        except Empty:
            return self.database.connect(purpose)
        try:
            name = sql.Literal(self.database.application_name(purpose))
            conn.execute(sql.SQL("SELECT pg_catalog.set_config('application_name', {}, false)").format(name))
        except BaseException:
            conn.close()
            raise
        return conn

    def close(self) -> None:
        """Close the sessions that are idle. No other is in use by then."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return
