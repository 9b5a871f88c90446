"""The two sides of a direction as subqueries with the same columns: `k`, the integer key, then `c0`, `c1`, …

The captured side's columns go through the direction's mapping; own references are looked up (one index probe
for each row that has one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import sql

from swap.core.names import TableName
from swap.plan.direction import ColumnMapping, TableMapping

Where = Callable[[sql.Composable], sql.Composable]
COMMA = sql.SQL(", ")


def target_value(m: ColumnMapping) -> sql.Composable:
    return sql.Identifier("s", m.target)


def origin_side(d: TableMapping, where: Where, columns: Sequence[ColumnMapping]) -> sql.Composed:
    """Rows of the captured table as the maintained one should have them."""
    return _side(d.origin, d.origin_key, [d.value(m) for m in columns], where)


def target_side(d: TableMapping, where: Where, columns: Sequence[ColumnMapping]) -> sql.Composed:
    """Rows of the maintained table as they are."""
    return _side(d.target, d.target_key, [target_value(m) for m in columns], where)


def _side(table: TableName, key: str, values: Sequence[sql.Composable], where: Where) -> sql.Composed:
    k = sql.Identifier("s", key)
    named = [sql.SQL("{} AS {}").format(v, sql.Identifier(f"c{n}")) for n, v in enumerate(values)]
    return sql.SQL("SELECT {} FROM {} s WHERE {}").format(COMMA.join([sql.SQL("{} AS k").format(k), *named]), table.sql, where(k))


def row(alias: str, count: int) -> sql.Composed:
    """ROW(alias.c0, …)::record; the cast is what lets *= take it."""
    return sql.SQL("ROW({})::record").format(COMMA.join(sql.Identifier(alias, f"c{n}") for n in range(count)))


def one(alias: str, n: int) -> sql.Composed:
    """The image of a single column."""
    return sql.SQL("ROW({})::record").format(sql.Identifier(alias, f"c{n}"))


def joined(d: TableMapping, where: Where) -> sql.Composed:
    """Both sides in a full join on the key: every row of either appears. Merge- and hash-joinable, so it costs
    no more than reading both sides once."""
    return sql.SQL("({}) a FULL JOIN ({}) b ON a.k = b.k").format(
        origin_side(d, where, d.columns), target_side(d, where, d.columns)
    )


def changed(d: TableMapping) -> sql.Composed:
    """Whether the two images of a row that both sides have differ in any bit (*= compares bytes, not values)."""
    count = len(d.columns)
    return sql.SQL("a.k IS NOT NULL AND b.k IS NOT NULL AND NOT ({} *= {})").format(row("a", count), row("b", count))
