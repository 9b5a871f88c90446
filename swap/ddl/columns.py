"""Columns: how swap declares, adds and renames them, with their own grants, comments and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.grants import grants
from swap.ddl.keys import generator
from swap.ddl.security_labels import exchange_labels
from swap.plan.model import Plan, RefColumns, ReferencePlan

STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
COMPRESSION = {"p": "pglz", "l": "lz4"}
NAMED_NOT_NULL = 180000  # from 18 on a NOT NULL is a named constraint (pg_constraint.contype = 'n')


def column_definition(
    name: str,
    data_type: str,
    *,
    collation: str | None = None,
    generated: str = "",
    default: Query | None = None,
    not_null: Query | None = None,
) -> Query:
    """Declare a column as CREATE TABLE does. `default` is the expression of a generated column too (`generated`: s | v)."""
    text: Query = sql.SQL("{} ").format(sql.Identifier(name)) + verbatim(data_type)
    if collation:
        text += verbatim(f" COLLATE {collation}")
    if generated and default is not None:
        kind = "STORED" if generated == "s" else "VIRTUAL"
        text += sql.SQL(" GENERATED ALWAYS AS (") + default + verbatim(f") {kind}")
    elif default is not None:
        text += sql.SQL(" DEFAULT ") + default
    return text if not_null is None else text + not_null


def not_null_constraint(server_version: int, name: str | None, *, inherited: bool = True) -> Query:
    """NOT NULL of a column definition, with its name where the server has names for it."""
    if server_version < NAMED_NOT_NULL or not name:
        return sql.SQL(" NOT NULL")
    text = sql.SQL(" CONSTRAINT {} NOT NULL").format(sql.Identifier(name))
    return text if inherited else text + sql.SQL(" NO INHERIT")


def parameters(options: Iterable[str]) -> sql.Composed:
    """Write storage parameters or attribute options, which the catalog holds as `name=value`."""
    pairs = (o.split("=", 1) for o in options)
    return sql.SQL(", ").join(verbatim(f"{name} = ") + sql.Literal(value) for name, value in pairs)


def add_identity(plan: Plan) -> list[Statement]:
    """Add the identity column to a source that has none.

    At first it is nullable and has no default, so no row is rewritten.
    """
    if not plan.identity_added:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(plan.source.sql)
    column = sql.Identifier(plan.identity)
    add = alter + sql.SQL("ADD COLUMN IF NOT EXISTS {} uuid; ").format(column)
    add += alter + sql.SQL("ALTER COLUMN {} SET DEFAULT ").format(column) + generator(plan)
    undo = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column)
    why = "the identity column; existing rows get their uuid in batches"
    return [Statement(add, why, plan.source, AX, undo, kind=Kind.COLUMN, verb=Verb.CREATE)]


def add_reference_column(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """Add a nullable uuid column with the integer's statistics target and options. Instant: no row is rewritten."""
    if ref.columns.adopted:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(ref.table.sql)
    column = sql.Identifier(ref.columns.uuid_column)
    add = alter + sql.SQL("ADD COLUMN IF NOT EXISTS {} ").format(column) + verbatim(ref.columns.uuid_type)
    integer = plan.catalog.table(ref.table).column(ref.columns.column)
    if integer is not None and integer.statistics is not None:
        target = verbatim(str(integer.statistics))
        add += sql.SQL("; ") + alter + sql.SQL("ALTER COLUMN {} SET STATISTICS ").format(column) + target
    if integer is not None and integer.options:
        add += sql.SQL("; ") + alter + sql.SQL("ALTER COLUMN {} SET ({})").format(column, parameters(integer.options))
    undo = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column)
    why = "the reference's uuid column, nullable"
    return [Statement(add, why, ref.table, AX, undo, kind=Kind.COLUMN, verb=Verb.CREATE)]


def add_compat_column(ref: RefColumns) -> list[Statement]:
    """Add the compat column of a reference outside the source: nullable, instant."""
    if ref.compat_column is None:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(ref.table.sql)
    column = sql.Identifier(ref.compat_column)
    add = alter + sql.SQL("ADD COLUMN IF NOT EXISTS {} uuid").format(column)
    undo = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column)
    why = f"what {ref.uuid_column} will be called after the cutover's renames is this one"
    return [Statement(add, why, ref.table, AX, undo, kind=Kind.COLUMN, verb=Verb.CREATE)]


def rename_column(table: TableName, before: str, after: str) -> Statement:
    """Rename a column inside the exchange. What binds it by number goes on binding it."""
    rename = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
    a, b = sql.Identifier(before), sql.Identifier(after)
    why = "what compares this column by number goes on doing so"
    return Statement(rename.format(table.sql, a, b), why, table, AX, rename.format(table.sql, b, a), kind=Kind.COLUMN)


def exchange_column(plan: Plan, ref: RefColumns) -> list[Statement]:
    """Give the uuid, now called `ref.column`, the grants, comment and labels of the integer. Run after the rename. A companion gets
    the grants only: the integer keeps its name and what is said of it.

    What an adopted column has already is not given, so the undo does not take it away.
    """
    table = plan.catalog.table(ref.table)
    if ref.companion:
        beside = (replace(g, column=ref.uuid_column) for g in table.grants if g.column == ref.column)
        return grants(ref.table, tuple(g for g in beside if g not in table.grants), table.owner)
    column, uuid = table.column(ref.column), table.column(ref.uuid_column)
    has = {replace(g, column=ref.column) for g in table.grants if g.column == ref.uuid_column}
    out = grants(ref.table, tuple(g for g in table.grants if g.column == ref.column and g not in has), table.owner)
    if ref.compat_column:
        # The compat column gets the privileges of the application's column whose name it takes.
        out += grants(ref.table, tuple(g for g in table.grants if g.column == ref.uuid_column), table.owner)
    if column is not None and column.comment is not None:
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}")
        texts = (column.comment, uuid.comment if uuid else None)
        do, undo = (comment.format(ref.table.sql, sql.Identifier(ref.column), sql.Literal(text)) for text in texts)
        out.append(Statement(do, "the column's comment", ref.table, AX, undo, kind=Kind.COMMENT))
    return out + exchange_labels(plan, ref)
