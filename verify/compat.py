"""A compat column holds what its key holds, in every row. Triggers keep them equal; this counts the rows that differ."""

from __future__ import annotations

from psycopg import sql
from psycopg.rows import scalar_row

from swap.core.connection import Connection
from swap.ddl.compat import CompatPair


def compat_differences(conn: Connection, pair: CompatPair) -> list[str]:
    """One line if rows differ. A full scan."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} IS DISTINCT FROM {}").format(
        pair.table.sql, sql.Identifier(pair.compat), sql.Identifier(pair.key)
    )
    rows = conn.cursor(row_factory=scalar_row).execute(query).fetchone()
    return [f"{pair.table}.{pair.compat}: {rows} rows differ from {pair.key}"] if rows else []
