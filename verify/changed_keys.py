"""The exact comparison of given keys. A cutover runs it under its lock; it also names the columns of a row that differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan import row_keys
from swap.plan.direction import TableMapping
from swap.plan.row_keys import COMMA, Key
from verify.report import Kind, RowDifference
from verify.row_images import WIDEST, column_image, compared, full_join, images_differ, joined_key, named_key


class _DifferenceRow(NamedTuple):
    key: Any
    kind: Kind
    columns: tuple[int, ...]


def compare_keys(conn: Connection, mapping: TableMapping, keys: Sequence[Key]) -> list[RowDifference]:
    """The rows among `keys` that differ, in the order of the keys. Runs in the caller's transaction, with ACCESS SHARE on
    both tables.

    One statement (several, of a very wide table), which uses the key's index on both sides. It is made for up to some ten thousand keys.
    """
    if not keys:
        return []
    found: dict[Key, RowDifference] = {}
    for part in _parts(mapping):
        columns = compared(part)
        rows = fetch(conn, _DifferenceRow, _statement(part, keys))
        by_key = {row_keys.to_key(row.key): row for row in rows}  # the row of a surplus key comes last and replaces the others
        for key, row in by_key.items():
            names = tuple(columns[n].target for n in row.columns)
            known = found[key].columns if key in found else ()
            found[key] = RowDifference(str(mapping.origin), key, row.kind, (*known, *names))
    return [found[key] for key in sorted(found)]


def _parts(mapping: TableMapping) -> list[TableMapping]:
    """The mapping, in as many parts as its columns need: a statement that names them joins both sides column by column."""
    columns = compared(mapping)
    starts = range(0, len(columns), WIDEST)
    return [replace(mapping, columns=columns[n : n + WIDEST]) for n in starts] if len(columns) > WIDEST else [mapping]


def _statement(mapping: TableMapping, keys: Sequence[Key]) -> sql.Composed:
    wanted = sorted(set(keys))
    origin_among, target_among = row_keys.among_origin(mapping, "s", wanted), row_keys.among_target(mapping, "s", wanted)
    origin, target = row_keys.origin_columns(mapping, "s"), row_keys.target_columns(mapping, "s")
    either = [
        sql.SQL("coalesce({}, {})").format(a, b) for a, b in zip(joined_key(mapping, "a"), joined_key(mapping, "b"), strict=True)
    ]
    differs = [
        sql.SQL("CASE WHEN NOT ({} *= {}) THEN {} END").format(column_image("a", n), column_image("b", n), sql.Literal(n))
        for n in range(len(compared(mapping)))
    ]
    return load_sql("verify", "changed_keys.sql").format(
        key=row_keys.selected(mapping, either), differs=COMMA.join(differs), joined=full_join(mapping, lambda _: origin_among, lambda _: target_among),
        changed=images_differ(mapping),
        surplus_key=row_keys.selected(mapping, joined_key(mapping, "s")), columns=COMMA.join(joined_key(mapping, "s")),
        origin_columns=named_key(origin), origin=mapping.origin_rows,
        origin_among=origin_among,
        target_columns=named_key(target), target=mapping.target_rows,
        target_among=target_among,
    )  # fmt: skip
