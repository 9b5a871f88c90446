"""The mapping integer ↔ uuid is one-to-one: no key missing, none shared, on the live side and the maintained one.

Where a valid unique index forbids sharing, and NOT NULL missing, the server's word is taken; else the column is
grouped, in the shared snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.plan.direction import TableMapping

EXAMPLES = 5


@dataclass(frozen=True)
class KeyColumn:
    """A column that must identify its row, and what of that no constraint guarantees."""

    table: TableName
    column: str
    may_be_null: bool
    may_be_shared: bool

    @property
    def unproved(self) -> bool:
        return self.may_be_null or self.may_be_shared


def key_columns(d: TableMapping, origin: Table, target: Table) -> list[KeyColumn]:
    """Integer and uuid of both sides."""
    return [
        _key_column(table, column)
        for table, columns in ((origin, (d.origin_key, d.origin_uuid)), (target, (d.target_key, d.target_uuid)))
        for column in columns
    ]


def _key_column(table: Table, name: str) -> KeyColumn:
    column = table.column(name)
    unique = any(i.unique and i.valid and not i.partial and not i.expressions and i.key_columns == (name,) for i in table.indexes)
    return KeyColumn(table.name, name, column is None or not column.not_null, not unique)


def violations(conn: Connection, key: KeyColumn) -> list[str]:
    """One line for each way in which the column does not identify its row; a full scan where no index helps."""
    name, found = sql.Identifier(key.column), []
    label = f"{key.table}.{key.column}"
    if key.may_be_null:
        row = conn.execute(sql.SQL("SELECT count(*) FROM {} WHERE {} IS NULL").format(key.table.sql, name)).fetchone()
        if row and row[0]:
            found.append(f"{label} is NULL in {row[0]} rows")
    if key.may_be_shared:
        shared = conn.execute(
            sql.SQL(
                "SELECT count(*), (array_agg(g.v))[:{}] FROM (SELECT {}::text AS v FROM {} WHERE {} IS NOT NULL"
                " GROUP BY {} HAVING count(*) > 1) g"
            ).format(sql.Literal(EXAMPLES), name, key.table.sql, name, name)
        ).fetchone()
        if shared and shared[0]:
            found.append(f"{label}: {shared[0]} values in more than one row ({', '.join(shared[1])})")
    return found
