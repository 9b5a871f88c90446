"""The files of a table: whether it is still the table that was compared."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.sql_text import load_sql


def table_files(conn: Connection, tables: list[TableName]) -> dict[TableName, tuple[int, int]]:
    """(oid, relfilenode) of each table that exists: both stay the same unless the table was replaced, truncated
    or rewritten, after which an older snapshot finds it empty."""
    rows = conn.execute(
        load_sql("verify", "table_files.sql"),
        {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]},
    ).fetchall()
    return {TableName(r[0], r[1]): (r[2], r[3]) for r in rows}
