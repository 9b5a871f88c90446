"""Who is in the way of a session that waits for a lock, in words an operator can act on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from swap.core.connection import Connection, Database
from swap.core.errors import SwapError
from swap.core.report import Reporter
from swap.core.text import load_sql

HIDDEN = "<insufficient privilege>"
ASK_EVERY_S = 1.0


@dataclass(frozen=True)
class Blocker:
    """A session that holds what another one asked for; `age_s` of its transaction, None when the server hides it."""

    pid: int
    user: str
    application: str
    state: str
    query: str
    age_s: float | None
    backend_type: str
    privileged: bool

    def __str__(self) -> str:
        if self.pid == 0:
            return "a prepared transaction (pg_prepared_xacts): COMMIT PREPARED or ROLLBACK PREPARED"
        who = f"pid {self.pid} {self.user} ({self.application or 'no application_name'})"
        if self.query == HIDDEN:
            return f"{who}; GRANT pg_monitor to see what it does"
        age = "" if self.age_s is None else f" for {self.age_s:.1f} s"
        return f"{who}, {self.state or self.backend_type}{age}: {' '.join(self.query.split()) or '-'}"


def blockers(conn: Connection, pid: int) -> list[Blocker]:
    """The sessions that `pid` waits for; empty when it waits for none."""
    rows = conn.execute(load_sql("swap.core", "blockers.sql"), {"pid": pid}).fetchall()
    return [Blocker(*r) for r in rows]


def sessions(conn: Connection, pids: Sequence[int]) -> list[Blocker]:
    """The sessions of these processes; without those that are gone."""
    rows = conn.execute(load_sql("swap.core", "sessions.sql"), {"pids": list(pids)}).fetchall()
    return [Blocker(*r) for r in rows]


@contextmanager
def explained(database: Database, conn: Connection, what: str, report: Reporter) -> Iterator[None]:
    """While `conn` is at work on something that may wait (an index built CONCURRENTLY), say for whom it waits."""
    stop = threading.Event()
    pid = conn.info.backend_pid

    def look() -> None:
        try:
            with database.session("waits") as own:
                while not stop.wait(ASK_EVERY_S):
                    found = blockers(own, pid)
                    report.waiting(f"{what} waits for {'; '.join(map(str, found))}" if found else "")
        except (SwapError, psycopg.Error):
            return  # the work itself reports a lost server

    thread = threading.Thread(target=look, name="waits")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        report.waiting("")
