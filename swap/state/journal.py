"""The state schema: the run, its phase and steps, events; and, each a class of its own, chunks, comparisons, verifications, attempts, hooks,
what operators tell commands that run, and where capture stands.

Methods are single statements where they can be; the caller owns the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSchema

from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, LockError, PhaseError, RefusedError
from swap.core.names import TableName, quote
from swap.core.snapshot import Snapshot
from swap.core.sql_text import Query, local_timeout, verbatim
from swap.plan.direction import Direction
from swap.plan.model import PLAN, Plan
from swap.state.attempts import Attempts
from swap.state.capture import Capture
from swap.state.chunks import Chunks
from swap.state.comparisons import Comparisons
from swap.state.history import History
from swap.state.hooks import Hooks
from swap.state.lock_rows import TABLE_WAIT_MS
from swap.state.origin import Copied, find_copied, record_origin, refuse_copied
from swap.state.rights import bare_state
from swap.state.steering import Steering
from swap.state.store import Store, kept
from swap.state.tables import DDL, ENDED, MOVES, SINCE, Phase, create_table
from swap.state.upgrade import VERSION, UpgradeStep, comment_on, current_plan, read_version, upgrade
from swap.state.verifications import Verifications

__all__ = ["Journal", "Phase", "Run"]


@dataclass(frozen=True)
class Run:
    """A run's row. `plan` is the plan as `prepare` made it, with the partitions that there are now."""

    id: int
    source: TableName
    phase: Phase
    mode: str
    plan: Plan
    paused: bool
    bound: int | None
    complete_xid: str | None
    verified: str | None
    created_at: datetime

    @property
    def direction(self) -> Direction:
        return Direction.REVERSE if self.phase in (Phase.CUT_OVER, Phase.FINALIZED) else Direction.FORWARD


@dataclass(frozen=True)
class Event:
    kind: str
    message: str


