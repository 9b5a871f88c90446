"""Rows that differ only because a row of the source that they refer to is pending.

The other key of a reference is looked up. When a row of the source gets another uuid, or goes and comes back with another one, the
rows that refer to it are made right by the replay of that row (I3). Until then they differ, though none of their own changes is
pending. They count as pending too. (A row that the maintained side cannot hold before the row that it refers to is there is in the
table of waiting rows: `verify.snapshots` takes it from there.)

Whatever changes what a reference resolves to is a change of the row of the source with that integer. Before the cutover the row
that refers holds the integer. After the cutover it is the one that the reference resolves to now, or the one that the retired table
still has. With derived uuids nothing changes before the cutover.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan import row_keys
from swap.plan.direction import ColumnMapping, TableMapping
from swap.plan.row_keys import COMMA, Key
from verify.report import RowDifference


def can_wait(d: TableMapping) -> bool:
    """Whether a row of the table can differ because of a change of another row, of the source."""
    return bool(d.lookups) and d.lookups_in.live_value is not None


class _ReferenceRow(NamedTuple):
    """`now`, `before`: the integer of each reference, as it is and as the maintained side has it."""

    key: Any
    now: tuple[int | None, ...]
    before: tuple[int | None, ...]


def refer_to_pending(
    conn: Connection, d: TableMapping, differences: Iterable[RowDifference], pending: Set[int]
) -> frozenset[Key]:
    """The keys of the rows that differ only in references to rows of the source with one of the keys `pending`."""
    columns_of: dict[Key, tuple[str, ...]] = {
        x.key: x.columns for x in differences if not isinstance(x.key, str) and x.kind == "different"
    }
    if not columns_of or not pending or not can_wait(d):
        return frozenset()
    columns = row_keys.origin_columns(d, "s")
    query = load_sql("verify", "referred_keys.sql").format(
        key=row_keys.selected(d, columns),
        now=COMMA.join(_integer(d, m) for m in d.lookups),
        before=COMMA.join(_integer_before(d, m) for m in d.lookups),
        origin=d.origin.sql, target=d.target.sql, equal=row_keys.equal(row_keys.target_columns(d, "t"), columns),
        among=row_keys.among_origin(d, "s", list(columns_of)),
    )  # fmt: skip
    out = set[Key]()
    for row in fetch(conn, _ReferenceRow, query):
        key = row_keys.to_key(row.key)
        of_pending = {
            m.target for m, *integers in zip(d.lookups, row.now, row.before, strict=True) if not pending.isdisjoint(integers)
        }
        if of_pending.issuperset(columns_of[key]):
            out.add(key)
    return frozenset(out)


def _integer(d: TableMapping, m: ColumnMapping) -> sql.Composable:
    """The integer that the captured row `s` refers to."""
    given = sql.Identifier("s", m.origin) if d.lookups_in.to_uuid else d.value(m)
    return sql.SQL("({})::bigint").format(given)


def _integer_before(d: TableMapping, m: ColumnMapping) -> sql.Composable:
    """The one that the maintained row `t` still has. Before the cutover it is the same one."""
    return _integer(d, m) if d.lookups_in.to_uuid else sql.SQL("{}::bigint").format(sql.Identifier("t", m.target))
