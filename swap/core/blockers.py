"""Why a session does not go on: the sessions that it waits for, or how far its long statement is. In words for an operator.

The text of another session's query holds values of rows. So it is told only where an operator asks for it (`--show-queries`), and
the journal never gets it: a Blocker in words is without its query, and a Reason keeps the two apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.errors import SwapError
from swap.core.open_sessions import active
from swap.core.printable import one_line
from swap.core.report import Reporter
from swap.core.rows import fetch, fetch_rows, fetch_values
from swap.core.session_settings import OWN_CLASS
from swap.core.sql_text import load_sql

HIDDEN = "<insufficient privilege>"
OWN: dict[str, object] = {"own_class": OWN_CLASS}
"""Parameters of every query that tells swap's own sessions."""
ASK_EVERY_S, SAY_EVERY_S = 1.0, 5.0
_watched: set[int] = set()  # the processes whose waits `reporting_waits` reports


@dataclass(frozen=True)
class Blocker:
    """A session that holds what another one asks for. `age_s`: of its transaction, None when the server hides it. `privileged`:
    its role is a superuser or may replicate, or is not known. `own`: it is swap's, of this role. `pid` 0: a prepared transaction."""

    pid: int
    user: str
    application: str
    state: str
    query: str
    age_s: float | None
    backend_type: str
    privileged: bool
    own: bool

    def __str__(self) -> str:
        if self.pid == 0:
            return "a prepared transaction (pg_prepared_xacts): COMMIT PREPARED or ROLLBACK PREPARED"
        who = f"pid {self.pid} {one_line(self.user)} ({one_line(self.application) or 'no application_name'})"
        if self.query == HIDDEN:
            return f"{who}; GRANT pg_monitor to see what it does"
        age = "" if self.age_s is None else f" for {self.age_s:.1f} s"
        return f"{who}, {self.state or self.backend_type}{age}"


@dataclass(frozen=True)
class Reason:
    """Why an attempt was not made, or failed. `text` is for the journal and for everybody; `queries` for who asked for them."""

    text: str
    queries: tuple[str, ...] = ()

    def told(self, *, show_queries: bool) -> str:
        return "; ".join([self.text, *(self.queries if show_queries else ())])

    @classmethod
    def of(cls, who: Iterable[Blocker], after: str = "") -> list[Reason]:
        """One for each session, with `after` behind it."""
        return [cls(f"{b}{after}", () if not b.query or b.query == HIDDEN else (query_of(b.pid, b.query),)) for b in who]

    @classmethod
    def join(cls, reasons: Iterable[Reason]) -> Reason:
        """All of them as one."""
        all_of_them = list(reasons)
        return cls("; ".join(r.text for r in all_of_them), tuple(dict.fromkeys(q for r in all_of_them for q in r.queries)))


def query_of(pid: int, query: str) -> str:
    return f"query of pid {pid}: {' '.join(query.split())}"


def blockers(conn: Connection, pid: int) -> list[Blocker]:
    """The sessions that `pid` waits for; empty when it waits for none."""
    return fetch(conn, Blocker, load_sql("swap.core", "blockers.sql"), OWN | {"pid": pid})


def sessions(conn: Connection, pids: Sequence[int]) -> list[Blocker]:
    """The sessions of these processes; without those that are gone."""
    return fetch(conn, Blocker, load_sql("swap.core", "sessions.sql"), OWN | {"pids": list(pids)})


def shows_snapshots(conn: Connection) -> bool:
    """Whether the server shows this role which snapshots other sessions hold."""
    return fetch_values(conn, sql.SQL("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")) == [True]


def progress(conn: Connection, pid: int) -> str:
    """How far the statement of `pid` is, as `building index: scanning table, 45 %`. Empty where the server does not count it."""
    for row in fetch_rows(conn, load_sql("swap.core", "progress.sql"), {"pid": pid}):
        return str(row["phase"]) if row["percent"] is None else f"{row['phase']}, {row['percent']} %"
    return ""


@contextmanager
def reporting_waits(database: Database, conn: Connection, what: str, report: Reporter) -> Iterator[None]:
    """While the block runs one long statement on `conn` (an index, a VACUUM, a VALIDATE), report every `SAY_EVERY_S` how far it
    is. When it waits for other sessions, report that at once, with their names.

    Asks from a session of its own (`database`). Ends with an empty `report.waiting`. Raises nothing of its own: the statement
    itself reports a lost server.
    """
    stop = threading.Event()
    pid = conn.info.backend_pid
    began = time.monotonic()
    _watched.add(pid)

    def look() -> None:
        said = 0.0
        if stop.wait(ASK_EVERY_S):
            return
        try:
            with database.session("waits") as own:
                while True:
                    elapsed = time.monotonic() - began
                    if found := blockers(own, pid):
                        report.waiting(f"{what} waits for {'; '.join(map(str, found))}")
                        said = elapsed - SAY_EVERY_S  # when they are gone, the next report does not name them
                    elif elapsed - said >= SAY_EVERY_S:
                        said = elapsed
                        report.working(": ".join(filter(None, [f"{what}, {elapsed:.0f} s", progress(own, pid)])))
                    if stop.wait(ASK_EVERY_S):
                        return
        except (SwapError, psycopg.Error):
            return

    thread = threading.Thread(target=look, name="waits")
    thread.start()
    try:
        yield
    finally:
        _watched.discard(pid)
        stop.set()
        thread.join()
        report.waiting("")


@contextmanager
def reporting_all_waits(database: Database, report: Reporter) -> Iterator[None]:
    """While the block runs, report which session of this process waits for a lock for longer than ASK_EVERY_S, and for whom. Those
    that `reporting_waits` watches are left to it. Asks from a session of its own, which it opens when there is something to ask."""
    stop = threading.Event()

    def look(own: Connection | None = None) -> None:
        before, said, said_at = set[Connection](), set[int](), 0.0
        try:
            while not stop.wait(ASK_EVERY_S):
                now = active()
                waits = [c for c in now & before if c.info.backend_pid not in _watched]
                if waits and own is None:
                    own = database.connect("waits")
                found = {b.pid: str(b) for c in waits for b in blockers(own, c.info.backend_pid)} if own and waits else {}
                if found.keys() != said or (found and time.monotonic() - said_at > SAY_EVERY_S):
                    report.waiting(f"a lock that is not free: {'; '.join(found.values())}" if found else "")
                    said, said_at = set(found), time.monotonic()
                before = now
        except (SwapError, psycopg.Error):
            return
        finally:
            if own is not None:
                own.close()

    thread = threading.Thread(target=look, name="all waits")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
