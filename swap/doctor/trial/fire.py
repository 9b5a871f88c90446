"""Each trigger is fired once by INSERT, UPDATE and DELETE, on the trial's copies: as the tables are, and as they are after the exchange.

It fires alone, with a row of the application's (swap.doctor.trial.sample). Its function is a copy too, over copies of all that it
names (swap.doctor.trial.reach). Each firing is rolled back at once. What works today and fails then is a finding
(swap.doctor.trial.fired). Foreign keys and row security are off on the copies: it is the trigger that is tried. A firing takes two
seconds at most, a round of all of them fifteen, and it ends where another session waits for a lock that the trial has: of a table that a
view reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import psycopg
from psycopg import errors, sql

from swap.catalog.model import Table, Trigger
from swap.core.application_settings import adopt
from swap.core.connection import Connection, judged
from swap.core.lock_retries import local_timeout
from swap.core.names import TableName
from swap.core.rows import Row, fetch_rows
from swap.core.sql_text import Query, load_sql, verbatim
from swap.doctor.trial.reach import Reach, reach_of
from swap.doctor.trial.reached_copies import Copies, path_over
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.sample import Samples
from swap.doctor.trial.written import RowWriter
from swap.plan.model import Plan

FIRED_MS, WAIT_MS, ROUND_S = 2_000, 200, 15
SESSION_PATH = '"$user", public'  # what an application's session has unless it says otherwise


class Event(NamedTuple):
    """A trigger and the statement that fires it."""

    table: TableName
    trigger: str
    what: str


@dataclass(frozen=True)
class Outcome:
    """`unfired`: why the trigger did not fire; empty where it did. `error`: what it said, `code`: the SQLSTATE; empty where it worked."""

    unfired: str = ""
    code: str = ""
    error: str = ""

    @property
    def works(self) -> bool:
        return not (self.unfired or self.error)


Outcomes = Mapping[Event, Outcome]
UNBUILT = Outcome("it could not be built")
LATE = Outcome(f"the others before it took {ROUND_S} s")
WAITED_FOR = Outcome("another session waited for a lock of the trial")
IN_THE_WAY = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE NOT l.granted"
    " AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(l.pid)))"
)


def with_triggers(plan: Plan) -> list[Table]:
    """The tables that change, and have a trigger to fire."""
    changed = {plan.source, *(r.table for r in plan.all_references)}
    return [t for t in plan.catalog.tables if t.name in changed and any(fired_by(x) for x in t.triggers)]


def fired_by(t: Trigger) -> list[str]:
    """What fires it in a session of the application's."""
    if t.enabled not in ("O", "A"):
        return []
    return [w for w, on in (("INSERT", t.on_insert), ("UPDATE", t.on_update), ("DELETE", t.on_delete)) if on]


def events_of(plan: Plan) -> list[tuple[Table, Trigger, Event]]:
    """Every event that is tried."""
    return [
        (table, trigger, Event(table.name, trigger.name, what))
        for table in with_triggers(plan)
        for trigger in table.triggers
        for what in fired_by(trigger)
    ]


