"""The exact method: for each key range a full join of both sides that compares the images of rows byte by byte.

It uses no hash, so there is no collision. Where a key is there twice, the join pairs the one row of the other side with each
of the two. Then the join returns more rows than a side has. The sum over all ranges does not match the independent count, and
`find_surplus_keys` names the keys.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan.direction import TableMapping
from verify.ranges import KeyRange, bigints
from verify.row_images import RowCondition, full_join, images_differ


@dataclass(frozen=True)
class RangeResult:
    """The rows of each side in the join, how many differ in which way, and the first of their keys."""

    range: KeyRange
    origin_rows: int
    target_rows: int
    missing: int
    extra: int
    different: int
    keys: tuple[int, ...]


@dataclass(frozen=True)
class SurplusKey:
    """A key that one side has `rows` times too often. `target`: on the maintained side."""

    key: int
    rows: int
    target: bool


def comparable(r: KeyRange, pending: array[int]) -> RowCondition:
    """The rows of a range whose key is not pending. The server hashes the array (from PostgreSQL 15 on)."""
    keys = r.of(pending)

    def where(key: sql.Composable) -> sql.Composable:
        if not keys:
            return r.where(key)
        return sql.SQL("{} AND {}::bigint <> ALL ({})").format(r.where(key), key, bigints(keys))

    return where


class _RangeRow(NamedTuple):
    origin_rows: int
    target_rows: int
    missing: int
    extra: int
    different: int
    keys: tuple[int, ...] | None


def compare_range(conn: Connection, mapping: TableMapping, r: KeyRange, pending: array[int], limit: int) -> RangeResult:
    """Compare one range, in a transaction of its own. Names up to `limit` keys of each kind."""
    by_index(conn, r)
    query = load_sql("verify", "exact.sql").format(
        limit=sql.Literal(limit), changed=images_differ(mapping), joined=full_join(mapping, comparable(r, pending))
    )
    (row,) = fetch(conn, _RangeRow, query)
    return RangeResult(
        range=r,
        origin_rows=row.origin_rows,
        target_rows=row.target_rows,
        missing=row.missing,
        extra=row.extra,
        different=row.different,
        keys=row.keys or (),
    )


def by_index(conn: Connection, r: KeyRange) -> None:
    """Turn sequential scans off for this transaction if the range has a bound. The server plans each range on its own, and
    for each of them a scan of the whole table may look cheap."""
    if r.low is not None or r.high is not None:
        conn.execute("SET LOCAL enable_seqscan = off")


class _SurplusRow(NamedTuple):
    key: int
    rows: int


def find_surplus_keys(conn: Connection, mapping: TableMapping, r: KeyRange, pending: array[int], limit: int) -> list[SurplusKey]:
    """Keys that both sides have, and one of them more than once. It happens where no unique index forbids it."""
    where = comparable(r, pending)
    found = []
    for target in (False, True):
        table, key, other, other_key = (
            (mapping.target, mapping.target_key, mapping.origin, mapping.origin_key)
            if target
            else (mapping.origin, mapping.origin_key, mapping.target, mapping.target_key)
        )
        k = sql.Identifier("s", key)
        query = load_sql("verify", "surplus_keys.sql").format(
            key=k, table=table.sql, where=where(k), other=other.sql, other_key=sql.Identifier(other_key),
            limit=sql.Literal(limit),
        )  # fmt: skip
        found += [SurplusKey(row.key, row.rows, target) for row in fetch(conn, _SurplusRow, query)]
    return found
