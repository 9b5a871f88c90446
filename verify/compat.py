"""A compat column holds what its key holds, in every row. Triggers keep them equal; this counts the rows that differ."""

from __future__ import annotations

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch_values
from swap.ddl.compat import CompatPair


def compat_differences(conn: Connection, pair: CompatPair) -> list[str]:
    """One line if rows differ. A full scan."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} IS DISTINCT FROM {}").format(
        pair.table.sql, sql.Identifier(pair.compat), sql.Identifier(pair.key)
    )
    (rows,) = fetch_values(conn, query)
    return [f"{pair.table}.{pair.compat}: {rows} rows differ from {pair.key}"] if rows else []
