"""Compatibility columns say what their keys say, in every row: triggers keep them equal, and here it is counted."""

from __future__ import annotations

from psycopg import sql

from swap.core.connection import Connection
from swap.ddl.compat import Twins


def differing(conn: Connection, twin: Twins) -> list[str]:
    """One line when rows differ; a full scan."""
    key, other = sql.Identifier(twin.key), sql.Identifier(twin.other)
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {} IS DISTINCT FROM {}").format(twin.table.sql, other, key)
    row = conn.execute(statement).fetchone()
    return [f"{twin.table}.{twin.other}: {row[0]} rows say something else than {twin.key}"] if row and row[0] else []
