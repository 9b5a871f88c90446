"""Renames inside the exchange, each with its way back. No lock beyond the one that is held."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.statement import AX, Kind, Statement


def rename_table(table: TableName, to: TableName) -> Statement:
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    return Statement(
        rename.format(table.sql, sql.Identifier(to.name)), f"{table.name} is now {to.name}", table, AX,
        rename.format(to.sql, sql.Identifier(table.name)), kind=Kind.TABLE,
    )  # fmt: skip


def rename_constraint(table: TableName, before: str, after: str) -> Statement:
    rename = sql.SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}")
    a, b = sql.Identifier(before), sql.Identifier(after)
    return Statement(
        rename.format(table.sql, a, b), "constraint name", table, AX, rename.format(table.sql, b, a), kind=Kind.CONSTRAINT
    )
