"""Measures how long the application would wait for a commit: a row of swap's own schema is written and committed, again and again.

It has a thread and a session of its own, with the server's synchronous_commit, so it waits for the disk and for a synchronous standby as a
writer does. No other session waits for it: it writes one row that no other session writes.
"""

from __future__ import annotations

import threading
import time
from collections import deque

import psycopg

from swap.core.connection import Connection
from swap.core.errors import SwapError
from swap.core.sql_text import session_timeout
from swap.state.migration import Migration

OFTEN_S, USUAL_S, AGAIN_S = 0.05, 0.2, 1.0
TIMEOUT_MS = 10_000
KEPT = 1000  # samples: nobody takes them while the build waits


class CommitProbe:
    """Begins at once, and measures from `after_s` on."""

    def __init__(self, migration: Migration, after_s: float) -> None:
        self._migration = migration
        self._every_s = OFTEN_S
        self._lock = threading.Lock()
        self._samples = deque[float](maxlen=KEPT)
        self._since: float | None = None  # when the probe under way began
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(after_s,), name="commit probe", daemon=True)
        self._thread.start()

    def samples(self) -> list[float]:
        """In milliseconds, since `take`."""
        with self._lock:
            return list(self._samples)

    def take(self) -> list[float]:
        """The same, and forgets them. A probe that still waits counts with the time that it has waited."""
        with self._lock:
            taken = list(self._samples)
            self._samples.clear()
            return taken if self._since is None else [*taken, (time.monotonic() - self._since) * 1000]

    def calm_down(self) -> None:
        """From now on measure less often, and forget what was measured."""
        self._every_s = USUAL_S
        self.take()

    def close(self) -> None:
        self._end.set()
        self._thread.join(TIMEOUT_MS / 1000)

    def _run(self, after_s: float) -> None:
        self._end.wait(after_s)
        while not self._end.is_set():
            try:
                with self._migration.database.session("commit probe") as conn:
                    self._measure(conn)
            except (SwapError, psycopg.Error):  # the session of `sync` itself reports a lost server
                self._end.wait(AGAIN_S)

    def _measure(self, conn: Connection) -> None:
        conn.execute(session_timeout("statement_timeout", TIMEOUT_MS))
        m = self._migration.on(conn)
        while not self._end.is_set():
            began = time.monotonic()
            with self._lock:
                self._since = began
            try:
                m.journal.steering.probe(m.run.id)
            except psycopg.errors.QueryCanceled:
                pass  # it waited that long
            finally:
                with self._lock:
                    self._since = None
                    self._samples.append((time.monotonic() - began) * 1000)
            self._end.wait(self._every_s)
        m.journal.steering.forget_probe(m.run.id)
