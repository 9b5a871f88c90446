"""The session that works on a run, for `swap status`: who holds the lock `worker` (swap.state.locks), and what it does."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from swap.core.blockers import blockers, progress
from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql

HELD, GOING_ON = "held", "going on"
"""Events of `sync`: why it does not go on, and that it does."""
PURPOSE = re.compile(r"\((.*)\)$")
BESIDE = (
    "waits",
    "capture",
    "slot",
    "fence",
    "report",
    "watch",
    "outcome",
    "throttle",
    "commit probe",
)  # sessions that help; what they do is no news
PLANNER, INDEX = " planner", "index "


@dataclass(frozen=True)
class Worker:
    """`pid`: of its session on the server; `host`: of its machine (`local`: a Unix socket; None: the server hides it). `borrowed`:
    a verification holds the lock for a moment. `names`, `pids`: the other sessions of the same command."""

    pid: int
    application: str
    host: str | None
    since: datetime | None
    borrowed: bool
    names: tuple[str, ...]
    pids: tuple[int, ...]

    @property
    def command(self) -> str:
        """Such as `swap sync`."""
        return self.application.partition(" (")[0]

    def tasks(self) -> list[str]:
        """What its sessions are at, in words: the names of the sessions tell it."""
        purposes = [found[1] for name in self.names if (found := PURPOSE.search(name))]
        at = Counter(p for p in purposes if p not in BESIDE and not p.endswith(PLANNER))
        return [
            f"building {p}" if p.startswith(INDEX) else f"backfill of {p} ({n} session{'s' if n > 1 else ''})"
            for p, n in sorted(at.items())
        ]


def find_worker(conn: Connection, schema: str, tag: int) -> Worker | None:
    """The worker of a source; None where no session works on it. The state's layout has the table `lock`."""
    found = fetch(
        conn, Worker, load_sql("swap.state", "worker.sql").format(lock=sql.Identifier(schema, "lock"), tag=sql.Literal(tag))
    )
    return found[0] if found else None


def doing(conn: Connection, worker: Worker) -> list[str]:
    """What it is at and whom it waits for; empty where the server shows neither."""
    out = worker.tasks()
    for pid in (worker.pid, *worker.pids):
        if how_far := progress(conn, pid):
            out.append(how_far)
        out += [f"waits for {b}" for b in blockers(conn, pid) if not b.own]
    return list(dict.fromkeys(out))
