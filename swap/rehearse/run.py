"""One rehearsal: a clone, the proof that it is one, the cycle with everything that watches it, the verdict."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from swap import __version__
from swap.core.config import Config
from swap.core.connection import Connection, Database, first_line
from swap.core.errors import UnreachableError
from swap.core.libpq_environment import libpq_environment, secrets_of
from swap.doctor.exact_reads import reads_exactly
from swap.plan.estimate import costs
from swap.plan.model import Plan
from swap.plan.planning import read_plan
from swap.rehearse.caveats import far_apart, other_structure, untried
from swap.rehearse.clone_config import for_clone, left_out, to_toml
from swap.rehearse.clones import Clone, CloneOptions, Production, open_clone
from swap.rehearse.commands import Commands
from swap.rehearse.cycle import BEFORE, PREPARED, Cycle, CycleStoppedError
from swap.rehearse.environment import find_client
from swap.rehearse.inherited import REFUSE, TAKE_OVER, settle_inherited
from swap.rehearse.load_beside import BuiltInLoad, LoadBeside, ProgramLoad, ScriptLoad
from swap.rehearse.locks import assess, holds_ms
from swap.rehearse.observers import (
    CheckObserver,
    LockObserver,
    SchemaObserver,
    StatementObserver,
    lock_reasons,
    schema_reasons,
    statement_reasons,
)
from swap.rehearse.pin import make_pin
from swap.rehearse.prediction import REPORT, Measured, Size, night_cutover, predict, sizes
from swap.rehearse.programs import Programs, is_script, split
from swap.rehearse.proof import prove_not_production
from swap.rehearse.record import Pin, Reason, Rehearsal
from swap.rehearse.sampler import Sampler
from swap.rehearse.server_log import mark, waits_since
from swap.rehearse.statements import TOP, from_file
from swap.rehearse.used import Used, read_used
from swap.rehearse.watchdog import Watchdog
from swap.rehearse.work import during, tables_of

BUILT_IN = "mix"
NO_LOAD = "none"
UNREAD_LOG = (
    "the server's errors and waits for locks are not known: the role cannot read its log in JSON (log_destination = jsonlog; pg_monitor"
    " and pg_read_server_files)"
)
LOST_SAMPLER = "the locks and the prediction are not whole: the session that looks at the clone was lost:"
LOST_STATE = "There is no report. Production was only read; a clone that this command made is removed."
LOST_HINT = (
    "Is the disk of the clone's server full (a private server's is that of TMPDIR), or was it stopped? Then rehearse again."
)


@dataclass(frozen=True)
class Settings:
    """What the operator asked for. `load`: BUILT_IN, NO_LOAD, a command, or a .sql file for pgbench. `dwell_s`: how long it runs
    before and after each exchange. `statements`: those of a file; None: production's own. `directory`: where programs run.
    `report`: its JSON, as that night's command names it."""

    config: Config
    clone: CloneOptions
    directory: Path
    inherited: str = REFUSE
    load: str = BUILT_IN
    dwell_s: float = 10.0
    checks: tuple[str, ...] = ()
    check_timeout_s: float = 1800.0
    statements: str | None = None
    report: Path = REPORT


@dataclass
class Rehearser:
    """Runs one rehearsal. `note`: what happens, for people."""

    settings: Settings
    production: Production
    note: Callable[[str], None]
    reasons: list[Reason] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pin: Pin | None = None
    plan: Plan | None = None
    here: dict[str, Size] = field(default_factory=dict)
    there: dict[str, Size] = field(default_factory=dict)
    measured: Measured | None = None
    taken_over: bool = False

    def run(self) -> Rehearsal:
        """Raises SwapError where nothing could be rehearsed. What the cycle met is in the result."""
        self._refuse_missing_programs()
        with ExitStack() as held:
            watchdog = held.enter_context(Watchdog())
            directory = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="swap-rehearsal-")))
            held.enter_context(watchdog.watching(directory=str(directory)))
            clone = held.enter_context(open_clone(self.production, self.settings.clone, self.note))
            conn = held.enter_context(Database.from_options(clone.conninfo, "rehearse").session())
            with self.production.database.session("proof") as original:
                proof = prove_not_production(original, conn, self.settings.config.names.state_schema)
            self.note(f"the clone: {clone.said}; {proof}")
            config = for_clone(self.settings.config)
            (directory / "swap.toml").write_text(to_toml(config), encoding="utf-8")
            commands = Commands(clone.conninfo, directory / "swap.toml", directory, watchdog)
            if inherited := settle_inherited(conn, config, commands, self.settings.inherited):
                self.warnings.append(inherited)
                self.taken_over = self.settings.inherited == TAKE_OVER
            variables = held.enter_context(libpq_environment(conn))
            programs = Programs(variables, clone.conninfo, secrets_of(conn), self.settings.directory, watchdog)
            admin = held.enter_context(Database.from_options(clone.admin, "rehearse").session("log")) if clone.private else conn
            try:
                return Watched(self, clone, conn, admin, commands, programs).run(proof)
            except (psycopg.Error, UnreachableError) as e:
                if _answers(conn):
                    raise
                raise UnreachableError(f"The clone was lost: {first_line(e)}", state=LOST_STATE, hint=LOST_HINT) from None

    def _refuse_missing_programs(self) -> None:
        """Raises UsageError: before a clone is made, which may take hours."""
        find_client("pg_dump", self.production.server_version)
        if is_script(self.settings.load, self.settings.directory):
            find_client("pgbench", self.production.server_version)


