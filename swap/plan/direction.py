"""A direction is data: two tables, their keys, and where each maintained column's value comes from.

Forward, before the cutover, the source is captured and the shadow is maintained. Reverse, after it, the new table is
captured and the retired one is maintained. Backfill, replay and verification read only the mapping of a direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from swap.catalog.model import Column
from swap.core.names import TableName
from swap.plan.model import Plan


class Direction(StrEnum):
    """Which way changes flow. The values are in the journal and in the names of functions in the database."""

    FORWARD = "forward"
    REVERSE = "reverse"


@dataclass(frozen=True)
class ColumnMapping:
    """`target` of the maintained table is `origin` of the captured one. `column`: the catalog's entry of the value's column.

    With `lookup` it is the uuid of the row whose integer key `origin` holds. `written` False: the server generates it.
    """

    target: str
    origin: str
    lookup: bool
    written: bool
    column: Column | None


@dataclass(frozen=True)
class TableMapping:
    """`origin` is captured, `target` is maintained. On either side `key` is the integer key and `uuid` the uuid."""

    direction: Direction
    origin: TableName
    target: TableName
    origin_key: str
    target_key: str
    origin_uuid: str
    target_uuid: str
    columns: tuple[ColumnMapping, ...]

    def value(self, mapped: ColumnMapping, alias: str = "s") -> sql.Composed:
        """The SQL expression over the captured row `alias` that gives the maintained column's value.

        A lookup is a scalar subquery. It costs one index probe per row, whatever the plan for the rest is, and none for a row
        without a reference.
        """
        column = sql.Identifier(alias, mapped.origin)
        if not mapped.lookup:
            return sql.Composed([column])
        return sql.SQL(
            "CASE WHEN {c} IS NOT NULL THEN (SELECT p.{u} FROM ONLY {t} p WHERE p.{k} OPERATOR(pg_catalog.=) {c}) END"
        ).format(c=column, u=sql.Identifier(self.origin_uuid), t=self.origin.sql, k=sql.Identifier(self.origin_key))

    @property
    def lookups(self) -> tuple[ColumnMapping, ...]:
        return tuple(m for m in self.columns if m.lookup)


def forward(plan: Plan) -> TableMapping:
    """Source → shadow: the same column names. The uuid of each own reference is looked up."""
    own = {r.uuid_column: r for r in plan.own_references}
    columns = [
        ColumnMapping(c.name, c.name, False, not c.generated, c)
        for c in plan.source_table.columns
        if c.name not in own and c.name != plan.identity
    ]
    columns.append(ColumnMapping(plan.identity, plan.identity, False, True, plan.source_table.column(plan.identity)))
    columns += [ColumnMapping(r.uuid_column, r.column, True, True, None) for r in own.values()]
    if plan.compat_column:
        columns.append(ColumnMapping(plan.compat_column, plan.identity, False, True, plan.source_table.column(plan.identity)))
    columns += [ColumnMapping(r.compat_column, r.column, True, True, None) for r in own.values() if r.compat_column]
    return TableMapping(
        Direction.FORWARD, plan.source, plan.shadow, plan.key, plan.key, plan.identity, plan.identity, tuple(columns),
    )  # fmt: skip


def reverse(plan: Plan) -> TableMapping:
    """New table → retired: the captured table has the column names of after the cutover, the retired one those of before."""
    after = {r.before: r.after for r in plan.renames}
    columns = [
        ColumnMapping(c.name, after.get(c.name, c.name), False, not c.generated, c)
        for c in plan.source_table.columns
        if c.name != plan.identity
    ]
    columns.append(ColumnMapping(plan.identity, plan.key, False, True, plan.source_table.column(plan.identity)))
    return TableMapping(
        Direction.REVERSE, plan.source, plan.retired, plan.legacy_key, plan.key, plan.key, plan.identity, tuple(columns),
    )  # fmt: skip


def table_mapping(plan: Plan, name: str) -> TableMapping:
    return forward(plan) if name is Direction.FORWARD else reverse(plan)
