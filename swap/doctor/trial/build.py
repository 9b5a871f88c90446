"""The trial (H25, H27): it builds the target schema, empty, before anything else is built, and rolls it back.

One transaction makes schemas of its own, empty copies of the tables in them, and the same plan with the names of those
schemas (swap.doctor.trial.remap). Then it runs the statements of `swap.ddl.phases`, from `prepare` to the exchange, on
the copies, each under a savepoint. What cannot be built over a uuid fails here, in the server's own words. The trial
reports all failures, not only the first.

It takes ACCESS SHARE on an application's table that a view reads, while the view is created, and no other lock: it leaves
out statements that would touch a relation outside its own schemas. It also leaves out some kinds of statement: those
about swap's own objects and the copy of rows, and those about objects that the copies do not have (old views to set
aside, sequences, publications, rights).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

import psycopg
from psycopg import errors, sql

from swap.catalog.load import load_tables, resolve
from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.lock_retries import local_timeout
from swap.core.names import derive, quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Kind, Statement, Verb, script
from swap.ddl.exchange import exchange
from swap.ddl.made_again import EVENT_TRIGGERS
from swap.ddl.phases import backfill_tasks, build_tasks, prepare_steps, reference_tasks
from swap.ddl.set_aside import dependents
from swap.ddl.statistics import build_name
from swap.ddl.tasks import statements_of
from swap.doctor.finding import Finding, Remedy, blocker, ok
from swap.doctor.trial.functions import named_aside, named_before, review
from swap.doctor.trial.likeness import compare_dependents, compare_tables
from swap.doctor.trial.meaning import compare_meanings
from swap.doctor.trial.partitions import some_partitions
from swap.doctor.trial.proposals import view_over_integers
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.doctor.trial.tables import copies
from swap.plan.model import Plan

STATEMENT_MS = 30_000
LOCK_MS = 2_000
BATCH = 50
CANNOT = "cannot be built over a uuid"
HINT = (
    "Write it so that it holds for a uuid (no arithmetic, no sentinel like 0, no function of an integer), or drop it"
    " before `prepare` and create it again after the cutover."
)
EXPLAINS = {
    "42501": ("function", "ownership", "view"),  # must be superuser, must be able to SET ROLE
    "42703": ("function", "view"),  # a column that is gone after the cutover
    "42804": ("foreign-key",),  # of incompatible types
    "42830": ("foreign-key",),  # no unique constraint matching
    "42883": ("function",),  # an aggregate, which has no text to make it again by
    "55000": ("view",),  # a materialized view over one that is not populated
}
"""SQLSTATEs of a failed object, and the checks whose findings say better what to do about it."""
PROVIDER = (
    "Load the provider in every session (shared_preload_libraries), or take the label away (SECURITY LABEL, `IS NULL` for its text) and"
    " give it again after the cutover."
)
GONE = "Mend what it needs first."

# Left out: swap's own objects, work on rows, and statements about objects that the copies do not have.
LEFT_OUT = {Kind.CAPTURE, Kind.SET_ASIDE, Kind.RECOMPILE, Kind.ROWS, Kind.MAINTENANCE, Kind.LOCK, Kind.SEQUENCE}
# A failure of one of these is a finding. The others name a column, a right or an option of what failed before them.
BUILT = {
    Kind.TABLE, Kind.CONSTRAINT, Kind.FOREIGN_KEY, Kind.INDEX, Kind.STATISTICS, Kind.TRIGGER, Kind.POLICY, Kind.DEFAULT, Kind.VIEW,
    Kind.FUNCTION, Kind.SECURITY_LABEL,
}  # fmt: skip


# What an exchange takes away that the copies have: triggers, and the NOT NULL of integers.
TAKEN = {Kind.TRIGGER, Kind.CONSTRAINT, Kind.NOT_NULL}


class _RollBack(Exception):
    """Ends the trial's transaction, so that nothing of it remains."""


@dataclass
class Trial:
    """The result of a trial. `known`: findings from the catalog, by (name, object).

    `left_out`: statements that failed and build nothing, with the reason.
    """

    findings: list[Finding] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    built: int = 0
    failed: bool = False
    known: set[tuple[str, str]] = field(default_factory=set)

    def is_explained(self, label: str, error: psycopg.Error) -> bool:
        """Whether a check of the catalog has said why this object cannot be built.

        Another failure of the same object is news: a view of another owner's that calls max(id) needs more than the
        membership.
        """
        return any((name, label) in self.known for name in EXPLAINS.get(error.sqlstate or "", ()))