@dataclass
class Watched:
    """The cycle on one clone, and what watches it. `admin`: may read the server's log, where any session here may."""

    rehearser: Rehearser
    clone: Clone
    conn: Connection
    admin: Connection
    commands: Commands
    programs: Programs
    schema: SchemaObserver = field(init=False)
    checks: CheckObserver = field(init=False)
    statements: StatementObserver = field(init=False)
    locks: LockObserver = field(init=False)
    load: LoadBeside | None = None
    sampler: Sampler | None = None
    used: list[Used] | None = None

    def __post_init__(self) -> None:
        r = self.rehearser
        self.schema = SchemaObserver(self.conn, self.programs, r.settings.config.names.state_schema)
        self.checks = CheckObserver(self.admin, self.programs, r.settings.checks, r.settings.check_timeout_s, r.note)
        self.statements = StatementObserver(self.clone.conninfo, ())
        self.locks = LockObserver(Database.from_options(self.clone.conninfo, "rehearse"), for_clone(r.settings.config), r.note)

    def run(self, proof: str) -> Rehearsal:
        r, at = self.rehearser, datetime.now(UTC).isoformat(timespec="seconds")
        config = for_clone(r.settings.config)
        with ExitStack() as held, Sampler(Database.from_options(self.clone.conninfo, "rehearse"), config) as sampler:
            self.sampler, logged = sampler, mark(self.admin)
            cycle = Cycle(
                self.commands, self.conn, lambda name: self._at(name, held), self._dwell, r.note,
                lambda command, began, ended: during(sampler.work, command, began, ended), self._try_phases,
            )  # fmt: skip
            try:
                cycle.run()
            except CycleStoppedError as e:
                r.reasons.append(e.reason)
            if self.load is not None:
                self.load.stop()
            waits = waits_since(self.admin, logged, self.conn.info.dbname, sampler.names)
            if logged is None:
                r.warnings.append(UNREAD_LOG)
            if sampler.lost is not None:
                r.warnings.append(f"{LOST_SAMPLER} {sampler.lost}")
            return self._result(cycle, sampler, at, proof, waits)

    def _at(self, state: str, held: ExitStack) -> None:
        if state == BEFORE:
            self._begin()
        plan = self.rehearser.plan
        assert plan is not None
        if state == PREPARED:
            self.rehearser.pin = make_pin(self.conn, plan)
        self.schema.at(state, plan)
        self.statements.at(state)
        self.checks.at(state)
        if state == BEFORE and (load := self._load(plan)) is not None:
            self.load = held.enter_context(load)

    def _begin(self) -> None:
        """The plan; what production alone can tell: its sizes and its statements."""
        r = self.rehearser
        r.plan = plan = read_plan(self.conn, for_clone(r.settings.config))
        tables = [*(t.name for t in plan.swapped), *dict.fromkeys(ref.table for ref in plan.references)]
        self.locks.plan_is(plan, exact=reads_exactly(self.conn, r.settings.config.cutover.reads))
        if self.sampler is not None:
            self.sampler.work.tables = tables_of(plan)
        r.here = sizes(self.conn, tables)
        with r.production.database.session("sizes") as original:
            r.there = sizes(original, tables)
            self.used = read_used(original, plan)
            r.warnings += other_structure(original, self.conn, plan)
        rows = not r.settings.clone.schema_only
        r.warnings += untried(r.settings.checks, load=r.settings.load != NO_LOAD, rows=rows)
        r.warnings += far_apart(r.here, r.there) if rows else []
        if r.settings.statements is not None:
            self.statements.statements = from_file(r.settings.statements)
        elif self.used is not None:
            self.statements.statements = [u.text for u in self.used][:TOP]
        else:
            r.warnings.append(
                "no statements were planned: production has no pg_stat_statements that this role reads; name a file with --statements"
            )

    def _load(self, plan: Plan) -> LoadBeside | None:
        settings = self.rehearser.settings
        if settings.load == NO_LOAD:
            return None
        if settings.load == BUILT_IN:
            return BuiltInLoad(self.clone.conninfo, plan, self.used)
        if is_script(settings.load, settings.directory):
            return ScriptLoad(self.programs, settings.directory / settings.load, self.conn.info.server_version)
        return ProgramLoad(self.programs, split(settings.load))

    def _try_phases(self, *names: str) -> None:
        if "prepare" in names and self.rehearser.taken_over:
            return  # what `prepare` makes is there
        with self.load.quiet() if self.load is not None else nullcontext():
            self.locks.at(*names)

    def _dwell(self) -> None:
        if self.load is not None:
            self.load.dwell(self.rehearser.settings.dwell_s)

    def _result(self, cycle: Cycle, sampler: Sampler, at: str, proof: str, waits: list[dict[str, Any]] | None) -> Rehearsal:
        r, schema, plan = self.rehearser, self.schema.result(), self.rehearser.plan
        lock_statements = self.locks.statements(sampler)
        own = f"{r.settings.config.names.state_schema}."  # for what is there no session of the application waits
        found = assess(self.locks.phases, self.locks.locked, sampler.seen, lock_statements)
        locks = [x for x in found if not x["table"].startswith(own)]
        statements = self.statements.result(plan.key if plan else "id")
        load = self.load.result(self.conn, cycle.steps, cycle.started) if self.load else None
        reasons = [
            *r.reasons, *schema_reasons(schema), *self.checks.reasons(), *statement_reasons(statements),
            *(Reason("load", text) for text in (load or {}).get("reasons", ())),
            *lock_reasons(lock_statements, locks),
        ]  # fmt: skip
        about: dict[str, Any] = {
            "kind": self.clone.kind, "said": self.clone.said, "proof": proof, "kept": r.settings.clone.keep or self.clone.kind == "on",
        }  # fmt: skip
        return Rehearsal(
            source=str(r.settings.config.source.name), mode=r.settings.config.sync.mode, began_at=at, seconds=round(time.time() - cycle.started, 1),
            clone=about, server_version=self.conn.info.server_version, tool_version=__version__, reasons=tuple(reasons),
            warnings=tuple(r.warnings), left_out=tuple(left_out(r.settings.config)), states=cycle.states, steps=tuple(cycle.steps),
            findings=tuple(c for c in cycle.documents.get("doctor", {}).get("checks", ()) if c["status"] != "ok"),
            schema=schema, checks=tuple(self.checks.runs), load=load, locks=tuple(locks), lock_statements=tuple(lock_statements), lock_waits=waits, statements=tuple(statements),
            samples={
                "holds_ms": holds_ms(sampler.seen),
                "backlog": [(round(t - cycle.started, 2), n) for t, n in sampler.backlog],
                "copied": _copied(self.conn, r.settings.config, cycle.started),
            },
            prediction=self._prediction(cycle), pin=r.pin,
        )  # fmt: skip

    def _prediction(self, cycle: Cycle) -> dict[str, Any] | None:
        r = self.rehearser
        if r.plan is None or not r.there or r.settings.clone.schema_only:
            return None
        built = {str(c.table): float(c.bytes) for c in costs(r.plan.catalog, r.plan.all_references)}
        r.measured = Measured(cycle.steps, r.here, built, cycle.alone)
        hook = r.settings.config.hooks.pre_swap_snapshot
        return predict(r.measured, r.there, night_cutover(r.settings.report, snapshot=hook is not None))


def _answers(conn: Connection) -> bool:
    try:
        return conn.execute("SELECT 1").fetchone() is not None
    except psycopg.Error:
        return False


def _copied(conn: Connection, config: Config, started: float) -> list[tuple[float, int]]:
    """(seconds, rows) of each chunk of the backfill, from the journal."""
    from swap.state.account import chunk_times  # noqa: PLC0415 - with the journal's tables, which take a while to describe

    try:
        return [(round(at - started, 2), rows) for at, rows in chunk_times(conn, config.names.state_schema, config.source.name)]
    except psycopg.Error:
        return []  # the clone's connection was lost; the rest of the report stands
