"""The exact method: per key range a full join of both sides, comparing record images byte by byte.

No hash, so no collision. The join would pair one row with two of the other side when a key is there twice;
then it returns more rows than a side has, which the sum over all ranges against an independent count brings to
light, and `surplus` names them.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from psycopg import sql

from swap.core.connection import Connection
from swap.plan.direction import TableMapping
from verify.ranges import Range, bigints
from verify.row_images import Where, changed, joined


@dataclass(frozen=True)
class RangeResult:
    """Rows the join saw on each side, how many differ in which way, and the first of their keys."""

    range: Range
    origin_rows: int
    target_rows: int
    missing: int
    extra: int
    different: int
    keys: tuple[int, ...]


@dataclass(frozen=True)
class Surplus:
    """A key that is `rows` times too often on one side. `target`: on the maintained one."""

    key: int
    rows: int
    target: bool


def comparable(r: Range, pending: array[int]) -> Where:
    """The rows of a range whose key is not pending. The array is hashed by the server (PostgreSQL 15 on)."""
    keys = r.of(pending)

    def where(key: sql.Composable) -> sql.Composable:
        if not keys:
            return r.where(key)
        return sql.SQL("{} AND {}::bigint <> ALL ({})").format(r.where(key), key, bigints(keys))

    return where


def compare_range(conn: Connection, d: TableMapping, r: Range, pending: array[int], limit: int) -> RangeResult:
    """Compare one range. In a transaction of its own: turns sequential scans off when the range has a bound."""
    by_index(conn, r)
    query = sql.SQL(
        "SELECT na, nb, coalesce(cardinality(m), 0), coalesce(cardinality(x), 0), coalesce(cardinality(c), 0),"
        " m[:{limit}] || x[:{limit}] || c[:{limit}] FROM ("
        "SELECT count(a.k) AS na, count(b.k) AS nb, array_agg(a.k::bigint) FILTER (WHERE b.k IS NULL) AS m,"
        " array_agg(b.k::bigint) FILTER (WHERE a.k IS NULL) AS x,"
        " array_agg(a.k::bigint) FILTER (WHERE {changed}) AS c FROM {joined}) q"
    ).format(limit=sql.Literal(limit), changed=changed(d), joined=joined(d, comparable(r, pending)))
    row = conn.execute(query).fetchone()
    assert row is not None
    origin_rows, target_rows, missing, extra, different, keys = row
    return RangeResult(r, origin_rows, target_rows, missing, extra, different, tuple(keys or ()))


def by_index(conn: Connection, r: Range) -> None:
    """A bounded range is read through the key's index: planned one by one, a scan of the whole table may look
    cheap for each of them."""
    if r.low is not None or r.high is not None:
        conn.execute("SET LOCAL enable_seqscan = off")


def surplus(conn: Connection, d: TableMapping, r: Range, pending: array[int], limit: int) -> list[Surplus]:
    """Keys that both sides have and one of them more than once: possible where no unique index forbids it."""
    where = comparable(r, pending)
    found = []
    for target in (False, True):
        table, key, other, other_key = (
            (d.target, d.target_key, d.origin, d.origin_key) if target else (d.origin, d.origin_key, d.target, d.target_key)
        )
        k = sql.Identifier("s", key)
        query = sql.SQL(
            "SELECT {k}::bigint, count(*) - 1 FROM {table} s WHERE {where} GROUP BY {k} HAVING count(*) > 1"
            " AND EXISTS (SELECT FROM {other} o WHERE o.{other_key} = {k}) ORDER BY 1 LIMIT {limit}"
        ).format(
            k=k, table=table.sql, where=where(k), other=other.sql, other_key=sql.Identifier(other_key),
            limit=sql.Literal(limit),
        )  # fmt: skip
        found += [Surplus(r[0], r[1], target) for r in conn.execute(query)]
    return found