class Journal(Store):
    """The state schema on one connection. `take_over`: the state of a copy is read too; `copied` says why it is one."""

    def __init__(self, conn: Connection, schema: str, source: TableName | None = None, *, take_over: bool = False) -> None:
        super().__init__(conn, schema, source)
        self.version = VERSION
        self.take_over = take_over
        self.copied: Copied | None = None
        self.attempts = Attempts(self)
        self.capture = Capture(self)
        self.chunks = Chunks(self)
        self.comparisons = Comparisons(self)
        self.history = History(self)
        self.hooks = Hooks(self)
        self.steering = Steering(self)
        self.verifications = Verifications(self)

    def exists(self) -> bool:
        """Whether the state schema is there. Raises RefusedError when it is another role's or program's, a newer version's, or
        that of a copy (swap.state.origin).

        Writes nothing. An older layout is read as `swap.state.upgrade` says, from now on."""
        version = read_version(self.conn, self.schema, self.source)
        self.version = version or VERSION
        if version is None:
            return False
        self.copied = find_copied(self, version)
        if self.copied is not None and not self.take_over:
            refuse_copied(self.schema, self.copied)
        return True

    def upgrade(self, functions: Callable[[Journal, Run], Iterable[Query]] = lambda journal, run: ()) -> list[UpgradeStep]:
        """Bring an older layout up to date. Returns the steps that were run. Raises RefusedError while another command
        works on a run of the schema.

        `functions`: statements that create the trigger functions of a run under way, as this version creates them."""

        def finish() -> None:
            self.version = VERSION
            record_origin(self)
            for run in self.unfinished():
                if run.phase is not Phase.PREPARING:
                    for statement in functions(self, run):
                        self.conn.execute(statement)
                    # A row of the journal in this transaction: the gates take the new functions for swap's own (verify.capture_since).
                    self.event(run.id, "upgraded", f"to version {VERSION} of the state")

        steps = upgrade(self, finish)
        self.version = VERSION
        return steps

    def ddl(self) -> list[Query]:
        """CREATE SCHEMA and everything in it, in order. Only the owner gets any right on it."""
        name = sql.Identifier(self.schema)
        values = sql.SQL(", ").join(sql.Literal(p.value) for p in Phase)
        create = str(CreateSchema(self.schema).compile(dialect=DDL))
        return [
            verbatim(create),
            comment_on(self.schema, VERSION),
            sql.SQL("CREATE TYPE {}.phase AS ENUM ({})").format(name, values),
            *map(create_table, self.t.values()),
            bare_state(self.schema),
        ]

    def record_here(self) -> None:
        """The state is this database's, whatever it recorded before."""
        with self.conn.transaction():
            record_origin(self)

    def create(self) -> None:
        """Create the state schema in one transaction if it is missing. Raises RefusedError where another role makes one of that
        name meanwhile, LockError where it does not end that transaction."""
        for last in (False, True):
            try:
                with self.conn.transaction():
                    if self.exists():
                        return
                    self.conn.execute(local_timeout("lock_timeout", TABLE_WAIT_MS))
                    for statement in self.ddl():
                        self.conn.execute(statement)
                    record_origin(self)
                    return
            except (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation):
                if last:
                    raise RefusedError(
                        f"Another session made the schema {quote(self.schema)} at this moment.",
                        state=NOTHING_CHANGED,
                        hint="Run the command again: it looks at whose schema that is.",
                    ) from None
            except psycopg.errors.LockNotAvailable:
                raise LockError(
                    f"Another session is making a schema {quote(self.schema)}, and has not committed it for {TABLE_WAIT_MS / 1000:.0f} s.",
                    state=NOTHING_CHANGED,
                    hint="pg_stat_activity shows it, with a transaction that is open: end it; or name another schema with [names] state_schema.",
                ) from None

    def has_table(self, name: str) -> bool:
        """Whether the state schema of this version has a table of that name."""
        return name in self.table_names()

    def table_names(self) -> list[str]:
        """The tables that a state of this version has."""
        return [name for name in self.t if SINCE.get(name, 0) <= self.version]

    def add_run(self, plan: Plan, mode: str) -> Run:
        r = self.t["run"]
        number = self.value(
            sa.insert(r)
            .values(
                source_schema=plan.source.schema,
                source_table=plan.source.name,
                phase=Phase.PREPARING.value,
                mode=mode,
                plan=json.loads(PLAN.dump_json(plan)),
            )
            .returning(r.c.id)
        )
        return self.get(number)

    def get(self, run_id: int) -> Run:
        found = self._runs(self.t["run"].c.id == run_id)
        return found[0]

    def find(self, run_id: int) -> Run | None:
        """The run of that number, or None."""
        found = self._runs(self.t["run"].c.id == run_id)
        return found[0] if found else None

    def current(self, source: TableName) -> Run | None:
        """The newest run of this source, whatever its phase."""
        run = self.t["run"]
        found = self._runs((run.c.source_schema == source.schema) & (run.c.source_table == source.name))
        return found[-1] if found else None

    def unfinished(self) -> list[Run]:
        """Every run that is neither finalized nor aborted."""
        return self._runs(self.t["run"].c.phase.not_in([p.value for p in ENDED]))

    def _runs(self, where: sa.ColumnElement[bool]) -> list[Run]:
        r = self.t["run"]
        query = sa.select(
            r.c.id, r.c.source_schema, r.c.source_table, r.c.phase, r.c.mode, r.c.plan, r.c.paused, r.c.bound,
            r.c.complete_xid, r.c.verified, r.c.created_at,
        )  # fmt: skip
        return self.rows(query.where(where).order_by(r.c.id), self._run)

    def _run(self, *, source_schema: str, source_table: str, phase: str, mode: str, plan: dict[str, Any], **row: Any) -> Run:
        """`plan` as it was stored, but for the mode of capture, which may have been changed since."""
        made = replace(PLAN.validate_python(current_plan(plan, self.version)), mode=mode)
        return Run(source=TableName(source_schema, source_table), phase=Phase(phase), mode=mode, plan=made, **row)

    def lock_run(self, run_id: int) -> Phase:
        """Lock the run's row for the rest of the transaction. Returns its phase."""
        r = self.t["run"]
        return Phase(self.value(sa.select(r.c.phase).where(r.c.id == run_id).with_for_update()))

    def move(self, run: Run, to: Phase, **values: object) -> None:
        """Compare-and-set of the phase, and `values` with it. Raises PhaseError when another session moved it."""
        if to not in MOVES[run.phase]:
            raise PhaseError(f"A run cannot go from {run.phase.value} to {to.value}.")
        r = self.t["run"]
        moved = self.value(
            sa.update(r)
            .where(r.c.id == run.id, r.c.phase == run.phase.value)
            .values(phase=to.value, changed_at=sa.func.clock_timestamp(), **values)
            .returning(r.c.id)
        )
        if moved is None:
            raise PhaseError(f"The run is no longer {run.phase.value}: another session moved it.")
        self.comparisons.forget(run.id)

    def move_verified(self, run: Run, since: Snapshot, to: Snapshot) -> None:
        """Every key is equal up to `to`. Nothing happens when the run is in another phase, or no longer verified `since`."""
        r = self.t["run"]
        update = sa.update(r).where(r.c.id == run.id, r.c.phase == run.phase.value, r.c.verified == str(since))
        self.execute(update.values(verified=str(to)))
        self.comparisons.move(run.id, since, to)

    def forget_verified(self, run_id: int, why: str) -> None:
        """No cutover relies on the last clean verification any more."""
        self.update_run(run_id, verified=None)
        self.event(run_id, "unverified", f"the last verification is forgotten: {why}")

    def unverify(self, run_id: int) -> None:
        """Nothing that was compared until now counts."""
        self.update_run(run_id, verified=None)
        self.comparisons.forget(run_id)

    def update_run(self, run_id: int, **values: object) -> None:
        r = self.t["run"]
        self.execute(sa.update(r).where(r.c.id == run_id).values(**values))

    def record_plan(self, run_id: int, plan: Plan) -> None:
        """The plan with the partitions that there are now. A run of an older layout is upgraded before any command works on it."""
        self.update_run(run_id, plan=json.loads(PLAN.dump_json(plan)))

    def forget_positions(self, run_id: int) -> None:
        """Forget what is counted in transaction ids, in a state that was made with those of another server: capture begins at the
        snapshot of the current transaction, nothing is verified, no exchange is known by its id."""
        now = Snapshot.parse(self.value(sa.select(sa.func.pg_current_snapshot().cast(sa.Text))))
        self.capture.begin_again(run_id, now)
        self.attempts.forget_ids(run_id)
        r = self.t["run"]
        complete = sa.case((r.c.complete_xid.is_not(None), str(now.xmax)), else_=None)
        self.update_run(run_id, complete_xid=complete)
        self.unverify(run_id)

    def paused(self, run_id: int) -> bool:
        r = self.t["run"]
        return bool(self.value(sa.select(r.c.paused).where(r.c.id == run_id)))

    def baseline(self, run_id: int) -> list[tuple[str, str]] | None:
        """The structure as it was last recorded: (table, line) pairs."""
        r = self.t["run"]
        value = self.value(sa.select(r.c.baseline).where(r.c.id == run_id))
        return None if value is None else [(a, b) for a, b in value]

    def step_done(self, run_id: int, name: str) -> bool:
        s = self.t["step"]
        return self.value(sa.select(s.c.name).where(s.c.run_id == run_id, s.c.name == name)) is not None

    def steps_done(self, run_id: int) -> set[str]:
        """The names of every step that is done."""
        s = self.t["step"]
        return set(self.rows(sa.select(s.c.name).where(s.c.run_id == run_id), lambda name: name))

    def mark_step(self, run_id: int, name: str) -> None:
        s = self.t["step"]
        self.execute(postgresql.insert(s).values(run_id=run_id, name=name).on_conflict_do_nothing())

    def forget_step(self, run_id: int, prefix: str) -> None:
        s = self.t["step"]
        self.execute(sa.delete(s).where(s.c.run_id == run_id, s.c.name.startswith(prefix, autoescape=True)))

    def event(self, run_id: int, kind: str, message: str) -> None:
        self.execute(sa.insert(self.t["event"]).values(run_id=run_id, kind=kind, message=kept(self.conn, message)))

    def last_event(self, run_id: int, *kinds: str) -> Event | None:
        """The newest event of one of these kinds."""
        e = self.t["event"]
        query = sa.select(e.c.kind, e.c.message).where(e.c.run_id == run_id, e.c.kind.in_(kinds))
        return self.first(query.order_by(e.c.id.desc()).limit(1), Event)
