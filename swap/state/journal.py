"""The state schema: the run, its phase, chunks, watermarks, verifications, attempts, hooks, events.

SQLAlchemy Core describes the tables (swap.state.tables) and builds the statements; they run on the psycopg
connection that moves the data, so a row of progress commits in the same transaction as what it reports (invariant 4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSchema, CreateTable

from swap.core.connection import Connection
from swap.core.errors import PhaseError, RefusedError
from swap.core.names import TableName, quote
from swap.core.sql_text import Query, anonymous, load_sql, verbatim
from swap.plan.direction import Direction
from swap.plan.model import PLAN, Plan
from swap.state.tables import MOVES, Phase, tables

__all__ = ["Journal", "Phase", "Run", "storable"]

VERSION = 2
MARK = "pg-uuid-swap state"
DIALECT = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
DDL = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # runs without parameters: no % is doubled
# Characters as they are: jsonb takes \\u escapes only for what the database's encoding has, and SQL_ASCII has none beyond ASCII.
_DUMPS = partial(json.dumps, ensure_ascii=False)


def compile_sql(statement: sa.sql.ClauseElement) -> tuple[sql.SQL, dict[str, Any]]:
    """A Core statement as psycopg's SQL and parameters."""
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    params = getattr(compiled, "params", None) or {}
    wrapped = {k: Jsonb(v, _DUMPS) if isinstance(v, dict | list) else v for k, v in params.items()}
    return verbatim(str(compiled)), wrapped


def storable(conn: Connection, text: str) -> str:
    """`text` as the journal can hold it: most encodings but UTF-8 have no room for whatever a program prints."""
    roomy = conn.info.parameter_status("server_encoding") in ("UTF8", "SQL_ASCII")
    return text if roomy else text.encode("ascii", "backslashreplace").decode()


def _plan(document: object, mode: str) -> Plan:
    """The plan as `prepare` made it, but for the capture's mode, which may have been changed since."""
    return replace(PLAN.validate_python(document), mode=mode)


@dataclass(frozen=True)
class Run:
    """A run's row. `plan` is the plan as `prepare` made it."""

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


