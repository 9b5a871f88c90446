"""Monitors a lock attempt from a second session: the sessions that block it, those that wait behind it and for how long, that
its locks are not held past their limit, and that the disk will take its COMMIT."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

import psycopg
from psycopg.rows import class_row

from cutover.hold import Hold
from cutover.kill import Killer
from swap.core.blockers import Blocker, blockers
from swap.core.connection import Connection
from swap.core.sql_text import load_sql
from swap.sync.logical.barrier import emit_barrier

POLL_S = 0.02


@dataclass(frozen=True)
class Bystanders:
    """Sessions that waited behind an attempt: the most at one time, and the longest wait (ms) behind it. Sampled every
    20 ms: a wait may have been longer by as much."""

    sessions: int = 0
    longest_ms: float = 0.0

    def __or__(self, other: Bystanders) -> Bystanders:
        return Bystanders(max(self.sessions, other.sessions), max(self.longest_ms, other.longest_ms))

    def __str__(self) -> str:
        return f"at most {self.sessions} sessions waited behind them, {self.longest_ms:.0f} ms at the longest"


@dataclass
class AttemptMonitor:
    """Polls every 20 ms while used as a context. Read `blockers` and `bystanders` afterwards.

    `session` is open before the attempt begins: a short attempt is over before a new session is open (seen on a busy machine)."""

    session: Connection
    pid: int
    killer: Killer
    blockers: dict[int, Blocker] = field(default_factory=dict)
    bystanders: Bystanders = Bystanders()
    _hold: Hold | None = None
    _committing: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def __enter__(self) -> AttemptMonitor:
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def granted(self, hold: Hold) -> None:
        """The locks are held from now on. No session blocks any more; monitor the hold."""
        self._hold = hold

    def flush(self) -> None:
        """Put on disk what the exchange wrote so far, by a commit of this session behind it. Little is left for the COMMIT to
        wait for."""
        with suppress(psycopg.Error):  # a lost session, or not allowed here: the COMMIT is no worse for it
            emit_barrier(self.session)

    def committing(self) -> None:
        """From now on cancel nothing: the COMMIT is sent next."""
        with self._ending:
            self._committing = True

    def _run(self) -> None:
        try:
            while not self._stop.wait(POLL_S):
                self._look(self.session)
        except psycopg.Error:
            self.session.close()  # the attempt itself reports a lost server

    def _look(self, conn: Connection) -> None:
        params = {"pid": self.pid}
        waiting = conn.cursor(row_factory=class_row(Bystanders)).execute(load_sql("cutover", "waiters.sql"), params).fetchone()
        if waiting:
            self.bystanders |= waiting
        with self._ending:
            if self._hold is not None:
                if self._hold.left_ms() <= 0 and not self._committing:
                    conn.execute("SELECT pg_cancel_backend(%(pid)s)", params)
                return
        for blocker in blockers(conn, self.pid):
            self.blockers[blocker.pid] = blocker
            self.killer.consider(conn, blocker)
