"""The two sides of a table's mapping as subqueries with the same columns: the key is `k0`, `k1`, …, the rest `c0`, `c1`, …

The columns of the captured side go through the mapping. The other key of a reference is looked up: one index probe for each row
that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import sql

from swap.plan import row_keys
from swap.plan.direction import ColumnMapping, TableMapping

# From the key's columns to the condition on the row `s`.
RowCondition = Callable[[Sequence[sql.Composable]], sql.Composable]
COMMA = sql.SQL(", ")


WIDEST = 800  # columns of a join of both sides: the target list of its rows may have 1664 entries


def compared(mapping: TableMapping) -> tuple[ColumnMapping, ...]:
    """The columns whose values are compared: those that are stored. A VIRTUAL column is computed when it is read, by the same expression
    (swap.plan.meanings) over the same columns; where it fails for a row, every statement that reads it would (verify.virtual_columns)."""
    return tuple(c for c in mapping.columns if c.column is None or c.column.generated != "v")


def target_value(column: ColumnMapping) -> sql.Composable:
    return sql.Identifier("s", column.target)


def origin_rows(mapping: TableMapping, where: RowCondition, columns: Sequence[ColumnMapping]) -> sql.Composed:
    """Rows of the captured table, in the form that the maintained one should have."""
    return _rows(mapping.origin_rows, row_keys.origin_columns(mapping, "s"), [mapping.value(c) for c in columns], where)


def target_rows(mapping: TableMapping, where: RowCondition, columns: Sequence[ColumnMapping]) -> sql.Composed:
    """Rows of the maintained table as they are."""
    return _rows(mapping.target_rows, row_keys.target_columns(mapping, "s"), [target_value(c) for c in columns], where)


def _rows(
    table: sql.Composable, key: Sequence[sql.Composable], values: Sequence[sql.Composable], where: RowCondition
) -> sql.Composed:
    named = [
        sql.SQL("{} AS {}").format(value, sql.Identifier(f"{letter}{n}"))
        for letter, expressions in (("k", key), ("c", values))
        for n, value in enumerate(expressions)
    ]
    return sql.SQL("SELECT {} FROM {} s WHERE {}").format(COMMA.join(named), table, where(key))


def joined_key(mapping: TableMapping, alias: str) -> list[sql.Composable]:
    """The key's columns of one of the subqueries."""
    return [sql.Identifier(alias, f"k{n}") for n in range(len(mapping.key))]


def named_key(columns: Sequence[sql.Composable]) -> sql.Composed:
    """The key's columns as `joined_key` names them."""
    return COMMA.join(sql.SQL("{} AS {}").format(c, sql.Identifier(f"k{n}")) for n, c in enumerate(columns))


def row_image(alias: str, count: int) -> sql.Composed:
    """ROW(alias.c0, …)::record. The operator *= needs the cast."""
    return sql.SQL("ROW({})::record").format(COMMA.join(sql.Identifier(alias, f"c{n}") for n in range(count)))


def column_image(alias: str, n: int) -> sql.Composed:
    """The image of a single column."""
    return sql.SQL("ROW({})::record").format(sql.Identifier(alias, f"c{n}"))


def full_join(mapping: TableMapping, where: RowCondition, where_target: RowCondition | None = None) -> sql.Composed:
    """Both sides in a full join on the key, so that every row of either side appears. The server can merge or hash the
    join, so it costs no more than reading both sides once. `images_differ` compares its rows. `where_target`: the condition of the
    maintained side, where it is another one.

    Of a wide table a side has one column `r` beside the key, the image of the row: a join of 833 columns with as many has more than the
    server allows (seen: "target lists can have at most 1664 entries").
    """
    columns = compared(mapping)
    sides = [origin_rows(mapping, where, columns), target_rows(mapping, where_target or where, columns)]
    if len(columns) > WIDEST:
        image = sql.SQL("SELECT {}, {} AS r FROM ({}) x OFFSET 0")
        key = COMMA.join(joined_key(mapping, "x"))
        sides = [image.format(key, row_image("x", len(columns)), side) for side in sides]
    return sql.SQL("({}) a FULL JOIN ({}) b ON {}").format(
        *sides, row_keys.equal(joined_key(mapping, "a"), joined_key(mapping, "b"))
    )


def images_differ(mapping: TableMapping) -> sql.Composed:
    """Whether both sides have the row and the two images differ in any bit (*= compares bytes, not values)."""
    count = len(compared(mapping))
    wide = sql.SQL("a.r"), sql.SQL("b.r")
    images = wide if count > WIDEST else (row_image("a", count), row_image("b", count))
    return sql.SQL("a.k0 IS NOT NULL AND b.k0 IS NOT NULL AND NOT ({} *= {})").format(*images)