def trial_findings(conn: Connection, plan: Plan, known: Sequence[Finding] = ()) -> list[Finding]:
    """Build everything that `plan` will build, on empty copies, and roll it back. Needs CREATE on the database.

    `known`: the findings from the catalog. A failure that one of them explains is not reported a second time, in the server's
    words and with a hint that does not fit.

    Raises psycopg's LockNotAvailable and QueryCanceled: a table that a view reads is locked, or the server is too busy.
    """
    trial = run_trial(conn, plan, known)
    if not trial.built or trial.failed or any(f.status == "blocker" and not f.acceptable for f in trial.findings):
        return trial.findings
    return [
        *trial.findings,
        ok("trial", plan.source, f"the target schema was built empty and rolled back: {trial.built} statements"),
    ]


def run_trial(conn: Connection, plan: Plan, known: Sequence[Finding] = ()) -> Trial:
    """`trial_findings` with the statements that were left out and the number of those that were built."""
    plan = some_partitions(plan)
    plan = replace(plan, mode="trigger")  # capture is not tried: its triggers are left out, and a slot could not be undone
    trial = Trial(known={(f.name, f.object) for f in known if f.status != "ok"})
    try:
        with conn.transaction():
            conn.execute(local_timeout("statement_timeout", STATEMENT_MS))
            conn.execute(local_timeout("lock_timeout", LOCK_MS))
            _build(conn, plan, trial)
            raise _RollBack
    except _RollBack:
        pass
    except errors.InsufficientPrivilege as e:
        detail = f"the target schema could not be tried out: {e.diag.message_primary}"
        grant = f"GRANT CREATE ON DATABASE {quote(plan.catalog.database)} TO {quote(plan.catalog.role)};"
        trial.findings.append(blocker("trial", plan.source, detail, grant, acceptable=True))
    return trial


def _build(conn: Connection, plan: Plan, trial: Trial) -> None:
    outside = _targets(conn, plan)
    remap = _scratch(conn, plan, outside)
    moved = replace(remap.plan(plan), state_schema=_schema(conn, "state"))
    tables, rest = copies(moved, remap.plan(outside))
    builder = _Builder(conn, trial, remap, moved)
    builder.run(tables)
    for definition in _row_type_functions(conn, plan, remap):
        error_in_savepoint(conn, partial(conn.execute, definition))
    for statement in named_before(moved):
        error_in_savepoint(conn, partial(conn.execute, statement))
    builder.run(rest)
    for statement in named_aside(moved):
        error_in_savepoint(conn, partial(conn.execute, statement))
    builder.run(_statements(moved))
    trial.findings += compare_meanings(conn, plan, remap)
    if not trial.failed and not trial.left_out:
        trial.findings += compare_tables(conn, plan, remap)
    if conn.execute(EVENT_TRIGGERS).fetchall():
        trial.findings += compare_dependents(conn, plan, remap)
    trial.findings += review(conn, plan, remap, _schema(conn, "bodies"))


