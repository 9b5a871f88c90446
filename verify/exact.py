"""The exact method: for each key range a full join of both sides that compares the images of rows byte by byte.

It uses no hash, so there is no collision. Where a key is there twice, the join pairs the one row of the other side with each
of the two. Then the join returns more rows than a side has. The sum over all ranges does not match the independent count, and
`find_surplus_keys` names the keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan import row_keys
from swap.plan.direction import TableMapping
from swap.plan.row_keys import COMMA, Key
from verify.ranges import KeyRange, bigints
from verify.row_images import RowCondition, full_join, images_differ, joined_key, named_key


@dataclass(frozen=True)
class RangeResult:
    """The rows of each side in the join, how many differ in which way, and the first of their keys."""

    range: KeyRange
    origin_rows: int
    target_rows: int
    missing: int
    extra: int
    different: int
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class SurplusKey:
    """A key that one side has `rows` times too often. `target`: on the maintained side."""

    key: Key
    rows: int
    target: bool


def comparable(mapping: TableMapping, r: KeyRange, pending: array[int]) -> RowCondition:
    """The rows of a range whose key is not pending. Both are about the key's number: of rows whose keys have the same hash, all are
    pending. The server hashes the array (from PostgreSQL 15 on)."""
    keys = r.of(pending)

    def where(key: Sequence[sql.Composable]) -> sql.Composable:
        number = row_keys.number(mapping, key)
        if not keys:
            return r.where(number)
        return sql.SQL("{} AND {}::bigint <> ALL ({})").format(r.where(number), number, bigints(keys))

    return where


class _RangeRow(NamedTuple):
    origin_rows: int
    target_rows: int
    missing: int
    extra: int
    different: int
    keys: tuple[Any, ...] | None


def compare_range(conn: Connection, mapping: TableMapping, r: KeyRange, pending: array[int], limit: int) -> RangeResult:
    """Compare one range, in a transaction of its own. Names up to `limit` keys of each kind."""
    if mapping.integer_key:
        by_index(conn, r)
    query = load_sql("verify", "exact.sql").format(
        limit=sql.Literal(limit),
        origin_key=row_keys.selected(mapping, joined_key(mapping, "a")),
        target_key=row_keys.selected(mapping, joined_key(mapping, "b")),
        changed=images_differ(mapping),
        joined=full_join(mapping, comparable(mapping, r, pending)),
    )
    (row,) = fetch(conn, _RangeRow, query)
    return RangeResult(
        range=r,
        origin_rows=row.origin_rows,
        target_rows=row.target_rows,
        missing=row.missing,
        extra=row.extra,
        different=row.different,
        keys=tuple(map(row_keys.to_key, row.keys or ())),
    )


def by_index(conn: Connection, r: KeyRange) -> None:
    """Turn sequential scans off for this transaction if the range has a bound. The server plans each range on its own, and
    for each of them a scan of the whole table may look cheap."""
    if r.low is not None or r.high is not None:
        conn.execute("SET LOCAL enable_seqscan = off")


class _SurplusRow(NamedTuple):
    key: Any
    rows: int


def find_surplus_keys(conn: Connection, mapping: TableMapping, r: KeyRange, pending: array[int], limit: int) -> list[SurplusKey]:
    """Keys that both sides have, and one of them more than once. It happens where no unique index forbids it."""
    where = comparable(mapping, r, pending)
    origin = mapping.origin_rows, row_keys.origin_columns
    target = mapping.target_rows, row_keys.target_columns
    found = []
    for (table, columns_of), (other, other_columns_of) in ((origin, target), (target, origin)):
        columns, key = columns_of(mapping, "s"), joined_key(mapping, "s")
        query = load_sql("verify", "surplus_keys.sql").format(
            key=row_keys.selected(mapping, key), columns=COMMA.join(key), named=named_key(columns), table=table, where=where(columns),
            other=other, equal=row_keys.equal(other_columns_of(mapping, "o"), key), limit=sql.Literal(limit),
        )  # fmt: skip
        rows = fetch(conn, _SurplusRow, query)
        found += [SurplusKey(row_keys.to_key(row.key), row.rows, columns_of is row_keys.target_columns) for row in rows]
    return found
