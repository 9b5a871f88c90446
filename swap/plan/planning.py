"""Catalog and configuration → plan, with what only the server can say: rewritten index definitions, canonical
`where` clauses, dependent views. Reads only; the trial builds are rolled back."""

from __future__ import annotations

from dataclasses import replace

import psycopg
from psycopg import sql

from swap.catalog.dependents import load_dependents
from swap.catalog.load import load_catalog
from swap.catalog.model import Catalog, Table
from swap.core.config import Config
from swap.core.connection import Connection, judged
from swap.core.errors import RefusedError, UsageError
from swap.core.names import TableName, parse_table
from swap.core.sql_text import verbatim
from swap.plan.compat_indexes import with_twins
from swap.plan.expressions import refuse_spliced
from swap.plan.model import Plan, RefColumns
from swap.plan.planner import make_plan, reference_columns
from swap.plan.policies import new_policies
from swap.plan.rewrite import rewrite_indexes
from swap.plan.statistics import with_statistics


def read_plan(conn: Connection, config: Config) -> Plan:
    """The plan for a source that is not being migrated yet. Raises UsageError and RefusedError."""
    refuse_spliced(conn, config)
    catalog = load_catalog(conn, config.source.name, [(parse_table(r.table), r.column) for r in config.reference])
    key = catalog.source.column(config.source.key)
    if key is None:
        raise UsageError(
            f"{catalog.source.name} has no column {config.source.key}.", hint="Check [source] key in the configuration."
        )
    if problems := new_policies(catalog, config)[1]:
        raise UsageError(f"The policy {problems[0].object} {problems[0].detail}.", hint=problems[0].hint)
    references = reference_columns(catalog, config)
    references = tuple(_with_where(conn, catalog.table(r.table), r) for r in references)
    catalog = with_views(conn, catalog, references)
    names = (config.source.key, config.identity.column, config.names.legacy_key)
    tails, failures = rewrite_indexes(conn, catalog, references, *names)
    catalog, more = with_statistics(conn, catalog, references, *names)
    failures += more
    if failures:
        f = failures[0]
        raise RefusedError(
            f"The {f.kind} {f.index} of {f.table} cannot hold a uuid: {f.reason}.",
            hint="Drop it or change its definition; `swap doctor` lists all of them.",
        )
    return with_twins(conn, make_plan(catalog, config, references, tails))


def key_type(conn: Connection, table: TableName, column: str) -> str | None:
    """The type of a column, as format_type prints it; None when there is no such column."""
    row = conn.execute(
        "SELECT format_type(a.atttypid, NULL) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s"
        " AND NOT a.attisdropped",
        [table.schema, table.name, column],
    ).fetchone()
    return row[0] if row else None


def with_views(conn: Connection, catalog: Catalog, references: tuple[RefColumns, ...]) -> Catalog:
    """The catalog with every view and function that has to be built again: over the source, or a reference's columns."""
    columns = []
    for r in references:
        table = catalog.table(r.table)
        columns += [(table.oid, c.attnum) for c in table.columns if not r.own and c.name in (r.column, r.uuid_column)]
    found = load_dependents(conn, catalog.source.oid, columns, {t.oid: t.name for t in catalog.tables})
    return replace(catalog, views=found.views, functions=found.functions, unfollowed=found.unclaimed)


def _with_where(conn: Connection, table: Table, ref: RefColumns) -> RefColumns:
    """The reference's `where` as the server prints it: parsed as one expression over the table, or refused."""
    if ref.where is None:
        return ref
    columns = sql.SQL(", ").join(
        sql.SQL("{} ").format(sql.Identifier(c.name)) + verbatim(c.type + (f" COLLATE {c.collation}" if c.collation else ""))
        for c in table.columns
    )
    create = sql.SQL("CREATE TEMPORARY TABLE swap_where ({}) ON COMMIT DROP").format(columns)
    check = sql.SQL("ALTER TABLE pg_temp.swap_where ADD CONSTRAINT swap_where CHECK ({})").format(verbatim(ref.where))
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(create)
            conn.execute(check)
            row = conn.execute(
                "SELECT pg_get_expr(k.conbin, k.conrelid), ARRAY(SELECT a.attname::text FROM pg_attribute a"
                " WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))"
                " FROM pg_constraint k WHERE k.conrelid = 'pg_temp.swap_where'::regclass AND k.conname = 'swap_where'"
            ).fetchone()
    except psycopg.Error as e:
        if not judged(e):
            raise
        raise UsageError(
            f"The `where` of the reference {ref.table}.{ref.column} is not a condition over that table: "
            f"{e.diag.message_primary or e}.",
            hint="Write one SQL condition over the table's own columns, such as \"actor_type = 'User'\".",
        ) from None
    assert row is not None
    if {ref.column, ref.uuid_column} & set(row[1]):
        raise UsageError(
            f"The `where` of the reference {ref.table}.{ref.column} uses the reference itself, which is a uuid afterwards.",
            hint="Write it over the other columns of the table, such as the type column of a polymorphic pair.",
        )
    return replace(ref, where=row[0])
