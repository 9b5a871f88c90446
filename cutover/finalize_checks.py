"""Checks before `finalize` (H45): no object may still use the integer columns or the retired table.

DROP COLUMN refuses for a policy, a view or a generated column, and silently takes indexes, checks, statistics objects
and constraints along. So neither is left to it: everything but swap's own objects is listed before anything is dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg.rows import class_row, scalar_row

from cutover.what_goes import WhatGoes, check_age, check_values, what_goes
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.ddl.compat import compat_pairs
from swap.ddl.defaults import carried, default_function
from swap.ddl.replication import publication_name
from swap.ddl.statistics import retired_name
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.state.migration import Migration

ACCEPT = "legacy:"


def check_finalize(migration: Migration, *, drop_legacy: bool, compat: bool) -> WhatGoes:
    """What is about to go. Raises RefusedError with the full list of what is in the way. Reads the catalog, and with `drop_legacy` the
    integer columns."""
    conn, plan = migration.conn, migration.plan
    check_age(what_goes(migration, drop_legacy=False), migration.config.finalize.min_age_s)
    if compat and (needed := compat_dependents(conn, plan)):
        raise RefusedError(
            f"A name of before the cutover, which goes now, is still needed by: {'; '.join(needed)}.",
            hint="Change or drop each of these first.",
        )
    for t in plan.swapped:
        for retired in t.all_retired:
            if left := retired_dependents(conn, plan, retired):
                raise RefusedError(
                    f"The retired table {retired} is still used by: {'; '.join(left)}.",
                    hint=f"Change each of these to read {t.name}, or drop it.",
                )
    if not drop_legacy:
        return what_goes(migration, drop_legacy=False)
    accepted = set(migration.config.accept.findings)
    if looked_up := default_dependents(conn, plan):
        raise RefusedError(
            f"The mapping, which goes now, is still needed by: {'; '.join(looked_up)}.",
            hint="Give each column a default of its own (ALTER TABLE, ALTER COLUMN, SET DEFAULT a uuid, or DROP DEFAULT), or finalize without"
            " --drop-legacy.",
        )
    needed = legacy_dependents(conn, plan)
    bodies = [m for m in legacy_functions(conn, plan) if f"{ACCEPT}{m.function}" not in accepted]
    if needed or bodies:
        said = [*needed, *(f"{m.column}: the body of {m.function}" for m in bodies)]
        take_on = (
            f' A body that was read may be taken on: [accept] findings = ["{ACCEPT}{bodies[0].function}"].' if bodies else ""
        )
        raise RefusedError(
            f"An integer column is still needed by: {'; '.join(said)}.",
            hint=f"Change or drop each of these first, or finalize without --drop-legacy.{take_on}",
        )
    found = what_goes(migration, drop_legacy=True)
    check_values(found, accepted)
    return found


def legacy_columns(plan: Plan) -> list[tuple[TableName, str]]:
    """The integer columns, by their names after the cutover."""
    return [
        (plan.source, plan.legacy_key),
        *((r.table, r.legacy_column) for t in plan.swapped for r in t.references),
        *((r.table, r.columns.legacy_column) for r in plan.references if not r.columns.companion),
    ]


def legacy_dependents(conn: Connection, plan: Plan) -> list[str]:
    """Names of the objects that are bound to an integer column."""
    return _dependents(conn, _parameters(conn, plan))


def default_dependents(conn: Connection, plan: Plan) -> list[str]:
    """The defaults that look an integer up (swap.ddl.defaults)."""
    functions = [f"{default_function(plan, r).sql.as_string(conn)}(bigint)" for r, _ in carried(plan)]
    rows = conn.cursor(row_factory=scalar_row)
    return rows.execute(load_sql("cutover", "default_dependents.sql"), {"functions": functions}).fetchall()


def compat_dependents(conn: Connection, plan: Plan) -> list[str]:
    """Names of the objects that are bound to a compat column."""
    columns = [(t.table, t.compat) for t in compat_pairs(plan, Direction.REVERSE)]
    own = [i.final_name for t in plan.swapped for i in t.indexes] + [
        i.build_name for r in plan.references for i in r.compat_indexes
    ]
    return _dependents(conn, _parameters(conn, plan, columns) | {"own": own})


class _Dependent(NamedTuple):
    column: str
    dependent: str


def _dependents(conn: Connection, parameters: dict[str, Any]) -> list[str]:
    rows = conn.cursor(row_factory=class_row(_Dependent)).execute(load_sql("cutover", "integer_dependents.sql"), parameters)
    return [f"{r.column}: {r.dependent}" for r in rows]


class Mention(NamedTuple):
    """A function's body of text that mentions a column's name."""

    function: str
    column: str


def legacy_functions(conn: Connection, plan: Plan) -> list[Mention]:
    """Bodies of text that mention an integer column's name."""
    rows = conn.cursor(row_factory=class_row(Mention))
    return rows.execute(load_sql("cutover", "integer_functions.sql"), _parameters(conn, plan)).fetchall()


def retired_dependents(conn: Connection, plan: Plan, retired: TableName) -> list[str]:
    """Objects that depend on a retired table and are not the plan's: they were made after the cutover."""
    rows = conn.cursor(row_factory=scalar_row)
    parameters = _parameters(conn, plan) | {"table": retired.sql.as_string(conn)}
    return rows.execute(load_sql("cutover", "retired_dependents.sql"), parameters).fetchall()


def _parameters(conn: Connection, plan: Plan, columns: list[tuple[TableName, str]] | None = None) -> dict[str, Any]:
    columns = legacy_columns(plan) if columns is None else columns
    kept = [i.build_name for t in plan.swapped for i in (t.key_index, t.pair_index, *t.parts) if i and not i.final_name]
    own = [*kept, *(retired_name(plan, x).name for x in plan.catalog.statistics)]
    for ref in plan.references:
        own += [i.retired_name for i in (*ref.indexes, *ref.parts) if i.retired_name]
        own += [i.build_name for i in ref.spares]
    return {
        "schemas": [t.schema for t, _ in columns],
        "tables": [t.name for t, _ in columns],
        "columns": [c for _, c in columns],
        "own": own,
        "publication": publication_name(plan),
        "retired": [name.sql.as_string(conn) for t in plan.swapped for name in t.all_retired],
        "state_schema": plan.state_schema,
    }
