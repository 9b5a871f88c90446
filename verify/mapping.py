"""The mapping integer ↔ uuid is one-to-one: no key is missing and none is shared, on the live side and the maintained one.

A valid unique index forbids sharing and NOT NULL forbids missing keys, and then no query is needed. Otherwise the column is
grouped, in the shared snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql
from swap.plan.direction import TableMapping

EXAMPLES = 5


@dataclass(frozen=True)
class KeyColumn:
    """A column that must identify its row, and what no constraint guarantees of it."""

    table: TableName
    column: str
    may_be_null: bool
    may_be_shared: bool

    @property
    def unproved(self) -> bool:
        return self.may_be_null or self.may_be_shared


def key_columns(mapping: TableMapping, origin: Table, target: Table) -> list[KeyColumn]:
    """The integer and the uuid of both sides of the source. A side may have no uuid, where they are derived."""
    return [
        _key_column(table, column)
        for table, columns in (
            (origin, (mapping.origin_key, mapping.origin_uuid)),
            (target, (mapping.target_key, mapping.target_uuid)),
        )
        for column in columns
        if column is not None
    ]


def _key_column(table: Table, name: str) -> KeyColumn:
    column = table.column(name)
    unique = any(i.unique and i.valid and not i.partial and not i.expressions and i.key_columns == (name,) for i in table.indexes)
    return KeyColumn(
        table=table.name, column=name, may_be_null=column is None or not column.not_null, may_be_shared=not unique
    )  # fmt: skip


class _SharedValues(NamedTuple):
    number: int
    examples: tuple[str, ...] | None


def violations(conn: Connection, key: KeyColumn) -> list[str]:
    """One line for each way in which the column does not identify its row. A full scan where no index helps."""
    name, found = sql.Identifier(key.column), []
    label = f"{key.table}.{key.column}"
    if key.may_be_null:
        query = sql.SQL("SELECT count(*) FROM ONLY {} WHERE {} IS NULL").format(key.table.sql, name)
        (nulls,) = fetch_values(conn, query)
        if nulls:
            found.append(f"{label} is NULL in {nulls} rows")
    if key.may_be_shared:
        query = load_sql("verify", "shared_values.sql").format(examples=sql.Literal(EXAMPLES), column=name, table=key.table.sql)
        (shared,) = fetch(conn, _SharedValues, query)
        if shared.number:
            found.append(f"{label}: {shared.number} values in more than one row ({', '.join(shared.examples or ())})")
    return found
