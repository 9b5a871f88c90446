"""Which time of a command is work on rows, and which is not: so a prediction multiplies the first alone.

Every few milliseconds the sampler asks which sessions of `swap` run a statement that names a table of the migration, or are workers,
which do nothing else. The time and the WAL since the look before are then work of that command on that table. The rest of a command
(it starts, reads the catalog, waits) does not depend on the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan.model import Plan

# Sessions that only work on rows: of the copy, of index builds, of a verification.
WORKERS = re.compile(r"swap (?:verify \(worker|sync \((?!waits|slot|fence|verify|report))")
LONGEST_S = 0.25  # between two looks: more was a pause of this process, and says nothing


class Look(NamedTuple):
    """A row of working.sql."""

    wal_bytes: int
    applications: Sequence[str]
    numbers: Sequence[int]


class Work(NamedTuple):
    """What was done until `at` (seconds since the epoch) since the look before, by one command on the rows of one table. `table`:
    None where the statement does not tell."""

    at: float
    command: str
    table: str | None
    seconds: float
    wal_bytes: float


@dataclass
class WorkSampler:
    """`tables`: how statements write each table of the migration, and its name in the report. `looked`: the time of each look, and how
    long before it the last one was; pauses are left out."""

    tables: Mapping[str, str] = field(default_factory=dict)
    done: list[Work] = field(default_factory=list)
    looked: list[tuple[float, float]] = field(default_factory=list)
    _last: tuple[float, int] | None = None

    def look(self, conn: Connection, now: float) -> None:
        """Raises psycopg's errors."""
        found = fetch(conn, Look, load_sql("swap.rehearse", "working.sql"), {"tables": list(self.tables)})[0]
        last, self._last = self._last, (now, found.wal_bytes)
        if last is None or now - last[0] > LONGEST_S:
            return
        self.looked.append((now, now - last[0]))
        labels = list(self.tables.values())
        working = {
            (command_of(application), labels[number - 1] if number else self._named(application))
            for application, number in zip(found.applications, found.numbers, strict=True)
            if number or WORKERS.match(application)
        }
        for command, table in working:
            share = 1 / len(working)
            self.done.append(Work(now, command, table, (now - last[0]) * share, (found.wal_bytes - last[1]) * share))

    def _named(self, application: str) -> str | None:
        """A worker's session is called by its task: `swap sync (public.sessions.user_uuid_id)`."""
        return next((label for label in self.tables.values() if f"({label}." in application), None)


def tables_of(plan: Plan) -> dict[str, str]:
    """The tables of a migration under each of their names, as statements write them."""
    found = {name.sql.as_string(None): str(t.name) for t in plan.swapped for name in (t.name, *t.made)}
    for ref in plan.references:
        for heap in (ref.table, *(h.name for h in plan.catalog.table(ref.table).heaps)):
            found.setdefault(heap.sql.as_string(None), str(ref.table))
    return found


def command_of(application: str) -> str:
    """`swap cutover (monitor)` is of the command cutover."""
    return application.removeprefix("swap ").split(" ", 1)[0]


def during(sampler: WorkSampler, command: str, began: float, ended: float) -> list[Work]:
    """The work of one command between two times, in seconds since the epoch. Where pauses are left out, which a busy machine has
    many of, they had as much work in them as the rest."""
    looked = sum(seconds for at, seconds in sampler.looked if began <= at <= ended)
    whole = max(1.0, (ended - began) / looked) if looked else 1.0
    mine = [w for w in sampler.done if w.command == command and began <= w.at <= ended]
    return [w._replace(seconds=w.seconds * whole, wal_bytes=w.wal_bytes * whole) for w in mine]
