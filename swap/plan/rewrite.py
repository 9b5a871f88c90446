"""Index definitions in terms of the uuid columns, written by the server itself.

An index binds its columns by number. So: make an empty temporary table that has the columns as they will be
called *after* the cutover, build the index there by the application's own text, rename the columns to what they
are called *before* it, and ask pg_get_indexdef. Expressions, predicates, operator classes and INCLUDE columns
come out right without this tool parsing any SQL, and an expression that cannot hold a uuid (H25) fails here,
before anything is built. The transaction is rolled back; the application's tables are only read (catalog).
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.catalog.load import load_indexes
from swap.catalog.model import Catalog, Index, Statistics, Table
from swap.core.connection import Connection, judged
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.plan.model import RefColumns, Rename, is_identity_index

SCRATCH = sql.Identifier("pg_temp", "swap_trial")


@dataclass(frozen=True)
class RewriteFailure:
    """An index, or a statistics object, whose definition cannot hold the new type."""

    table: TableName
    index: str
    reason: str
    kind: str = "index"


def rewrite_indexes(
    conn: Connection, catalog: Catalog, references: tuple[RefColumns, ...], key: str, identity: str, legacy_key: str
) -> tuple[dict[tuple[TableName, str], str], tuple[RewriteFailure, ...]]:
    """Tails of all indexes that contain a reference or the key, and what could not be rewritten. Locks nothing."""
    tails: dict[tuple[TableName, str], str] = {}
    failures: list[RewriteFailure] = []
    known: dict[tuple[object, ...], str | None] = {}  # partitions are alike: three hundred of them took seconds, one by one
    for root, table in ((t, x) for t in catalog.tables for x in (t, *t.partitions)):
        renames = [r for ref in references if ref.table == root.name for r in ref.renames]
        own = table.name == catalog.source.name
        if own:
            renames = [Rename(key, legacy_key), Rename(identity, key), *renames]
        integers, uuids = {r.before for r in renames[0::2]}, {r.before for r in renames[1::2]}
        for index in table.indexes:
            if not index.valid or not integers.intersection(index.columns) or is_identity_index(index, identity):
                continue
            if uuids.intersection(index.columns):
                continue  # written for the uuid column itself: it follows the rename by number
            if index.exclusion and not own:
                continue  # it stays on the integer: there is no way to build one beside writers
            like = (root.name, table.columns, index.recipe, index.unique, index.constraint_type, table.kind)
            result = known.get(like) or _rewrite(conn, table, index, renames)
            known[like] = result if isinstance(result, str) else None
            if isinstance(result, str):
                tails[(table.name, index.name)] = result
            else:
                failures.append(result)
    return tails, tuple(failures)


def _rewrite(conn: Connection, table: Table, index: Index, renames: list[Rename]) -> str | RewriteFailure:
    with conn.transaction(force_rollback=True):
        conn.execute(_scratch_table(table, renames))
        try:
            with conn.transaction():
                conn.execute(_create(SCRATCH, index))
        except psycopg.Error as e:
            if not judged(e):
                raise
            return RewriteFailure(table.name, index.name, e.diag.message_primary or str(e))
        if as_constraint := table.kind == "p" and index.constraint_type in ("p", "u"):
            kind = verbatim("PRIMARY KEY" if index.primary else "UNIQUE")
            conn.execute(
                sql.SQL("ALTER TABLE {} ADD CONSTRAINT swap_trial_index {} USING INDEX swap_trial_index").format(SCRATCH, kind)
            )
        for r in reversed(renames):
            rename_scratch(conn, r.after, r.before)
        made = scratch_index(conn)
        return made.constraint_definition if as_constraint else made.recipe


def rename_scratch(conn: Connection, column: str, to: str) -> None:
    """A column of the scratch table gets the name under which its definitions are to be printed."""
    rename = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
    conn.execute(rename.format(SCRATCH, sql.Identifier(column), sql.Identifier(to)))


def scratch_index(conn: Connection) -> Index:
    """The scratch table's one index, as the server prints it now."""
    row = conn.execute("SELECT 'pg_temp.swap_trial'::regclass::oid::bigint").fetchone()
    assert row is not None
    (made,) = load_indexes(conn, [row[0]])[row[0]]
    return made


def rewritten_statistics(conn: Connection, table: Table, s: Statistics, renames: list[Rename]) -> str | RewriteFailure:
    """The list of extended statistics over the uuids, by the same trial."""
    made = "pg_temp.swap_trial_statistics"
    kinds = f" ({', '.join(s.kinds)})" if s.kinds else ""
    create = verbatim(f"CREATE STATISTICS {made}{kinds} ON {s.body} FROM pg_temp.swap_trial")
    with conn.transaction(force_rollback=True):
        conn.execute(_scratch_table(table, renames))
        try:
            with conn.transaction():
                conn.execute(create)
        except psycopg.Error as e:
            if not judged(e):
                raise
            return RewriteFailure(table.name, str(s.name), e.diag.message_primary or str(e), "statistics")
        for r in reversed(renames):
            rename_scratch(conn, r.after, r.before)
        row = conn.execute(
            "SELECT pg_get_statisticsobjdef_columns(oid) FROM pg_statistic_ext WHERE stxrelid = 'pg_temp.swap_trial'::regclass"
        ).fetchone()
        assert row is not None
        return str(row[0])


def _create(scratch: sql.Identifier, index: Index) -> sql.Composed:
    if index.exclusion:
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT swap_trial_index ").format(scratch) + verbatim(index.recipe)
    unique = sql.SQL("UNIQUE " if index.unique else "")
    return sql.SQL("CREATE {}INDEX swap_trial_index ON {} ").format(unique, scratch) + verbatim(index.recipe)


def _scratch_table(table: Table, renames: list[Rename]) -> sql.Composed:
    """The table's columns under their names after the cutover; uuid where a uuid comes to stand."""
    after = {r.before: r.after for r in renames}
    uuids = {r.after for r in renames[1::2]}
    names = {after.get(c.name, c.name): c for c in table.columns}
    columns = []
    for name, c in names.items():
        collate = verbatim(f" COLLATE {c.collation}") if c.collation else sql.SQL("")
        typ = "uuid" if name in uuids else c.type
        columns.append(sql.SQL("{} ").format(sql.Identifier(name)) + verbatim(typ) + collate)
    columns += [sql.SQL("{} uuid").format(sql.Identifier(u)) for u in sorted(uuids - set(names))]
    return sql.SQL("CREATE TEMPORARY TABLE swap_trial ({}) ON COMMIT DROP").format(sql.SQL(", ").join(columns))
