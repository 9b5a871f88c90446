"""The one way from catalog and configuration to a plan, or to the reasons why there is none.

`plan`, `prepare` and the tests stop at the first reason (`read_plan`). `doctor` collects every reason and goes on as far
as anything can be planned (`plan_for`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg

from swap.catalog.application import application_settings, schemas_of
from swap.catalog.dependents import load_dependents
from swap.catalog.expressions import refuse_spliced
from swap.catalog.load import load_catalog
from swap.catalog.model import Catalog
from swap.catalog.routines import load_named, signature
from swap.catalog.scratch import CannotBuildError
from swap.core.config import Config
from swap.core.connection import Connection, judged
from swap.core.errors import RefusedError, UsageError
from swap.core.names import TableName, parse_table
from swap.plan.application import with_application, with_function_paths, with_index_paths
from swap.plan.compat_indexes import with_compat_indexes
from swap.plan.conditions import with_conditions
from swap.plan.model import TABLE, Plan, RefColumns
from swap.plan.planner import make_plan
from swap.plan.policies import new_policies
from swap.plan.references import key_pair, reference_columns
from swap.plan.rewrite import RewriteFailure, Rewritten, rewrite
from swap.plan.texts import FUNCTION, new_texts


@dataclass(frozen=True)
class Planned:
    """A plan, or None with the `problem`: what the server refused and why.

    `definitions`: the index definitions that could be rewritten. `failures`: those that could not.
    """

    plan: Plan | None
    definitions: dict[tuple[TableName, str], str]
    failures: tuple[RewriteFailure, ...]
    problem: str | None = None
    hint: str = ""


def plan_for(
    conn: Connection, catalog: Catalog, config: Config, references: tuple[RefColumns, ...], *, may_try: bool = True
) -> Planned:
    """Rewrite every definition over the uuid columns, and plan. Locks nothing.

    `may_try` False: the session may not create temporary tables, so no definition is rewritten.
    """
    rewritten = Rewritten({}, (), ())
    what = "the tables could not be tried out with a uuid key"
    hint = ""
    try:
        settings = application_settings(conn, catalog.source.owner, config.application.settings)
        schemas = schemas_of(conn, settings)
        catalog = with_function_paths(catalog, schemas)
        if may_try:
            texts = tuple(replace(t, path=schemas) for t in new_texts(catalog, config)[0])
            catalog = with_index_paths(catalog, texts)
            rewritten = rewrite(conn, catalog, references, key_pair(config), texts)
            catalog = replace(catalog, statistics=rewritten.statistics)
        made = make_plan(catalog, config, references, rewritten)
        plan = with_application(made, settings, schemas)
        if may_try:
            what, hint = "a [[function]] could not be created", "Correct its `definition`."
            plan = _with_signatures(conn, plan)
        what, hint = "the compatibility columns could not be tried out", ""
        plan = with_compat_indexes(conn, plan) if may_try else plan
    except CannotBuildError as e:
        return Planned(None, rewritten.definitions, rewritten.failures, f"{what}: {e}", hint)
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
    references = with_conditions(conn, catalog, config, references)
    catalog = with_dependents(conn, catalog, config, references)
    if unfit := new_texts(catalog, config)[1]:
        raise UsageError(f"The {unfit[0].kind} {unfit[0].object} {unfit[0].detail}.", hint=unfit[0].hint)
    planned = plan_for(conn, catalog, config, references)
    if planned.failures:
        f = planned.failures[0]
        raise RefusedError(
            f"The {f.kind} {f.index} of {f.table} cannot hold a uuid: {f.reason}.",
            hint="Drop it or change its definition; `swap doctor` lists all of them.",
        )
    if planned.plan is None:
        raise RefusedError(f"{catalog.source.name}: {planned.problem}.", hint="`swap doctor` lists what is in the way.")
    return planned.plan


def _with_signatures(conn: Connection, plan: Plan) -> Plan:
    """The plan with what the server says of each [[function]]. Raises CannotBuildError."""
    bound = {f.oid for f in plan.catalog.functions}
    texts = []
    for t in plan.texts:
        if t.kind == FUNCTION:
            try:
                made = signature(conn, t.name, t.definition, t.path, t.oid)
            except CannotBuildError as e:
                raise CannotBuildError(f"{t.table}: {e}") from None
            texts.append(replace(t, arguments=made.arguments, in_place=made.alike and t.oid not in bound))
        else:
            texts.append(t)
    return replace(plan, texts=tuple(texts))


def with_dependents(conn: Connection, catalog: Catalog, config: Config, references: tuple[RefColumns, ...]) -> Catalog:
    """The catalog with every view and function that must be created again: those over a table that is rebuilt, or over a
    reference's columns. And with those that [[function]] names."""
    columns = []
    rebuilt = {catalog.source.oid, *(r.oid for r in references if r.strategy == TABLE)}
    for r in references:
        table = catalog.table(r.table)
        exchanged = () if r.oid in rebuilt or r.companion else (r.column, r.uuid_column)
        columns += [(table.oid, c.attnum) for c in table.columns if c.name in exchanged]
    found = load_dependents(conn, rebuilt, columns, {t.oid: t.name for t in catalog.tables})
    named = load_named(conn, (f.name for f in config.function))
    return replace(catalog, views=found.views, functions=found.functions, unclaimed=found.unclaimed, named=named)