class Journal:
    """The state schema on one connection. Methods are single statements; the caller owns the transaction."""

    def __init__(self, conn: Connection, schema: str) -> None:
        self.conn = conn
        self.schema = schema
        self.t = tables(schema)

    def execute(self, statement: sa.sql.ClauseElement) -> list[tuple[Any, ...]]:
        text, params = compile_sql(statement)
        cursor = self.conn.execute(text, params)
        return cursor.fetchall() if cursor.description else []

    def exists(self) -> bool:
        """Whether the state schema is there. Raises RefusedError when the schema is somebody else's."""
        row = self.conn.execute(
            "SELECT obj_description(oid, 'pg_namespace'), EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid)"
            " FROM pg_namespace n WHERE nspname = %s",
            [self.schema],
        ).fetchone()
        if row is None:
            return False
        if not (row[0] or "").startswith(MARK):
            raise RefusedError(
                f"The schema {quote(self.schema)} exists and was not made by this tool.",
                hint="Name another one with [names] state_schema, or rename that schema.",
            )
        if row[0] != f"{MARK}, version {VERSION}":
            raise RefusedError(
                f"The schema {quote(self.schema)} was made by another version ({row[0]}).",
                hint=f"Use that version of swap; this one reads version {VERSION}.",
            )
        return True

    def ddl(self) -> list[Query]:
        """CREATE SCHEMA and everything in it, in order; nobody but the owner gets any right on it."""
        name = sql.Identifier(self.schema)
        comment = sql.Literal(f"{MARK}, version {VERSION}")
        values = sql.SQL(", ").join(sql.Literal(p.value) for p in Phase)
        bare = load_sql("swap.state", "bare_schema.sql").format(schema=sql.Literal(self.schema))
        create = str(CreateSchema(self.schema, if_not_exists=True).compile(dialect=DDL))
        return [
            verbatim(create),
            sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, comment),
            sql.SQL("CREATE TYPE {}.phase AS ENUM ({})").format(name, values),
            *(verbatim(str(CreateTable(t).compile(dialect=DDL)).strip()) for t in self.t.values()),
            anonymous(bare),
        ]

    def create(self) -> None:
        """Create the state schema in one transaction if it is missing."""
        with self.conn.transaction():
            self.conn.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self.schema])
            if not self.exists():
                for statement in self.ddl():
                    self.conn.execute(statement)

    def add_run(self, plan: Plan, mode: str) -> Run:
        run = self.t["run"]
        (row,) = self.execute(
            sa.insert(run)
            .values(
                source_schema=plan.source.schema,
                source_table=plan.source.name,
                phase=Phase.PREPARING.value,
                mode=mode,
                plan=json.loads(PLAN.dump_json(plan)),
            )
            .returning(run.c.id)
        )
        return self.get(row[0])

    def get(self, run_id: int) -> Run:
        found = self._runs(self.t["run"].c.id == run_id)
        return found[0]

    def current(self, source: TableName) -> Run | None:
        """The newest run of this source, whatever its phase."""
        run = self.t["run"]
        found = self._runs((run.c.source_schema == source.schema) & (run.c.source_table == source.name))
        return found[-1] if found else None

    def unfinished(self) -> list[Run]:
        """Every run that is neither finalized nor aborted."""
        return self._runs(self.t["run"].c.phase.not_in([Phase.FINALIZED.value, Phase.ABORTED.value]))

    def _runs(self, where: sa.ColumnElement[bool]) -> list[Run]:
        r = self.t["run"]
        rows = self.execute(
            sa.select(
                r.c.id, r.c.source_schema, r.c.source_table, r.c.phase, r.c.mode, r.c.plan, r.c.paused, r.c.bound,
                r.c.complete_xid, r.c.verified, r.c.created_at,
            ).where(where).order_by(r.c.id)
        )  # fmt: skip
        return [Run(row[0], TableName(row[1], row[2]), Phase(row[3]), row[4], _plan(row[5], row[4]), *row[6:]) for row in rows]

    def move(self, run: Run, to: Phase, **values: object) -> None:
        """Compare-and-set of the phase, and `values` with it. Raises PhaseError when somebody else moved it."""
        if to not in MOVES[run.phase]:
            raise PhaseError(f"A run cannot go from {run.phase.value} to {to.value}.")
        r = self.t["run"]
        moved = self.execute(
            sa.update(r)
            .where(r.c.id == run.id, r.c.phase == run.phase.value)
            .values(phase=to.value, changed_at=sa.func.clock_timestamp(), **values)
            .returning(r.c.id)
        )
        if not moved:
            raise PhaseError(f"The run is no longer {run.phase.value}: another session moved it.")

    def update_run(self, run_id: int, **values: object) -> None:
        r = self.t["run"]
        self.execute(sa.update(r).where(r.c.id == run_id).values(**values))

    def paused(self, run_id: int) -> bool:
        r = self.t["run"]
        return bool(self.execute(sa.select(r.c.paused).where(r.c.id == run_id))[0][0])

    def baseline(self, run_id: int) -> list[tuple[str, str]] | None:
        r = self.t["run"]
        value = self.execute(sa.select(r.c.baseline).where(r.c.id == run_id))[0][0]
        return None if value is None else [(a, b) for a, b in value]

    def step_done(self, run_id: int, name: str) -> bool:
        s = self.t["step"]
        return bool(self.execute(sa.select(s.c.name).where(s.c.run_id == run_id, s.c.name == name)))

    def mark_step(self, run_id: int, name: str) -> None:
        s = self.t["step"]
        insert = postgresql.insert(s).values(run_id=run_id, name=name).on_conflict_do_nothing()
        self.execute(insert)

    def forget_step(self, run_id: int, prefix: str) -> None:
        s = self.t["step"]
        self.execute(sa.delete(s).where(s.c.run_id == run_id, s.c.name.startswith(prefix, autoescape=True)))

    def event(self, run_id: int, kind: str, message: str) -> None:
        self.execute(sa.insert(self.t["event"]).values(run_id=run_id, kind=kind, message=message))
