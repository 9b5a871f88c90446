"""A table in FROM, in DELETE and in UPDATE. Pure."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName


def rows_of(table: TableName, *, whole: bool) -> sql.Composed:
    """The table ONLY: a table that inherits from it, and came since `prepare`, is not its. `whole`: it is partitioned, and holds no row
    itself."""
    return sql.SQL("{}" if whole else "ONLY {}").format(table.sql)
