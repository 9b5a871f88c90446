"""Renames inside the exchange, each with its way back. They take no lock beyond the one that the exchange holds."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.statement import AX, Kind, Statement


def rename_table(table: TableName, to: TableName) -> Statement:
    """Rename a table inside its schema."""
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    there, back = rename.format(table.sql, sql.Identifier(to.name)), rename.format(to.sql, sql.Identifier(table.name))
    return Statement(there, f"{table.name} is now {to.name}", table, AX, back, kind=Kind.TABLE)


def rename_constraint(table: TableName, before: str, after: str) -> Statement:
    """Rename a constraint of `table`."""
    rename = sql.SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}")
    a, b = sql.Identifier(before), sql.Identifier(after)
    there, back = rename.format(table.sql, a, b), rename.format(table.sql, b, a)
    return Statement(there, "constraint name", table, AX, back, kind=Kind.CONSTRAINT)