@dataclass
class Firing:
    """One round. `own`: the trial's schemas and that of the state. `before`: the first round's outcomes, in the second, where the
    copies are as the exchange has left them: what did not work then is not tried again."""

    conn: Connection
    plan: Plan
    remap: SchemaRemap
    samples: Samples
    own: tuple[str, ...]
    before: Outcomes | None = None
    reaches: dict[int, Reach] = field(default_factory=dict)
    alone: dict[tuple[TableName, str], Outcome | None] = field(default_factory=dict)

    @cached_property
    def copies(self) -> Copies:
        return Copies(self.conn, self.remap, self.samples.schema, self.own)

    @cached_property
    def writer(self) -> RowWriter:
        return RowWriter(self.conn, self.plan, self.remap, self.samples, after=self.before is not None)

    def fire(self) -> dict[Event, Outcome]:
        """Fire all, one after another. Nothing of it remains, in the trial's transaction either. Raises what ends the command."""
        out: dict[Event, Outcome] = {}

        def all_of_them() -> None:
            self._disable()
            self.copies.loosen([*set(self.remap.schemas.values())])
            end, ended = time.monotonic() + ROUND_S, None
            for table, trigger, event in events_of(self.plan):
                if self.before is None or self.before[event].works:
                    ended = ended or self._ended(end)
                    out[event] = ended or self._fire(table, trigger, event.what)

        error = self._error(all_of_them)
        why = Outcome(f"the copies could not be set up: {self._said(error)}") if error else UNBUILT
        return {event: out.get(event, why) for _, _, event in events_of(self.plan)}

    def _ended(self, end: float) -> Outcome | None:
        """Why no other trigger is fired."""
        if time.monotonic() > end:
            return LATE
        row = self.conn.execute(IN_THE_WAY).fetchone()
        return WAITED_FOR if row and row[0] else None

    def _fire(self, table: Table, trigger: Trigger, what: str) -> Outcome:
        if table.name not in self.samples.tables:
            return Outcome("the table has no row to fire it with, or could not be read in time")
        copied = self._copied(table, trigger)
        if copied is None:
            return UNBUILT
        reach = self._reach(int(copied["function"]))
        if reach.unsafe:
            return Outcome(reach.unsafe)
        if alone := self._alone(table, what):
            return alone
        calls: list[int] = []
        error = self._error(lambda: calls.append(self._write(table, what, trigger, reach)))
        if error is None:
            return Outcome() if sum(calls) else Outcome("its WHEN did not hold for a sampled row")
        if not judged(error):
            return Outcome(f"it took longer than {FIRED_MS / 1000:g} s, or waited for a lock")
        where = (error.diag.context or "").strip().splitlines()
        return Outcome("", error.sqlstate or "", self._said(error) + (f" ({where[0]})" if where else ""))

    def _alone(self, table: Table, what: str) -> Outcome | None:
        """Why the row cannot be written at all, without a trigger."""
        at = (table.name, what)
        if at not in self.alone:
            error = self._error(lambda: self._write(table, what))
            self.alone[at] = Outcome(f"the {what} alone fails on a copy: {self._said(error)}") if error else None
        return self.alone[at]

    def _error(self, work: Callable[[], object]) -> psycopg.Error | None:
        """Do it under a savepoint that is rolled back. Raises what ends the session, or the command."""
        try:
            with self.conn.transaction(force_rollback=True):
                work()
        except psycopg.Error as e:
            timed_out = isinstance(e, (errors.LockNotAvailable, errors.QueryCanceled)) and "user request" not in str(e)
            if not (judged(e) or timed_out):
                raise
            return e
        return None

    def _said(self, error: psycopg.Error) -> str:
        return self.remap.readable(error.diag.message_primary or str(error))

    def _copied(self, table: Table, trigger: Trigger) -> Row | None:
        """The trigger of the copy: `function`, `definition`."""
        params = {"table": self.remap.name(table.name).sql.as_string(None), "name": trigger.name}
        return next(iter(fetch_rows(self.conn, load_sql("swap.doctor.trial", "copied_trigger.sql"), params)), None)

    def _reach(self, function: int) -> Reach:
        if function not in self.reaches:
            self.reaches[function] = reach_of(self.conn, function, self.own)
        return self.reaches[function]

    def _disable(self) -> None:
        """No trigger fires, and no policy forbids."""
        for name in sorted({self.plan.source, *(t.name for t in with_triggers(self.plan))}):
            off = sql.SQL("ALTER TABLE {0} DISABLE TRIGGER USER; ALTER TABLE {0} DISABLE ROW LEVEL SECURITY")
            self.conn.execute(off.format(self.remap.name(name).sql))

    def _write(self, table: Table, what: str, trigger: Trigger | None = None, reach: Reach | None = None) -> int:
        """Write the row. Returns how often `trigger` fired; without one the row is written alone."""
        self.conn.execute(local_timeout("statement_timeout", FIRED_MS))
        self.conn.execute(local_timeout("lock_timeout", WAIT_MS))
        remap = self.copies.make(reach, table.name.schema) if reach else self.remap
        self.writer.seed(table, with_row=what != "INSERT")
        if trigger:
            self._create_alone(table, trigger, remap)
        self._adopt_settings(remap)
        return self._calls(self.writer.statement(table, what), trigger)

    def _calls(self, write: Query, trigger: Trigger | None) -> int:
        self.conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        row = self.conn.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {}").format(write)).fetchone()
        assert row is not None
        fired = row[0][0].get("Triggers", ())
        return sum(t["Calls"] for t in fired if trigger and t["Trigger Name"] == trigger.name)

    def _create_alone(self, table: Table, trigger: Trigger, remap: SchemaRemap) -> None:
        """Create the trigger again by its own text, over the copy of its function; the others stay disabled."""
        copied = self._copied(table, trigger)
        assert copied is not None
        drop = sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger.name), self.remap.name(table.name).sql)
        path = sql.SQL(", ").join(map(sql.Identifier, ("pg_catalog", *trigger.meaning.path)))
        self.conn.execute(sql.SQL("{}; SET LOCAL search_path = {}").format(drop, path))
        self.conn.execute(verbatim(remap.text(str(copied["definition"]))))

    def _adopt_settings(self, remap: SchemaRemap) -> None:
        """Those of the application's sessions; row security is not looked at, for the copies have none."""
        settings = tuple(x for x in self.plan.settings if x[0].lower() != "search_path")
        own = next((v for n, v in self.plan.settings if n.lower() == "search_path"), SESSION_PATH)
        self.conn.execute(adopt((*settings, ("search_path", path_over(own, remap)), ("row_security", "on"))))
