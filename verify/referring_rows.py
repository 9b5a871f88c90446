"""Compares the references to given rows of the source: the work beside `verify.changed_keys` where a reference is looked up.

A row that refers to a changed row of the source may be wrong without a change of its own. So when changed keys are compared, the
references to them are compared too. With derived uuids nothing changes before the cutover, and there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql
from swap.plan import row_keys
from swap.plan.direction import ColumnMapping, TableMapping
from verify.pending_references import can_wait
from verify.ranges import bigints
from verify.report import Kind, RowDifference


class _ReferringRow(NamedTuple):
    key: Any
    missing: bool
    extra: bool


def compare_referring_rows(conn: Connection, d: TableMapping, keys: Sequence[int]) -> list[RowDifference]:
    """The rows of the swapped table whose reference to a row of the source with one of `keys` is not what it should be. Of each row
    one column of one reference is named.

    Runs in the caller's transaction. It needs an index on the reference, of either side, or else it reads the table."""
    if not keys or not can_wait(d):
        return []
    found = {}
    for m in d.lookups:
        for row in _rows(conn, d, m, bigints(keys)):
            key = row_keys.to_key(row.key)
            kind: Kind = "missing" if row.missing else "extra" if row.extra else "different"
            found[key] = RowDifference(str(d.origin), key, kind, (m.target,) if kind == "different" else ())
    return [found[key] for key in sorted(found)]


def _rows(conn: Connection, d: TableMapping, m: ColumnMapping, keys: sql.Composable) -> list[_ReferringRow]:
    rows = fetch(conn, _ReferringRow, _statement(d, m, keys))
    if d.lookups_in.to_uuid or not d.in_key(m):
        return rows
    surplus = load_sql("verify", "referring_rows_extra.sql").format(
        key=row_keys.selected(d, row_keys.target_columns(d, "t")), target=d.target.sql, column=sql.Identifier(m.target), keys=keys,
        origin=d.origin.sql, same=row_keys.same_row_now(d, "s", "t"),
    )  # fmt: skip
    return [*rows, *fetch(conn, _ReferringRow, surplus)]


def _statement(d: TableMapping, m: ColumnMapping, keys: sql.Composable) -> sql.Composed:
    parts = {
        "key": row_keys.selected(d, row_keys.origin_columns(d, "s")), "absent": sql.SQL("t.{} IS NULL").format(sql.Identifier(d.key[0].target)),
        "keys": keys, "origin": d.origin.sql, "target": d.target.sql, "equal": row_keys.same_row(d, "s", "t"),
        "given": sql.Identifier(m.origin), "column": sql.Identifier(m.target),
    }  # fmt: skip
    if d.lookups_in.to_uuid:
        return load_sql("verify", "referring_rows.sql").format(value=d.value(m, "w"), **parts)
    assert d.lookups_in.live_key is not None
    assert d.lookups_in.live_value is not None
    return load_sql("verify", "referring_rows_reverse.sql").format(
        value=d.value(m), live=d.lookups_in.live.sql, live_uuid=sql.Identifier(d.lookups_in.live_key),
        live_integer=sql.Identifier(d.lookups_in.live_value), **parts,
    )  # fmt: skip


def with_another_uuid(conn: Connection, source: TableMapping, keys: Sequence[int]) -> list[int]:
    """Those of the source's `keys` whose row is on both sides, with another uuid than the maintained side knows. While a row is
    gone, references to it resolve as they did. Reads by the index of the key."""
    if not keys:
        return []
    if source.origin_uuid is None:
        return []
    origin = sql.Identifier("s", source.origin_key)
    uuid = sql.Identifier("s", source.origin_uuid)
    if source.target_uuid is not None:
        changed = sql.SQL("{} IS DISTINCT FROM {}").format(uuid, sql.Identifier("t", source.target_uuid))
    else:
        known = replace(source.lookups_in, live_value=None).value(uuid, None)
        changed = sql.SQL("({})::bigint IS DISTINCT FROM {}").format(known, origin)
    query = sql.SQL("SELECT {}::bigint FROM {} s JOIN {} t ON {} = {} WHERE {} = ANY ({}) AND {}").format(
        origin, source.origin.sql, source.target.sql, sql.Identifier("t", source.target_key), origin, origin, bigints(keys), changed
    )  # fmt: skip
    return fetch_values(conn, query)
