"""What is looked at while the cycle runs: the schema as dumps, the operator's checks, the statements on both shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.statement import Statement
from swap.core.units import duration
from swap.ddl.phases import phases as phases_of
from swap.plan.model import Plan
from swap.rehearse.cycle import BEFORE, CUT_OVER, PREPARED, REVERTED
from swap.rehearse.environment import clean_environment, find_client
from swap.rehearse.lock_trial import Tried, try_locks
from swap.rehearse.locks import MISMATCH, assess_statements
from swap.rehearse.programs import Programs
from swap.rehearse.record import CheckRun, Reason
from swap.rehearse.sampler import Sampler
from swap.rehearse.schema_dump import Line, SchemaComparison, compare, dump_schema, lines_of
from swap.rehearse.server_log import errors_since, mark
from swap.rehearse.statements import Planned, explain
from swap.rehearse.statements import compare as compare_plans
from swap.state.journal import Journal

LOCK_SQL = 120
ENDED = -15  # the code of a check that was ended by SIGTERM, whatever it made of it


@dataclass
class SchemaObserver:
    """Dumps before `prepare`, before the first cutover and after the revert."""

    conn: Connection
    programs: Programs
    state_schema: str
    dumps: dict[str, list[Line]] = field(default_factory=dict)

    def at(self, state: str, plan: Plan) -> None:
        if state not in (BEFORE, PREPARED, REVERTED):
            return
        own = [name for t in plan.swapped for name in t.made]
        pg_dump = find_client("pg_dump", self.conn.info.server_version)
        text = dump_schema(pg_dump, clean_environment(**self.programs.variables), self.state_schema)
        self.dumps[state] = lines_of(text, own, self.state_schema)

    def result(self) -> SchemaComparison | None:
        if REVERTED not in self.dumps:
            return None
        return compare(self.dumps[BEFORE], self.dumps[PREPARED], self.dumps[REVERTED])


def schema_reasons(found: SchemaComparison | None) -> list[Reason]:
    out = []
    for name, lines in (
        ("lost by the cycle", found.lost if found else ()),
        ("not put back by the revert", found.changed if found else ()),
    ):
        if lines:
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            out.append(Reason("schema", f"{name}: {lines[0]}{more}"))
    return out


@dataclass
class CheckObserver:
    """The operator's checks, one after the other, in every state."""

    conn: Connection
    programs: Programs
    commands: Sequence[str]
    timeout_s: float
    note: Callable[[str], None]
    runs: list[CheckRun] = field(default_factory=list)
    failed: list[Reason] = field(default_factory=list)

    def at(self, state: str) -> None:
        for command in self.commands:
            since = mark(self.conn)
            done = self.programs.run(command, state, self.timeout_s)
            errors = errors_since(self.conn, since, self.conn.info.dbname)
            how = f"was ended after {duration(self.timeout_s)}" if done.late else f"failed with {done.code}"
            self.note(f"check {command!r} {state}: {how if done.code or done.late else 'passed'}")
            code = done.code or (ENDED if done.late else 0)
            if code:
                self.failed.append(Reason("check", f"{command!r} {how}, {state}"))
            self.runs.append(CheckRun(command, state, code, round(done.seconds, 2), done.out, errors))

    def reasons(self) -> list[Reason]:
        return self.failed


@dataclass
class StatementObserver:
    """Plans right before the cutover and right after it: in between, the load has added few rows."""

    conninfo: str
    statements: Sequence[str]
    plans: dict[str, dict[str, Planned]] = field(default_factory=dict)

    def at(self, state: str) -> None:
        if self.statements and state in (PREPARED, CUT_OVER):
            self.plans[state] = explain(self.conninfo, self.statements)

    def result(self, key: str) -> list[dict[str, Any]]:
        if CUT_OVER not in self.plans:
            return []
        before, after = self.plans[PREPARED], self.plans[CUT_OVER]
        order = {"fails": 0, "worse": 1, "changed": 2, "same": 3, "not comparable": 4}
        rows = [compare_plans(text, before[text], after[text], key) for text in self.statements]
        return sorted(rows, key=lambda r: order[r["verdict"]])


def statement_reasons(rows: Sequence[dict[str, Any]]) -> list[Reason]:
    failing = [r for r in rows if r["verdict"] == "fails"]
    return [
        Reason("statement", f"fails after the cutover: {' '.join(r['sql'].split())[:200]}: {r['after']['error']}")
        for r in failing
    ]


@dataclass
class LockObserver:
    """Tries the statements of the plan, phase by phase, while the built-in load is quiet. `waits`: of the server's log."""

    database: Database
    config: Config
    note: Callable[[str], None]
    tried: list[Tried] = field(default_factory=list)
    phases: list[tuple[str, list[Statement]]] = field(default_factory=list)
    locked: dict[str, list[str]] = field(default_factory=dict)

    def plan_is(self, plan: Plan, *, exact: bool) -> None:
        self.phases = [(name, statements) for name, statements in phases_of(plan, exact=exact) if name != "abort"]
        there, shadows, retired = plan.locked_tables, [t.shadow for t in plan.swapped], [t.retired for t in plan.swapped]
        self.locked = {
            "cutover": [str(t) for t in (*there, *shadows)],
            "revert": [str(t) for t in (*there, *retired)],
            "finalize": [str(t) for t in retired],
        }

    def at(self, *names: str) -> None:
        for name, statements in self.phases:
            if name in names:
                self.note(f"trying {len(statements)} statements of {name} for their locks")
                self.tried += try_locks(
                    self.database, name, statements, self._state_schema if name == "prepare" else lambda _: None
                )

    def _state_schema(self, conn: Connection) -> None:
        """What `prepare` makes before its first step."""
        Journal(conn, self.config.names.state_schema, self.config.source.name).create()

    def statements(self, sampler: Sampler) -> list[dict[str, Any]]:
        """Those that were never tried are of phases that work on rows, or that the cycle did not reach."""
        there = {t.phase for t in self.tried}
        rest = [Tried(name, s, error="it is not tried") for name, found in self.phases if name not in there for s in found]
        order = {name: n for n, (name, _) in enumerate(self.phases)}
        tried = sorted([*self.tried, *rest], key=lambda t: order[t.phase])
        return assess_statements(tried, self.locked, sampler.seen, self.config.names.state_schema)


def lock_reasons(statements: Sequence[dict[str, Any]], tables: Sequence[dict[str, Any]]) -> list[Reason]:
    out = [
        Reason("lock", f"{x['seen']} on {x['table']}; the plan says {x['said'] or 'none'}: {x['sql'][:LOCK_SQL]}")
        for x in statements
        if x["verdict"] == MISMATCH
    ]
    for x in tables:
        if x["verdict"] == MISMATCH:
            out.append(Reason("lock", f"{x['command']} took {x['seen']} on {x['table']}; the plan says {x['predicted']}"))
    return out
