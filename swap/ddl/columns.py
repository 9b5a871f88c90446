"""Columns: those that hold uuids, added; all of them, renamed; and what belongs to a column and not to its table."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.grants import grants
from swap.ddl.keys import generator
from swap.ddl.security_labels import exchange_labels
from swap.plan.model import Plan, RefColumns, ReferencePlan


def add_identity(plan: Plan) -> list[Statement]:
    """The identity column of a source without one: nullable and without a default first, so no row is rewritten."""
    if not plan.identity_added:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(plan.source.sql)
    column = sql.Identifier(plan.identity)
    add = (
        alter
        + sql.SQL("ADD COLUMN IF NOT EXISTS {} uuid; ").format(column)
        + alter
        + sql.SQL("ALTER COLUMN {} SET DEFAULT ").format(column)
        + generator(plan)
    )
    undo = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column)
    return [
        Statement(
            add,
            "the identity column; existing rows get their uuid in batches",
            plan.source,
            "ACCESS EXCLUSIVE",
            undo,
            kind=Kind.COLUMN,
            verb=Verb.CREATE,
        )
    ]


def add_reference_column(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """A nullable uuid column beside the integer, with its statistics target; instant, no rewrite."""
    if ref.columns.adopted:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(ref.table.sql)
    column = sql.Identifier(ref.columns.uuid_column)
    add = alter + sql.SQL("ADD COLUMN IF NOT EXISTS {} uuid").format(column)
    integer = plan.catalog.table(ref.table).column(ref.columns.column)
    if integer is not None and integer.statistics is not None:
        add += (
            sql.SQL("; ") + alter + sql.SQL("ALTER COLUMN {} SET STATISTICS ").format(column) + verbatim(str(integer.statistics))
        )
    if integer is not None and integer.options:
        pairs = (o.split("=", 1) for o in integer.options)
        options = sql.SQL(", ").join(verbatim(f"{name} = ") + sql.Literal(value) for name, value in pairs)
        add += sql.SQL("; ") + alter + sql.SQL("ALTER COLUMN {} SET ({})").format(column, options)
    undo = alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column)
    return [
        Statement(
            add, "the reference's uuid column, nullable", ref.table, "ACCESS EXCLUSIVE", undo, kind=Kind.COLUMN, verb=Verb.CREATE
        )
    ]


def add_compat_column(ref: RefColumns) -> list[Statement]:
    """On a reference outside the source: nullable, instant."""
    if ref.compat_column is None:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(ref.table.sql)
    column = sql.Identifier(ref.compat_column)
    return [
        Statement(
            alter + sql.SQL("ADD COLUMN IF NOT EXISTS {} uuid").format(column),
            f"what {ref.uuid_column} will be called after the cutover's renames is this one", ref.table, AX,
            alter + sql.SQL("DROP COLUMN IF EXISTS {}").format(column), kind=Kind.COLUMN, verb=Verb.CREATE,
        )
    ]  # fmt: skip


def rename_column(table: TableName, before: str, after: str) -> Statement:
    rename = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
    a, b = sql.Identifier(before), sql.Identifier(after)
    why = "what compares this column by number goes on doing so"
    return Statement(rename.format(table.sql, a, b), why, table, AX, rename.format(table.sql, b, a), kind=Kind.COLUMN)


def exchange_column(plan: Plan, ref: RefColumns) -> list[Statement]:
    """Run after the rename: `ref.column` is the uuid. What an adopted column has already is not given, nor taken."""
    table = plan.catalog.table(ref.table)
    column, uuid = table.column(ref.column), table.column(ref.uuid_column)
    has = {(g.grantee, g.grantor, g.privilege, g.grantable) for g in table.grants if g.column == ref.uuid_column}
    out = grants(
        ref.table,
        tuple(g for g in table.grants if g.column == ref.column and (g.grantee, g.grantor, g.privilege, g.grantable) not in has),
        table.owner,
    )
    if ref.compat_column:
        # The second name of the uuid has the rights that the application's column of this name had.
        out += grants(ref.table, tuple(g for g in table.grants if g.column == ref.uuid_column), table.owner)
    if column is not None and column.comment is not None:
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}")
        name = sql.Identifier(ref.column)
        out.append(
            Statement(
                comment.format(ref.table.sql, name, sql.Literal(column.comment)), "the column's comment", ref.table, AX,
                comment.format(ref.table.sql, name, sql.Literal(uuid.comment if uuid else None)), kind=Kind.COMMENT,
            )
        )  # fmt: skip
    return out + exchange_labels(plan, ref)
