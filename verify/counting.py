"""Counts of the rows of a range, by the heap or by an index: what proves that the ranges held every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch_values
from verify.ranges import KeyRange

INDEX_FIRST = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on"
HEAP_ONLY = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off"


@dataclass(frozen=True)
class Counts:
    """Rows of each side with a key in a range, and how many of them have a pending key."""

    origin: int
    target: int
    origin_pending: int = 0
    target_pending: int = 0


def count_rows(conn: Connection, table: sql.Composable, key: sql.Composable, parts: Sequence[KeyRange]) -> int:
    """Count the rows of `table`, as FROM names it, whose key's number `key` is in one of `parts`, by the heap: an index that lost entries must not vouch for itself."""
    conn.execute(HEAP_ONLY)
    where = sql.SQL(" OR ").join(sql.SQL("({})").format(r.where(key)) for r in parts)
    query = sql.SQL("SELECT count(*) FROM {} s WHERE {}").format(table, where)
    (count,) = fetch_values(conn, query)
    return int(count)


def count_both(conn: Connection, table: sql.Composable, key: sql.Composable, parts: Sequence[KeyRange]) -> tuple[int, int]:
    """Count the rows by the heap, and by an index where one serves."""
    by_heap = count_rows(conn, table, key, parts)
    conn.execute(INDEX_FIRST)
    query = sql.SQL("SELECT count(*) FROM {} s WHERE {}")
    return by_heap, sum(int(n) for r in parts for n in fetch_values(conn, query.format(table, r.where(key))))


def count_keys(conn: Connection, table: sql.Composable, key: sql.Composable, keys: sql.Composable) -> int:
    """Count the rows whose key's number `key` is one of `keys`."""
    query = sql.SQL("SELECT count(*) FROM {} s WHERE {} = ANY ({})").format(table, key, keys)
    (count,) = fetch_values(conn, query)
    return int(count)
