"""The checksum method: per key range the number of rows and the sum of a 64-bit hash of each row, on both sides.

The hash is over the key and every column in a canonical form, so it tells apart whatever a byte-by-byte
comparison does: where a type's equality is coarser than identity (1.0 = 1.00, -0.0 = 0.0, citext, jsonb's
numbers, array bounds, …) the value is first turned into its wire format or text. The sum is order-independent.

The row's key is the *seed* of every column's hash. hash_record_extended combines its columns linearly (31 * h + column,
src/backend/utils/adt/rowtypes.c), so with one seed for all rows the sum would not change when two rows exchange a
value: adding the key as one more column does not help.
A range that differs is looked through by the exact method.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from psycopg import sql

from swap.catalog.model import Column
from swap.core.connection import Connection
from swap.plan.direction import TableMapping
from verify.exact import by_index, comparable
from verify.ranges import Range
from verify.references import blocks_of
from verify.row_images import COMMA, Where, target_value

# Types whose equality is identity of the stored value (and which hash): pg_type.typname.
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
# The wire format is exact (numeric's scale, -0.0, array bounds, trailing blanks) and cheaper than text.
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
class Side:
    """Rows of a range on one side, and the sum of their hashes."""

    rows: int
    sum: int

    @property
    def digest(self) -> str:
        return hexdigest(self.sum)

    def __add__(self, other: Side) -> Side:
        return Side(self.rows + other.rows, self.sum + other.sum)


@dataclass(frozen=True)
class Part:
    """One of `of` parts of both heaps, whose `blocks` are the captured side's and the maintained one's."""

    number: int
    of: int
    blocks: tuple[int, int]

    def where(self, target: bool) -> sql.Composable:
        return blocks_of(self.number, self.number + 1, self.of, self.blocks[target])


@dataclass(frozen=True)
class RangeDigest:
    range: Range
    origin: Side
    target: Side

    @property
    def equal(self) -> bool:
        return self.origin == self.target

    def __add__(self, other: RangeDigest) -> RangeDigest:
        """Of two parts of the same range."""
        return RangeDigest(self.range, self.origin + other.origin, self.target + other.target)


def hexdigest(total: int) -> str:
    """A sum of hashes as 32 hexadecimal digits (two's complement)."""
    return f"{total & MASK:032x}"


def canonical(column: Column | None, value: sql.Composable) -> tuple[sql.Composable, bool]:
    """The value in a form whose equality is identity, or False: only its text is (None: a uuid that is looked up)."""
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
    """The hash of one row, seeded with its key, which is one of the columns as well. What is left for text goes through
    record_out in one piece: a type's own output function, never a cast that someone defined, and NULL apart from ''."""
    parts: list[sql.Composable] = []
    texts: list[sql.Composable] = []
    for column, value in zip(columns, values, strict=True):
        form, exact = canonical(column, value)
        (parts if exact else texts).append(form)
    if texts:
        parts.append(sql.SQL("ROW({})::text").format(COMMA.join(texts)))
    return sql.SQL("hash_record_extended(ROW({})::record, {}::bigint)").format(COMMA.join(parts), key)


def digest_range(conn: Connection, d: TableMapping, r: Range, pending: array[int], part: Part | None = None) -> RangeDigest:
    """Both sides of one range, or of one `part` of it, in one statement of a transaction of its own.

    Parts are read by the heap's blocks: by the key's index, where the heap is not in the key's order, it took twice the
    processor time, and the planner does not know what an UPDATE of every row has done to that order. `+ 0` is what keeps
    it from the index, and leaves it to the lookup of own references. (Sums of all ranges in one scan, by GROUP BY, cost as
    much again.)
    """
    where = comparable(r, pending)
    if part is None:
        by_index(conn, r)
        sides = _origin(d, where), _target(d, where)
    else:
        sides = _origin(d, partial(_by_heap, where, part.where(False))), _target(d, partial(_by_heap, where, part.where(True)))
    row = conn.execute(sql.SQL("SELECT a.n, a.h, b.n, b.h FROM ({}) a, ({}) b").format(*sides)).fetchone()
    assert row is not None
    return RangeDigest(r, Side(row[0], int(row[1])), Side(row[2], int(row[3])))


def _by_heap(where: Where, blocks: sql.Composable, key: sql.Composable) -> sql.Composable:
    return sql.SQL("{} AND {}").format(blocks, where(sql.SQL("({} + 0)").format(key)))


_SUM = sql.SQL("SELECT count(*) AS n, coalesce(sum({}), 0) AS h FROM {} s WHERE {}")


def _origin(d: TableMapping, where: Where) -> sql.Composed:
    key = sql.Identifier("s", d.origin_key)
    value = row_hash(key, [m.column for m in d.columns], [d.value(m) for m in d.columns])
    return _SUM.format(value, d.origin.sql, where(key))


def _target(d: TableMapping, where: Where) -> sql.Composed:
    key = sql.Identifier("s", d.target_key)
    value = row_hash(key, [m.column for m in d.columns], [target_value(m) for m in d.columns])
    return _SUM.format(value, d.target.sql, where(key))
