"""Watches a lock attempt from a second session: who blocks it, how many wait behind it, and who is told to go."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import TracebackType

import psycopg

from swap.core.blockers import Blocker, blockers
from swap.core.connection import Connection, Database
from swap.core.errors import SwapError
from swap.core.text import load_sql

POLL_S = 0.02


@dataclass
class Watch:
    """Polls every 20 ms while used as a context. Read `blockers` and `waiters_max` afterwards.

    `kill`: `never`, `idle-in-transaction` or `all`; never a superuser's, a replication or another swap's session.
    """

    database: Database
    pid: int
    kill: str = "never"
    blockers: dict[int, Blocker] = field(default_factory=dict)
    killed: list[Blocker] = field(default_factory=list)
    waiters_max: int = 0
    locked: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        try:
            with self.database.session("watch") as conn:
                while not self._stop.wait(POLL_S):
                    self._look(conn)
        except (SwapError, psycopg.Error):
            return  # the attempt itself reports a lost server

    def _look(self, conn: Connection) -> None:
        params = {"pid": self.pid}
        row = conn.execute(load_sql("cutover", "waiters.sql"), params).fetchone()
        self.waiters_max = max(self.waiters_max, row[0] if row else 0)
        if self.locked.is_set():
            return
        for blocker in blockers(conn, self.pid):
            self.blockers[blocker.pid] = blocker
            self._maybe_kill(conn, blocker)

    def _maybe_kill(self, conn: Connection, b: Blocker) -> None:
        idle = b.state.startswith("idle in transaction")
        if self.kill == "never" or b.privileged or b.backend_type != "client backend":
            return
        if b.application.startswith("swap ") or (self.kill == "idle-in-transaction" and not idle):
            return
        cancelled = any(k.pid == b.pid for k in self.killed)
        end, cancel = "SELECT pg_terminate_backend(%s)", "SELECT pg_cancel_backend(%s)"
        try:
            conn.execute(end if idle or cancelled else cancel, [b.pid])
        except psycopg.errors.InsufficientPrivilege:
            return
        self.killed.append(b)
