"""Which transactions were swap's own: every change that it makes to what captures is in one transaction with a row of the
journal (I4), and a row of a catalog names the transaction that wrote it (xmin)."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from swap.core.connection import Connection
from swap.core.sql_text import load_sql


def own_transactions(conn: Connection, schema: str, xids: Iterable[int]) -> set[int]:
    """Those of `xids` (as a row's xmin) that wrote to the journal too."""
    wanted = list(xids)
    if not wanted:
        return set()
    tables = {name: sql.Identifier(schema, name) for name in ("step", "attempt", "event")}
    # No parameters: beside them a % in the schema's name is taken for a placeholder.
    rows = conn.execute(load_sql("verify", "own_transactions.sql").format(xids=sql.Literal(wanted), **tables))
    return {r[0] for r in rows}
