"""Statements that `sync` runs for each range: they copy rows into the shadow and fill uuid columns in place.

They run the application's own code, under its settings (swap.core.application_settings). So they name every operator, function and
type with its schema.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from swap.catalog.model import Table
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.ddl.change_tables import change_table, key_names
from swap.ddl.keys import generator
from swap.ddl.text_references import fill_text
from swap.ddl.waiting import resolved
from swap.plan.direction import KeyColumn, TableMapping
from swap.plan.model import Plan, RefColumns, ReferencePlan


def key_range(d: TableMapping, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """The condition that the captured row `s` is in the key range [low, high]."""
    key = sql.Identifier(d.origin_key)
    text = sql.SQL("s.{k} OPERATOR(pg_catalog.>=) {low} AND s.{k} OPERATOR(pg_catalog.<=) {high}")
    return text.format(k=key, low=low, high=high)


def block_range(low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """The condition that the captured row `s` is in heap blocks [low, high), two tids. A row that moves meanwhile is copied twice
    or not at all, and is in the queue."""
    return _blocks("s.ctid", low, high)


def copy_rows(plan: Plan, d: TableMapping, where: sql.Composable) -> sql.Composed:
    """Copy the captured rows `s` that fulfil `where`, without those that have to wait (swap.ddl.waiting): INSERT … SELECT."""
    written = [m for m in d.columns if m.written]
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} s WHERE {}{}").format(
        d.target.sql,
        sql.SQL(", ").join(sql.Identifier(m.target) for m in written),
        sql.SQL(", ").join(d.value(m) for m in written),
        d.origin_rows,
        where,
        resolved(plan, d),
    )


def drop_queued(plan: Plan, d: TableMapping) -> sql.Composed:
    """Delete every row of the shadow whose key is in the queue: replay writes it again, once."""
    names = key_names(len(d.key))
    queued = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), change_table(plan, n, d.number).sql
        )
        for n in (0, 1)
    )  # fmt: skip
    same = sql.SQL(" AND ").join(
        sql.SQL("t.{} = q.{}").format(sql.Identifier(k.beside or k.target), sql.Identifier(name)) + _as(k)
        for k, name in zip(d.key, names, strict=True)
    )
    return sql.SQL("DELETE FROM {} t USING (SELECT DISTINCT * FROM ({}) c) q WHERE {}").format(d.target_rows, queued, same)


def _as(k: KeyColumn) -> sql.Composable:
    return verbatim(f"::{k.origin_type}") if k.exchanged else sql.SQL("")


def fill_identity(plan: Plan, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """Fill the identity column in heap blocks [low, high) of the source, but for rows that another session holds."""
    column = plan.source_table.column(plan.identity)
    has_default = column is None or column.default is not None
    generate = sql.SQL("DEFAULT") if has_default else sql.SQL("pg_catalog.") + generator(plan)
    empty = _empty_identity(plan, low, high)
    return sql.SQL("UPDATE ONLY {t} SET {c} = {generate} WHERE ctid {free}").format(
        t=plan.source.sql,
        c=sql.Identifier(plan.identity),
        generate=generate,
        free=_free(plan.source, empty, unique=_in_unique_index(plan.source_table, plan.identity)),
    )


def identity_left(plan: Plan, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """SELECT whether rows of the range were passed by."""
    return sql.SQL("SELECT EXISTS (SELECT FROM ONLY {} WHERE {})").format(plan.source.sql, _empty_identity(plan, low, high))


def _empty_identity(plan: Plan, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    return sql.SQL("{} IS NULL AND {}").format(sql.Identifier(plan.identity), _blocks("ctid", low, high))


def _free(table: TableName, where: sql.Composable, *, unique: bool) -> sql.Composed:
    """The rows of `table` that fulfil `where` and that no other session holds, locked.

    A range that waits for a row keeps those that it has from all others meanwhile. Waits of less than lock_timeout each add up: after
    a second the server ended the application's transaction as a deadlock (seen in 2 of 3 runs). So no range waits for a row.
    `unique`: whether the column that is written is in a unique index; then an UPDATE takes the stronger lock.

    Rejected: joining the rows in FROM, which the planner answers with a hash of the whole table (seen; 1.3 to 2 times as long). As an
    array they cost a tenth of the range's time, and of its WAL."""
    return sql.SQL("OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM ONLY {} WHERE {} FOR {} SKIP LOCKED))").format(
        table.sql, where, sql.SQL("UPDATE" if unique else "NO KEY UPDATE")
    )


