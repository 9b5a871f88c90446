"""Rows whose reference belongs to no row.

A reference in place is read with its pair (`verify.references`). A table that is rebuilt beside is compared row by row, where an
orphan is like its copy: so its references are counted here, each by one anti-join with the source, as VALIDATE CONSTRAINT reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch_values
from swap.plan.direction import Direction, table_mappings
from swap.plan.model import Plan
from verify.report import CheckResult


class OwnReference(NamedTuple):
    """A reference of a swapped table, on the side that the application writes. `declared`: no foreign key forbids orphans. `rows`,
    `parents`: the table and the source as FROM names them."""

    number: int
    table: TableName
    column: str
    source: TableName
    key: str
    declared: bool
    rows: sql.Composed
    parents: sql.Composed

    @property
    def label(self) -> str:
        return f"{self.table}.{self.column}"


class Orphans(NamedTuple):
    """`rows` of the reference `label` whose key belongs to no row. `declared`: no foreign key forbids them."""

    label: str
    rows: int
    declared: bool


def own_references(plan: Plan, direction: Direction) -> list[OwnReference]:
    """The references of every swapped table, the source's own among them. The names of key and columns are those of either side."""
    mappings = table_mappings(plan, direction)
    return [
        OwnReference(
            t.number, mapping.origin, r.column, plan.source, plan.key, r.declared, mapping.origin_rows, mappings[0].origin_rows
        )
        for t, mapping in zip(plan.swapped, mappings, strict=True)
        for r in t.references
    ]


def count_orphans(conn: Connection, ref: OwnReference) -> Orphans:
    """In the session's snapshot, with ACCESS SHARE on both tables."""
    column = sql.Identifier("s", ref.column)
    query = sql.SQL("SELECT count(*) FROM {} s WHERE {} IS NOT NULL AND NOT EXISTS (SELECT FROM {} p WHERE {} = {})").format(
        ref.rows, column, ref.parents, sql.Identifier("p", ref.key), column
    )
    (rows,) = fetch_values(conn, query)
    return Orphans(ref.label, int(rows), ref.declared)


def no_orphans(found: Sequence[Orphans]) -> CheckResult:
    """An orphan is a warning where no foreign key forbids it, and a failure where one does."""
    there = [o for o in found if o.rows]
    if not there:
        return CheckResult("no_orphans", "ok", "none")
    lines = [f"{o.label}: {o.rows} rows whose key belongs to no row" for o in there]
    return CheckResult("no_orphans", "failed" if any(not o.declared for o in there) else "warning", "; ".join(lines))
