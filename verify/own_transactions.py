"""Tells swap's own transactions from others. Every change that swap makes to its capture shares its transaction with a row of the
journal (I4), and a row of a catalog names the transaction that wrote it (xmin)."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql


def own_transactions(conn: Connection, schema: str, xids: Iterable[int]) -> set[int]:
    """Those of `xids` (as in a row's xmin) that wrote to the journal too."""
    wanted = list(xids)
    if not wanted:
        return set()
    tables = {name: sql.Identifier(schema, name) for name in ("step", "attempt", "event")}
    # Pass no parameters: beside them psycopg takes a % in the schema's name for a placeholder.
    query = load_sql("verify", "own_transactions.sql").format(xids=sql.Literal(wanted), **tables)
    return set(fetch_values(conn, query))