def _blocks(ctid: LiteralString, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """The condition of heap blocks [low, high)."""
    text = sql.SQL("{c} OPERATOR(pg_catalog.>=) {low}::pg_catalog.tid AND {c} OPERATOR(pg_catalog.<) {high}::pg_catalog.tid")
    return text.format(c=sql.SQL(ctid), low=low, high=high)


def fill_reference(
    plan: Plan, ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName | None = None
) -> sql.Composed:
    """Fill a reference's uuid column in heap blocks [low, high) of its table, or of the partition `heap`, but for rows that another
    session holds.

    Ranges of ctid work for any table, whatever its key is. A row that is updated meanwhile moves behind the bound, and its
    guard fills it as it moves.
    """
    table, unique = heap or ref.table, _in_unique_index(plan.catalog.table(ref.table), ref.columns.uuid_column)
    free = _free(table, _empty_reference(ref, low, high), unique=unique)
    if ref.columns.text:
        return fill_text(plan, ref.columns, table, free)
    return sql.SQL(
        "UPDATE ONLY {t} r SET {u} = s.{identity} FROM {rows} s WHERE s.{key} OPERATOR(pg_catalog.=) r.{c} AND r.ctid {free}"
    ).format(
        rows=_held_rows(plan, ref, low, high, heap) if _only_by_uuid(plan, ref.columns) else plan.source.sql,
        t=table.sql,
        u=sql.Identifier(ref.columns.uuid_column),
        c=sql.Identifier(ref.columns.column),
        identity=sql.Identifier(plan.identity),
        key=sql.Identifier(plan.key),
        free=free,
    )


def reference_left(
    plan: Plan, ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName | None = None
) -> sql.Composed:
    """SELECT whether rows of the range were passed by. One whose parent is not there yet was not: it is noted."""
    table = (heap or ref.table).sql
    if ref.columns.text:
        return sql.SQL("SELECT EXISTS (SELECT FROM ONLY {} WHERE {})").format(table, _empty_reference(ref, low, high))
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM ONLY {t} r WHERE r.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM ONLY {t} WHERE {empty}))"
        " AND EXISTS (SELECT FROM ONLY {source} s WHERE s.{key} OPERATOR(pg_catalog.=) r.{c} AND s.{identity} IS NOT NULL))"
    ).format(
        t=table, empty=_empty_reference(ref, low, high), source=plan.source.sql, key=sql.Identifier(plan.key),
        c=sql.Identifier(ref.columns.column), identity=sql.Identifier(plan.identity),
    )  # fmt: skip


def _empty_reference(ref: ReferencePlan, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """The condition of the rows to fill. The reference's `where` is evaluated over the bare table, so that no column name in it is
    ambiguous."""
    c = ref.columns
    empty = sql.SQL("{} IS NULL AND {} IS NOT NULL AND {}").format(
        sql.Identifier(c.uuid_column), sql.Identifier(c.column), _blocks("ctid", low, high)
    )
    return empty if c.where is None or c.text else sql.SQL("{} AND ({})").format(empty, verbatim(c.where))


def _in_unique_index(table: Table, column: str) -> bool:
    """Of the application's. Those that swap builds come after the fill."""
    return any(i.unique and column in i.columns for i in table.indexes)


def _only_by_uuid(plan: Plan, ref: RefColumns) -> bool:
    """Whether the application has a foreign key over the uuid column and none over the integer: see `_held_rows`."""
    return ref.declared and any(ref.uuid_column in fk.columns for fk in plan.catalog.incoming if fk.holder == ref.table)


def _held_rows(plan: Plan, ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName | None) -> sql.Composed:
    """The rows that the range refers to, locked as the foreign key's own check locks them, but for those that another session holds.

    Under session_replication_role = replica that check does not run. A row whose DELETE is about to commit would leave an
    orphan under a valid constraint (seen). Where the integer has a foreign key, the action of that key reaches the row being
    filled.
    """
    return sql.SQL(
        "(SELECT p.{key}, p.{identity} FROM {source} p WHERE p.{key} OPERATOR(pg_catalog.=) ANY (SELECT x.{c} FROM ONLY {t} x"
        " WHERE x.{u} IS NULL AND {blocks}) FOR KEY SHARE OF p SKIP LOCKED)"
    ).format(
        key=sql.Identifier(plan.key), identity=sql.Identifier(plan.identity), source=plan.source.sql,
        c=sql.Identifier(ref.columns.column), u=sql.Identifier(ref.columns.uuid_column),
        t=(heap or ref.table).sql, blocks=_blocks("x.ctid", low, high),
    )  # fmt: skip


def fill_compat(plan: Plan, ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName) -> sql.Composed:
    """Fill a reference's compat column in heap blocks [low, high) of `heap`, in rows that the reference's own backfill did not touch and
    that no other session holds."""
    c = ref.columns
    assert c.compat_column is not None
    free = _free(heap, _stale_compat(c, low, high), unique=_in_unique_index(plan.catalog.table(ref.table), c.compat_column))
    return sql.SQL("UPDATE ONLY {t} r SET {o} = r.{u} WHERE r.ctid {free}").format(
        t=heap.sql, o=sql.Identifier(c.compat_column), u=sql.Identifier(c.uuid_column), free=free
    )


def compat_left(ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName) -> sql.Composed:
    """SELECT whether rows of the range were passed by."""
    return sql.SQL("SELECT EXISTS (SELECT FROM ONLY {} WHERE {})").format(heap.sql, _stale_compat(ref.columns, low, high))


def _stale_compat(c: RefColumns, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    assert c.compat_column is not None
    return sql.SQL("({o} OPERATOR(pg_catalog.=) {u}) IS NOT TRUE AND ({o} IS NOT NULL OR {u} IS NOT NULL) AND {blocks}").format(
        o=sql.Identifier(c.compat_column), u=sql.Identifier(c.uuid_column), blocks=_blocks("ctid", low, high)
    )
