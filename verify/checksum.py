"""The checksum method: for each key range the number of rows and the sum of a 64-bit hash of each row, on both sides.

The hash covers the key and every column in a canonical form. So it tells apart everything that a comparison byte by byte tells
apart: where the equality of a type is coarser than identity (1.0 = 1.00, -0.0 = 0.0, citext, the numbers of jsonb, array
bounds, …) the value is first turned into its wire format or into text. The sum does not depend on the order.

The key of the row is the *seed* of the hash of every column. hash_record_extended combines the columns linearly
(31 * h + column, src/backend/utils/adt/rowtypes.c). With one seed for all rows the sum would not change when two rows exchange
a value. Adding the key as one more column does not help. A key that is no integer is a seed by its own hash.

The exact method compares the rows of a range whose digests differ.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Column
from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan import row_keys
from swap.plan.direction import TableMapping
from verify.block_ranges import BlockRange
from verify.exact import by_index, comparable
from verify.ranges import KeyRange
from verify.row_images import COMMA, RowCondition, compared, target_value

# Types whose equality is identity of the stored value, and which can be hashed, by pg_type.typname.
IDENTICAL = frozenset(
    [
        "bool",
        "int2",
        "int4",
        "int8",
        "oid",
        "uuid",
        "text",
        "varchar",
        "bytea",
        "date",
        "timestamp",
        "timestamptz",
        "time",
        "char",
        "name",
    ]
)
# The wire format is exact (the scale of numeric, -0.0, array bounds, trailing blanks), and it costs less than text.
_ELEMENTS = (*sorted(IDENTICAL), "numeric", "float4", "float8", "bpchar")
WIRE = {
    "numeric": sql.SQL("numeric_send({})"),
    "float4": sql.SQL("float4send({})"),
    "float8": sql.SQL("float8send({})"),
    "bpchar": sql.SQL("bpcharsend({})"),
    "jsonb": sql.SQL("jsonb_send({})"),
    **{f"_{t}": sql.SQL("array_send({})") for t in _ELEMENTS},
}
MASK = 2**128 - 1


@dataclass(frozen=True)
class RowSum:
    """A number of rows on one side, and the sum of their hashes."""

    rows: int
    sum: int

    @property
    def digest(self) -> str:
        return hexdigest(self.sum)

    def __add__(self, other: RowSum) -> RowSum:
        return RowSum(self.rows + other.rows, self.sum + other.sum)


class HeapBlocks(NamedTuple):
    """The number of heap blocks of the captured table and of the maintained one."""

    origin: int
    target: int


@dataclass(frozen=True)
class HeapPart:
    """The same block range of both heaps."""

    blocks: BlockRange
    heaps: HeapBlocks


@dataclass(frozen=True)
class RangeDigest:
    range: KeyRange
    origin: RowSum
    target: RowSum

    @property
    def equal(self) -> bool:
        return self.origin == self.target

    def __add__(self, other: RangeDigest) -> RangeDigest:
        """The sum of two parts of the same range."""
        return RangeDigest(self.range, self.origin + other.origin, self.target + other.target)


def hexdigest(total: int) -> str:
    """A sum of hashes as 32 hexadecimal digits, in two's complement."""
    return f"{total & MASK:032x}"


def canonical(column: Column | None, value: sql.Composable) -> tuple[sql.Composable, bool]:
    """A form of the value whose equality is identity, and True. Else the value, and False: only its text has that property.
    `column` is None for a uuid that is looked up."""
    if column is None or column.base_kind == "e":
        return value, True
    if column.base_kind != "b":
        return value, False
    if column.base_type in IDENTICAL and column.deterministic:
        return value, True
    if column.base_type in WIRE:
        return WIRE[column.base_type].format(value), True
    return value, False


def row_hash(key: sql.Composable, columns: Sequence[Column | None], values: Sequence[sql.Composable]) -> sql.Composed:
    """The hash of one row. The key is its seed, and is one of the columns as well.

    The values that need their text go through record_out together. It uses the output function of each type, never a cast
    that a user defined, and it tells NULL from ''."""
    parts: list[sql.Composable] = []
    texts: list[sql.Composable] = []
    for column, value in zip(columns, values, strict=True):
        form, exact = canonical(column, value)
        (parts if exact else texts).append(form)
    if texts:
        parts.append(sql.SQL("ROW({})::text").format(COMMA.join(texts)))
    return sql.SQL("hash_record_extended(ROW({})::record, {}::bigint)").format(COMMA.join(parts), key)


class _DigestRow(NamedTuple):
    origin_rows: int
    origin_sum: Decimal
    target_rows: int
    target_sum: Decimal


def digest_range(
    conn: Connection, mapping: TableMapping, r: KeyRange, pending: array[int], part: HeapPart | None = None
) -> RangeDigest:
    """Digest both sides of one range, or one `part` of it, in one statement of a transaction of its own.

    A part is read by the blocks of the heap. By the key's index it took twice the processor time where the heap is not in the
    order of the key, and the planner does not know what an UPDATE of every row has done to that order. `+ 0` keeps the planner
    from the index here, and leaves the index to the lookup of own references. (The sums of all ranges in one scan, by GROUP
    BY, cost as much again.)
    """
    where = comparable(mapping, r, pending)
    if part is None:
        if mapping.integer_key:
            by_index(conn, r)
        origin, target = _origin(mapping, where), _target(mapping, where)
    else:
        by_heap = partial(_by_heap, mapping, where)
        origin = _origin(mapping, partial(by_heap, part.blocks.where(part.heaps.origin)))
        target = _target(mapping, partial(by_heap, part.blocks.where(part.heaps.target)))
    query = load_sql("verify", "checksum.sql").format(origin=origin, target=target)
    (row,) = fetch(conn, _DigestRow, query)
    return RangeDigest(
        range=r,
        origin=RowSum(rows=row.origin_rows, sum=int(row.origin_sum)),
        target=RowSum(rows=row.target_rows, sum=int(row.target_sum)),
    )


def _by_heap(mapping: TableMapping, where: RowCondition, blocks: sql.Composable, key: Sequence[sql.Composable]) -> sql.Composable:
    bare = [sql.SQL("({} + 0)").format(k) for k in key] if mapping.integer_key else key
    return sql.SQL("{} AND {}").format(blocks, where(bare))


_SUM = sql.SQL("SELECT count(*) AS n, coalesce(sum({}), 0) AS h FROM {} s WHERE {}")


def _origin(mapping: TableMapping, where: RowCondition) -> sql.Composed:
    key, columns = row_keys.origin_columns(mapping, "s"), compared(mapping)
    value = row_hash(row_keys.number(mapping, key), [c.column for c in columns], [mapping.value(c) for c in columns])
    return _SUM.format(value, mapping.origin_rows, where(key))


def _target(mapping: TableMapping, where: RowCondition) -> sql.Composed:
    key, columns = row_keys.target_columns(mapping, "s"), compared(mapping)
    value = row_hash(row_keys.number(mapping, key), [c.column for c in columns], [target_value(c) for c in columns])
    return _SUM.format(value, mapping.target_rows, where(key))