def _row_type_functions(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[sql.SQL]:
    """Definitions of the functions bound to the row type of a reference's table.

    The exchange keeps such a function, as it keeps the type. But a view over the copies finds it only with the copies' types.
    Another signature is another function, so the trial does not touch the real one.
    """
    oids = [t.oid for t in plan.catalog.tables if plan.swapped_table(t.name) is None]
    dependents = [f.oid for f in plan.catalog.functions]
    query = load_sql("swap.doctor.trial", "row_type_functions.sql")
    rows = conn.execute(query, {"oids": oids, "dependents": dependents}).fetchall()
    return [verbatim(remap.text(definition)) for _, definition in rows]


def _statements(plan: Plan) -> Iterator[Statement]:
    """The statements from `prepare` to the exchange, as they run. Indexes are built plainly: the trial is one transaction."""
    yield from statements_of(prepare_steps(plan))
    yield from statements_of(backfill_tasks(plan, concurrently=False))
    yield from statements_of(build_tasks(plan))
    yield from statements_of(reference_tasks(plan, concurrently=False))
    yield from exchange(plan)


@dataclass
class _Builder:
    """Runs statements on the copies and notes failures. `failed`: the labels of objects that are missing, by plain name."""

    conn: Connection
    trial: Trial
    remap: SchemaRemap
    moved: Plan
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, statements: Iterable[Statement]) -> None:
        inside = (replace(s, path=self.remap.path(s.path)) for s in statements if self._inside(s))
        for batch in _batches(inside):
            if len(batch) > 1 and self._error(script(batch)) is None:
                self.trial.built += len(batch)
                continue
            for statement in batch:
                error = self._error(statement.whole)
                if not statement.takes_back:
                    self._note(statement, error)

    def _error(self, text: Query) -> psycopg.Error | None:
        return error_in_savepoint(self.conn, partial(self.conn.execute, text))

    def _inside(self, statement: Statement) -> bool:
        """Whether the statement is about an object of the application's, on the copies alone."""
        if statement.kind in LEFT_OUT:
            return False
        if statement.kind is Kind.STATISTICS and statement.verb is not Verb.CREATE:
            return False  # the copies have no old statistics to rename
        if statement.takes_back and statement.kind not in TAKEN:
            return False
        return statement.table is None or statement.table.schema in self.remap.schemas.values()

    def _note(self, statement: Statement, error: psycopg.Error | None) -> None:
        if error is None:
            self.trial.built += 1
        elif statement.kind not in BUILT or statement.verb is not Verb.CREATE:
            self.trial.left_out.append(f"{statement.text}: {error.diag.message_primary}")
        else:
            label = self._label(statement)
            self.trial.failed = True
            more = self._remedy(statement)
            if not self.trial.is_explained(label, error):
                found = self._finding(label, error, statement.kind)
                self.trial.findings.append(replace(found, hint=f"{found.hint} Or {more}") if more else found)
            elif more:
                self.trial.findings.append(Remedy("trial", "blocker", label, "", f"Or {more}"))
            self.failed.setdefault(label.rpartition(".")[2], label)

    def _remedy(self, statement: Statement) -> str:
        """The entry of the configuration that would serve; empty where swap knows none, or the operator has given one that does not."""
        if statement.kind is not Kind.VIEW or not (
            view := next((v for v in self.moved.catalog.views if v.name == statement.table), None)
        ):
            return ""
        return "" if self.moved.text_of(view.oid) else view_over_integers(self.conn, self.moved, statement, self.remap)

    def _label(self, statement: Statement) -> str:
        """What `[accept]` and the reader call the object: `public.view`, `public.table.trigger`, `public.function(bigint)`."""
        if statement.object:
            return self.remap.readable(statement.object)
        return str(self.remap.back(statement.table)) if statement.table else statement.why

    def _finding(self, label: str, error: psycopg.Error, kind: Kind) -> Finding:
        message = self.remap.readable(error.diag.message_primary or str(error))
        if kind is Kind.SECURITY_LABEL:
            return blocker("trial", label, f"its security label cannot be given again: {message}", PROVIDER)
        if isinstance(error, errors.UndefinedTable):
            missing = next((whole for name, whole in self.failed.items() if name in message), None)
            if missing is not None:
                return blocker("trial", label, f"needs {missing}, which {CANNOT}", GONE)
        return blocker("trial", label, f"{CANNOT}: {message}", HINT)


def _batches(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Group statements into one round trip and one savepoint each: 200 references are 3000 statements.

    Where one of a batch fails, the caller runs them one by one. A statement that may fail because the copies do not have its
    object is a batch of its own.
    """
    for may_fail, run in groupby(statements, key=lambda s: s.takes_back):
        mine = list(run)
        size = 1 if may_fail else BATCH
        yield from (mine[n : n + size] for n in range(0, len(mine), size))


def _targets(conn: Connection, plan: Plan) -> tuple[Table, ...]:
    """The tables that swapped tables refer to, those that refer to them, and those whose policies are created again.

    A statement on either would lock the real table.
    """
    known = {t.name for t in plan.catalog.tables}
    under_policy = {b.table for b in plan.bound_policies} | {n.table for n in plan.new_policies}
    ends = {t for fk in plan.catalog.foreign_keys if plan.touches(fk) for t in (fk.target, fk.holder)}
    names = sorted((ends | under_policy) - known)
    oids = [resolve(conn, n, partitioned=True) for n in names]
    return tuple(replace(t, checks=(), triggers=()) for t in load_tables(conn, oids)) if oids else ()


def _schema(conn: Connection, part: str) -> str:
    """A schema's name that no other trial uses: two trials would wait for each other over one name."""
    return derive(f"swap_trial_{conn.info.backend_pid}", f"_{part}")


def _scratch(conn: Connection, plan: Plan, outside: tuple[Table, ...]) -> SchemaRemap:
    """Create one schema for each schema involved, so that two tables of one name stay two.

    Owners of views and functions must be able to create objects there.
    """
    tables = {n for t in plan.swapped for n in t.made}
    tables |= {*(x.name for t in (*plan.catalog.tables, *outside) for x in (t, *t.partitions))}
    tables |= (
        {f.name for f in dependents(plan)}
        | {n.function.name for n in plan.catalog.named}
        | {build_name(s) for s in plan.catalog.statistics}
    )
    tables |= {s.name for s in plan.catalog.statistics}
    schemas = {s: _schema(conn, str(n)) for n, s in enumerate(sorted({t.schema for t in tables}))}
    for scratch in (*schemas.values(), _schema(conn, "bodies")):
        name = sql.Identifier(scratch)
        conn.execute(sql.SQL("CREATE SCHEMA {}; GRANT ALL ON SCHEMA {} TO PUBLIC").format(name, name))
    return SchemaRemap({t: schemas[t.schema] for t in tables})
