"""Looks at the clone every few milliseconds: which locks `swap` holds, who waits, which command works on the rows of which table, and
how many changes wait for replay.

A lock that is shorter than the interval may be missed: then the report says that it was not seen, and that is no failure.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from swap.core.config import Config
from swap.core.connection import Connection, Database, first_line
from swap.core.errors import SwapError
from swap.core.rows import fetch
from swap.core.sql_text import load_sql, local_timeout
from swap.rehearse.work import WorkSampler, command_of
from swap.state.journal import Journal
from swap.state.tables import ENDED
from swap.sync.change_queue import ChangeQueue

INTERVAL_S = 0.02
BACKLOG_EVERY_S = 0.5
BACKLOG_LOCK_MS = 50  # behind an exchange the looks would stop with it (seen: 1.8 s without one)
LONGEST_QUERY = 300  # characters of a statement that are kept
RELEASED_S = 0.25  # a lock that was not seen for so long was let go in between


class Held(NamedTuple):
    """A row of held_locks.sql."""

    application: str
    oid: int
    schema: str
    table: str
    mode: str
    query: str
    waiting: int


class SeenKey(NamedTuple):
    """What a lock is told apart by. `query`: the beginning of a statement that was a message of its own, else empty."""

    command: str
    table: str
    mode: str
    query: str = ""


@dataclass
class Seen:
    """A lock as it was seen. `longest_ms`: the longest time between two looks that both saw it, one after the other."""

    since: float
    last: float
    times: int = 0
    longest_ms: float = 0.0
    waiting_max: int = 0
    holds_ms: list[float] = field(default_factory=list)

    def look(self, now: float, waiting: int) -> None:
        if now - self.last > RELEASED_S or not self.times:
            self.holds_ms.append(0.0)
            self.since = now
        self.last = now
        self.times += 1
        self.holds_ms[-1] = (now - self.since) * 1000
        self.longest_ms = max(self.longest_ms, self.holds_ms[-1])
        self.waiting_max = max(self.waiting_max, waiting)


@dataclass
class Sampler:
    """A thread with a session of its own on the clone. A context manager. `names`: of relations whose
    locks were seen, by oid, as they were called first. `lost`: why it stopped looking before its end."""

    database: Database
    config: Config
    work: WorkSampler = field(default_factory=WorkSampler)
    seen: dict[SeenKey, Seen] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    backlog: list[tuple[float, int]] = field(default_factory=list)
    lost: str | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        try:
            with self.database.session("sampler") as conn:
                self._look(conn)
        except (psycopg.Error, SwapError) as e:
            self.lost = first_line(e)

    def _look(self, conn: Connection) -> None:
        next_backlog = 0.0
        while not self._stop.wait(INTERVAL_S):
            now = time.time()
            self.work.look(conn, now)
            self._locks(conn, now)
            if now >= next_backlog:
                next_backlog = now + BACKLOG_EVERY_S
                self._backlog(conn, now)

    def _locks(self, conn: Connection, now: float) -> None:
        params = {"state": self.config.names.state_schema, "longest": LONGEST_QUERY}
        for held in fetch(conn, Held, load_sql("swap.rehearse", "held_locks.sql"), params):
            table = f"{held.schema}.{held.table}"
            self.names.setdefault(held.oid, table)
            command = command_of(held.application)
            for query in {"", held.query}:
                key = SeenKey(command, table, held.mode, query)
                self.seen.setdefault(key, Seen(now, now)).look(now, held.waiting)

    def _backlog(self, conn: Connection, now: float) -> None:
        """While a run is there. Its tables come and go beside this: what is not there is no number."""
        with suppress(psycopg.Error, SwapError), conn.transaction():
            conn.execute(local_timeout("lock_timeout", BACKLOG_LOCK_MS))
            journal = Journal(conn, self.config.names.state_schema, self.config.source.name)
            run = journal.current(self.config.source.name) if journal.exists() else None
            if run is not None and run.phase not in ENDED and journal.step_done(run.id, "capture"):
                self.backlog.append((now, ChangeQueue(conn, run.plan, run.id).count_due()))
