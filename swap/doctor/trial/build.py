"""The trial (H25, H27): it builds the target schema, empty, before anything else is built, and rolls it back.

One transaction makes schemas of its own, empty copies of the tables in them, and the same plan with the names of those
schemas (swap.doctor.trial.remap). Then it runs the statements of `swap.ddl.phases`, from `prepare` to the exchange, on
the copies, each under a savepoint. What cannot be built over a uuid fails here, in the server's own words. The trial
reports all failures, not only the first.

It takes ACCESS SHARE on an application's table that a view reads, from when the view is created until the trial ends, and no other
lock but those of firing triggers (swap.doctor.trial.fire): it leaves out statements that would touch a relation outside its own
schemas. It also leaves out some kinds of statement: those about swap's own objects and the copy of rows, and those about objects that the copies do not have (old views to set
aside, sequences, publications, rights).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from psycopg import errors, sql

from swap.catalog.load import load_tables, resolve
from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.lock_retries import local_timeout
from swap.core.names import derive, quote
from swap.core.sql_text import load_sql, verbatim
from swap.core.statement import Statement
from swap.ddl.exchange import exchange
from swap.ddl.made_again import EVENT_TRIGGERS
from swap.ddl.phases import backfill_tasks, build_tasks, prepare_steps, reference_tasks
from swap.ddl.set_aside import dependents
from swap.ddl.statistics import build_name
from swap.ddl.tasks import statements_of
from swap.doctor.finding import Finding, blocker, ok
from swap.doctor.trial.builder import Builder, Trial
from swap.doctor.trial.fire import Firing, Outcomes, with_triggers
from swap.doctor.trial.fired import compare_fired, unfired
from swap.doctor.trial.functions import named_aside, named_before, review
from swap.doctor.trial.likeness import compare_dependents, compare_tables
from swap.doctor.trial.meaning import compare_meanings
from swap.doctor.trial.partitions import some_partitions
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.sample import Samples, sample_rows
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.doctor.trial.tables import copies
from swap.plan.model import Plan

STATEMENT_MS = 30_000
LOCK_MS = 2_000


class _RollBack(Exception):
    """Ends the trial's transaction, so that nothing of it remains."""


def trial_findings(conn: Connection, plan: Plan, known: Sequence[Finding] = (), fire: bool = True) -> list[Finding]:
    """Build everything that `plan` will build, on empty copies, and roll it back. Needs CREATE on the database.

    `known`: the findings from the catalog. A failure that one of them explains is not reported a second time, in the server's
    words and with a hint that does not fit.

    Raises psycopg's LockNotAvailable and QueryCanceled: a table that a view reads is locked, or the server is too busy.
    """
    trial = run_trial(conn, plan, known, fire=fire)
    if not trial.built or trial.failed or any(f.status == "blocker" and not f.acceptable for f in trial.findings):
        return trial.findings
    return [
        *trial.findings,
        ok("trial", plan.source, f"the target schema was built empty and rolled back: {trial.built} statements"),
    ]


def run_trial(conn: Connection, plan: Plan, known: Sequence[Finding] = (), *, fire: bool = False) -> Trial:
    """`trial_findings` with the statements that were left out and the number of those that were built. `fire`: the application's
    triggers are fired on the copies."""
    plan = some_partitions(plan)
    plan = replace(plan, mode="trigger")  # capture is not tried: its triggers are left out, and a slot could not be undone
    trial = Trial(known={(f.name, f.object) for f in known if f.status != "ok"})
    try:
        with conn.transaction():
            conn.execute(local_timeout("statement_timeout", STATEMENT_MS))
            conn.execute(local_timeout("lock_timeout", LOCK_MS))
            _build(conn, plan, trial, fire=fire)
            raise _RollBack
    except _RollBack:
        pass
    except errors.InsufficientPrivilege as e:
        detail = f"the target schema could not be tried out: {e.diag.message_primary}"
        grant = f"GRANT CREATE ON DATABASE {quote(plan.catalog.database)} TO {quote(plan.catalog.role)};"
        trial.findings.append(blocker("trial", plan.source, detail, grant, acceptable=True))
    return trial


def _build(conn: Connection, plan: Plan, trial: Trial, *, fire: bool) -> None:
    outside = _targets(conn, plan)
    remap = _scratch(conn, plan, outside)
    moved = replace(remap.plan(plan), state_schema=_schema(conn, "state"))
    tables, rest = copies(moved, remap.plan(outside))
    builder = Builder(conn, trial, remap, moved)
    builder.run(tables)
    for definition in _row_type_functions(conn, plan, remap):
        error_in_savepoint(conn, partial(conn.execute, definition))
    for statement in named_before(moved):
        error_in_savepoint(conn, partial(conn.execute, statement))
    builder.run(rest)
    samples = _samples(conn, plan, remap) if fire and with_triggers(plan) else None
    before = _firing(conn, plan, remap, samples).fire() if samples else {}
    for statement in named_aside(moved):
        error_in_savepoint(conn, partial(conn.execute, statement))
    builder.run(_statements(moved))
    trial.findings += compare_meanings(conn, plan, remap)
    if not trial.failed and not trial.left_out:
        trial.findings += compare_tables(conn, plan, remap)
    if conn.execute(EVENT_TRIGGERS).fetchall():
        trial.findings += compare_dependents(conn, plan, remap)
    after = _firing(conn, plan, remap, samples, before).fire() if samples else {}
    trial.findings += compare_fired(before, after)
    trial.findings += review(conn, plan, remap, _schema(conn, "bodies"), unfired(plan, before, after) if samples else {})


def _samples(conn: Connection, plan: Plan, remap: SchemaRemap) -> Samples:
    return sample_rows(conn, plan, remap, _schema(conn, "rows"), with_triggers(plan))


def _firing(conn: Connection, plan: Plan, remap: SchemaRemap, samples: Samples, before: Outcomes | None = None) -> Firing:
    own = (
        plan.state_schema,
        samples.schema,
        *set(remap.schemas.values()),
        *(_schema(conn, part) for part in ("state", "bodies")),
    )
    return Firing(conn, plan, remap, samples, own, before)


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
