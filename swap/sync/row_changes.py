"""The statements of replay on the rows of one swapped table. `keys`: those of one slice of a batch.

Every statement names the maintained and the captured table ONLY: a child table that came since `prepare` is not theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from swap.core.sql_text import Query
from swap.ddl.waiting import key_text, note_rows, noting
from swap.plan.direction import KeyColumn, TableMapping
from swap.plan.model import Plan
from swap.plan.row_keys import (
    COMMA,
    Key,
    among_origin,
    among_target,
    equal,
    maintained_key,
    origin_columns,
    target_columns,
)


def _captured(d: TableMapping) -> sql.Composed:
    """The condition that the captured side has the maintained row `t`: of the source, under the same uuid."""
    if d.exchanged_key:
        # Nothing relates the row to the one that it was made of but the mapping as it is now.
        rows = sql.SQL("(SELECT {} FROM {} s OFFSET 0) s ({})").format(
            COMMA.join(maintained_key(d, [sql.Identifier("s", k.origin) for k in d.key])),
            d.origin_rows,
            COMMA.join(sql.Identifier(k.target) for k in d.key),
        )
        same = equal(*([sql.Identifier(alias, k.target) for k in d.key] for alias in "st"))
        return sql.SQL("EXISTS (SELECT FROM {} WHERE {})").format(rows, same)
    same = equal(origin_columns(d, "s"), target_columns(d, "t"))
    if d.origin_uuid and d.target_uuid:
        same += sql.SQL(" AND s.{} = t.{}").format(sql.Identifier(d.origin_uuid), sql.Identifier(d.target_uuid))
    return sql.SQL("EXISTS (SELECT FROM {} s WHERE {})").format(d.origin_rows, same)


def delete_gone(d: TableMapping, keys: Sequence[Key]) -> sql.Composed:
    """DELETE the rows that the captured side no longer has, or has under another uuid."""
    return sql.SQL("DELETE FROM {} t WHERE {} AND NOT {}").format(d.target_rows, among_target(d, "t", keys), _captured(d))


def delete_all_gone(d: TableMapping) -> sql.Composed:
    """After a TRUNCATE: every maintained row that the captured side does not have."""
    return sql.SQL("DELETE FROM {} t WHERE NOT {}").format(d.target_rows, _captured(d))


def with_uuids(delete: sql.Composed, d: TableMapping) -> sql.Composed:
    """`delete`, of rows of the source, returning (key, uuid) of each."""
    assert d.target_uuid is not None
    key, uuid = sql.Identifier("t", d.target_key), sql.Identifier("t", d.target_uuid)
    return delete + sql.SQL(" RETURNING {} AS key, {} AS uuid").format(key, uuid)


def delete_keys(d: TableMapping, keys: Sequence[Key], *, before: bool = False) -> sql.Composed:
    """`before`: the rows that had these keys when they were written last."""
    return sql.SQL("DELETE FROM {} t WHERE {}").format(d.target_rows, among_target(d, "t", keys, before=before))


def delete_of_parents(d: TableMapping, k: KeyColumn, integers: Sequence[int]) -> sql.Composed:
    """DELETE the rows with one of these integers of the source in their key, whatever uuid stood for it."""
    text = "{" + ",".join(map(str, integers)) + "}"
    return sql.SQL("DELETE FROM {} t WHERE t.{} = ANY ({}::bigint[])").format(
        d.target_rows, sql.Identifier(k.beside or k.target), sql.Literal(text)
    )


def upsert(plan: Plan, d: TableMapping, keys: Sequence[Key]) -> sql.Composed:
    """INSERT … ON CONFLICT (key) DO UPDATE, skipping rows whose image is already equal (1.0 is not 1.00).

    Where rows of the table may have to wait, the same statement notes them (swap.ddl.waiting): each lookup is made once. It runs
    under the application's settings, so it names every operator and type with its schema."""
    written = [m for m in d.columns if m.written]
    names = [sql.Identifier(m.target) for m in written]
    captured = sql.SQL("FROM {} s WHERE {}").format(d.origin_rows, among_origin(d, "s", keys))
    head: Query = sql.SQL("")
    rows = COMMA.join(d.value(m) for m in written) + sql.SQL(" ") + captured
    if how := noting(plan, d, written):
        columns = [*(d.value(m) for m in written), *how.columns, key_text(origin_columns(d, "s"))]
        aliases = [*(f"c{n}" for n in range(len(written))), *(f"v{n}" for n in range(len(how.columns))), "key"]
        head = sql.SQL("WITH v ({}) AS MATERIALIZED (SELECT {} {}), noted AS ({}) ").format(
            COMMA.join(map(sql.Identifier, aliases)), COMMA.join(columns), captured, note_rows(plan, d, how)
        )
        rows = sql.SQL("{} FROM v WHERE ({}) IS NOT TRUE").format(
            COMMA.join(sql.Identifier("v", f"c{n}") for n in range(len(written))), how.held
        )
    if deferrable_key(plan, d):
        return _update_and_insert(d, head, names, rows)
    return sql.SQL(
        "{head}INSERT INTO {t} AS t ({columns}) SELECT {rows}"
        " ON CONFLICT ({key}) DO UPDATE SET {sets}"
        " WHERE ROW({old})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({new})::pg_catalog.record"
    ).format(
        head=head,
        t=d.target.sql,
        columns=COMMA.join(names),
        rows=rows,
        key=COMMA.join(sql.Identifier(k.target) for k in d.key),
        sets=COMMA.join(sql.SQL("{} = EXCLUDED.{}").format(n, n) for n in names),
        old=COMMA.join(sql.SQL("t.{}").format(n) for n in names),
        new=COMMA.join(sql.SQL("EXCLUDED.{}").format(n) for n in names),
    )


