"""The one way from catalog and configuration to a plan, or to the reasons why there is none.

`plan`, `prepare` and the tests stop at the first reason (`read_plan`). `doctor` collects every reason and goes on as far
as anything can be planned (`plan_for`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg

from swap.catalog.dependents import load_dependents
from swap.catalog.expressions import refuse_spliced
from swap.catalog.load import load_catalog
from swap.catalog.model import Catalog, Table
from swap.catalog.scratch import CannotBuildError, like, scratch_table
from swap.core.config import Config
from swap.core.connection import Connection, judged
from swap.core.errors import RefusedError, UsageError
from swap.core.names import TableName, parse_table
from swap.plan.compat_indexes import with_compat_indexes
from swap.plan.model import Plan, RefColumns
from swap.plan.planner import make_plan
from swap.plan.policies import new_policies
from swap.plan.references import key_pair, reference_columns
from swap.plan.rewrite import RewriteFailure, Rewritten, rewrite

STABLE = "Write it without what depends on settings, the role or the time: a constant in place of now(), an enum as itself and not as text."


@dataclass(frozen=True)
class Planned:
    """A plan, or None with the `problem`: what the server refused and why.

    `definitions`: the index definitions that could be rewritten. `failures`: those that could not.
    """

    plan: Plan | None
    definitions: dict[tuple[TableName, str], str]
    failures: tuple[RewriteFailure, ...]
    problem: str | None = None


def plan_for(
    conn: Connection, catalog: Catalog, config: Config, references: tuple[RefColumns, ...], *, may_try: bool = True
) -> Planned:
    """Rewrite every definition over the uuid columns, and plan. Locks nothing.

    `may_try` False: the session may not create temporary tables, so no definition is rewritten.
    """
    rewritten = Rewritten({}, (), ())
    what = "the tables could not be tried out with a uuid key"
    try:
        if may_try:
            rewritten = rewrite(conn, catalog, references, key_pair(config))
            catalog = replace(catalog, statistics=rewritten.statistics)
        plan = make_plan(catalog, config, references, rewritten.definitions)
        what = "the compatibility columns could not be tried out"
        plan = with_compat_indexes(conn, plan) if may_try else plan
    except CannotBuildError as e:
        return Planned(None, rewritten.definitions, rewritten.failures, f"{what}: {e}")
    except psycopg.Error as e:
        if not judged(e):
            raise
        return Planned(None, rewritten.definitions, rewritten.failures, f"{what}: {e.diag.message_primary}")
    return Planned(plan, rewritten.definitions, rewritten.failures)


def read_plan(conn: Connection, config: Config) -> Plan:
    """The plan for a source that is not being migrated yet. Raises UsageError and RefusedError."""
    refuse_spliced(conn, config)
    catalog = load_catalog(conn, config.source.name, [(parse_table(r.table), r.column) for r in config.reference])
    if catalog.source.column(config.source.key) is None:
        raise UsageError(
            f"{catalog.source.name} has no column {config.source.key}.", hint="Check [source] key in the configuration."
        )
    if problems := new_policies(catalog, config)[1]:
        raise UsageError(f"The policy {problems[0].object} {problems[0].detail}.", hint=problems[0].hint)
    references = reference_columns(catalog, config)
    references = tuple(_with_where(conn, catalog.table(r.table), r) for r in references)
    planned = plan_for(conn, with_dependents(conn, catalog, references), config, references)
    if planned.failures:
        f = planned.failures[0]
        raise RefusedError(
            f"The {f.kind} {f.index} of {f.table} cannot hold a uuid: {f.reason}.",
            hint="Drop it or change its definition; `swap doctor` lists all of them.",
        )
    if planned.plan is None:
        raise RefusedError(f"{catalog.source.name}: {planned.problem}.", hint="`swap doctor` lists what is in the way.")
    return planned.plan


def with_dependents(conn: Connection, catalog: Catalog, references: tuple[RefColumns, ...]) -> Catalog:
    """The catalog with every view and function that must be created again: those over the source or a reference's columns."""
    columns = []
    for r in references:
        table = catalog.table(r.table)
        columns += [(table.oid, c.attnum) for c in table.columns if not r.own and c.name in (r.column, r.uuid_column)]
    found = load_dependents(conn, catalog.source.oid, columns, {t.oid: t.name for t in catalog.tables})
    return replace(catalog, views=found.views, functions=found.functions, unclaimed=found.unclaimed)


def _with_where(conn: Connection, table: Table, ref: RefColumns) -> RefColumns:
    """The reference with its `where` as the server prints it.

    Raises UsageError where it is not one expression over the other columns of the table.
    """
    if ref.where is None:
        return ref
    try:
        with scratch_table(conn, map(like, table.columns)) as scratch:
            scratch.add_check(ref.where)
            printed = scratch.check
    except CannotBuildError as e:
        raise UsageError(
            f"The `where` of the reference {ref.table}.{ref.column} is not a condition over that table: {e}.",
            hint="Write one SQL condition over the table's own columns, such as \"actor_type = 'User'\".",
        ) from None
    if {ref.column, ref.uuid_column} & printed.columns:
        raise UsageError(
            f"The `where` of the reference {ref.table}.{ref.column} uses the reference itself, which is a uuid afterwards.",
            hint="Write it over the other columns of the table, such as the type column of a polymorphic pair.",
        )
    if why := unstable(conn, table, printed.text):
        raise UsageError(f"The `where` of the reference {ref.table}.{ref.column} {why}.", hint=STABLE)
    return replace(ref, where=printed.text)


def unstable(conn: Connection, table: Table, where: str) -> str | None:
    """Why the condition is not a function of the row alone; None where it is.

    It is evaluated in the sessions of the application too, and again later: what depends on a setting, a role or the time would
    make one row a reference in one of them and not in another (invariant 3, H54)."""
    try:
        with scratch_table(conn, map(like, table.columns)) as scratch:
            scratch.add_immutable(where)
    except CannotBuildError as e:
        return f"depends on more than the row ({e})"
    return None
