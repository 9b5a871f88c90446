"""Where a backfill's ranges begin and end: by an integer key, or by heap blocks of one file."""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName


def key_bound(rows: sql.Composable, key: str) -> Callable[[Connection], tuple[int, int] | None]:
    """Smallest and largest key: two index probes. `rows`: the table as FROM names it."""

    def bound(conn: Connection) -> tuple[int, int] | None:
        k = sql.Identifier(key)
        ((first, last),) = conn.execute(sql.SQL("SELECT min({}), max({}) FROM {}").format(k, k, rows)).fetchall()
        return None if first is None else (first, last)

    return bound


def key_cut(rows: sql.Composable, key: str) -> Callable[[Connection, int, int, int], int]:
    """The key that ends a range of about `size` rows: an index-only scan of that many entries."""

    def cut(conn: Connection, low: int, size: int, last: int) -> int:
        k = sql.Identifier(key)
        row = conn.execute(
            sql.SQL("SELECT {k} FROM {t} WHERE {k} >= {low} AND {k} <= {last} ORDER BY {k} OFFSET {n} LIMIT 1").format(
                k=k, t=rows, low=sql.Literal(low), last=sql.Literal(last), n=sql.Literal(size - 1)
            )
        ).fetchone()
        return last if row is None else int(row[0])

    return cut


def block_bound(table: TableName) -> Callable[[Connection], tuple[int, int] | None]:
    """All heap blocks the table has now; later ones hold only rows the guard has filled."""

    def bound(conn: Connection) -> tuple[int, int] | None:
        row = conn.execute(
            "SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            [table.schema, table.name],
        ).fetchone()
        return (0, int(row[0]) - 1) if row and row[0] else None

    return bound


def file_number(conn: Connection, table: TableName) -> int:
    """The number of the file that holds the rows. A command that moves rows without changing them writes another file."""
    row = conn.execute(
        "SELECT pg_relation_filenode(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        [table.schema, table.name],
    ).fetchone()
    return int(row[0]) if row and row[0] else 0


def block_cut(_conn: Connection, low: int, size: int, last: int) -> int:
    return min(last, low + size - 1)


def tid(block: sql.Composable, *, after: bool = False) -> sql.Composable:
    """The first tid of a heap block (or of the one after it), for a range over ctid."""
    plus = sql.SQL(" OPERATOR(pg_catalog.+) 1" if after else "")
    text = "('(' OPERATOR(pg_catalog.||) ({}{})::pg_catalog.text OPERATOR(pg_catalog.||) ',0)')"
    return sql.SQL(text).format(block, plus)