def deferrable_key(plan: Plan, d: TableMapping) -> bool:
    """Whether the key is no arbiter of ON CONFLICT: its constraint is deferrable, on the maintained side after the cutover (H61).
    Nor is there one of a partitioned table: its key alone is in no unique index."""
    primary = plan.catalog.table(d.origin).primary_key
    return d.partitioned or (primary is not None and primary.deferrable)


def _update_and_insert(d: TableMapping, head: Query, names: Sequence[sql.Identifier], rows: Query) -> sql.Composed:
    """The same without ON CONFLICT. There is one writer, so no row comes in between; both parts see the rows of before the statement,
    and each key is in one of them."""
    aliases = [sql.Identifier("n", f"n{i}") for i in range(len(names))]
    of_name = dict(zip((i.as_string(None) for i in names), aliases, strict=True))
    keys = [of_name[sql.Identifier(k.target).as_string(None)] for k in d.key]
    same = equal(target_columns(d, "t"), keys)
    begin = head if head.as_string(None) else sql.SQL("WITH ")
    joined = sql.SQL(", ") if head.as_string(None) else sql.SQL("")
    # `head` ends with a space, behind its last part.
    return sql.SQL(
        "{begin}{joined}n ({numbered}) AS MATERIALIZED (SELECT {rows}), updated AS (UPDATE {rows_of} t SET {sets} FROM n WHERE {same}"
        " AND ROW({old})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({new})::pg_catalog.record)"
        " INSERT INTO {t} ({columns}) SELECT {new} FROM n WHERE NOT EXISTS (SELECT FROM {rows_of} t WHERE {same})"
    ).format(
        begin=begin,
        joined=joined,
        numbered=COMMA.join(sql.Identifier(f"n{i}") for i in range(len(names))),
        rows=rows,
        t=d.target.sql,
        rows_of=d.target_rows,
        sets=COMMA.join(sql.SQL("{} = {}").format(n, a) for n, a in zip(names, aliases, strict=True)),
        same=same,
        old=COMMA.join(sql.SQL("t.{}").format(n) for n in names),
        new=COMMA.join(aliases),
        columns=COMMA.join(names),
    )
