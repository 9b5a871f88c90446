"""What the exchange does to the references: guard, NOT NULL, primary key, column and index names."""

from __future__ import annotations

from psycopg import sql

from cutover.rename import rename_column, rename_constraint, rename_index
from swap.core.names import TableName, derive
from swap.core.plan import IndexPlan, Plan, ReferencePlan
from swap.core.statement import AX, Statement
from swap.core.text import verbatim
from swap.prepare import objects
from swap.prepare.shadow import NAMED_NOT_NULL


def exchange_references(plan: Plan) -> list[Statement]:
    """All references, phase by phase: guards off, NOT NULL, primary keys off, column names, indexes, guards on.

    By phase and not by reference, because a table may have several in one primary key: the way back may drop a
    column's NOT NULL only when the key is gone.
    """
    refs = plan.references
    keys = [(i, r.spare_primary) for r in refs for i in r.indexes if i.constraint == "p" and r.spare_primary]
    return [
        *(s.reversed() for r in refs for s in reversed(objects.reference_guards(plan, r.columns, r.table, "forward"))),
        *(s for r in refs for s in _not_null(plan, r)),
        *(_drop_primary_key(index, spare) for index, spare in keys),
        *(rename_column(r.table, n.before, n.after) for r in refs for n in r.columns.renames),
        *(s for r in refs for i in r.indexes for s in _exchange_index(r.table, i)),
        *(s for r in refs for s in objects.reference_guards(plan, r.columns, r.table, "reverse")),
    ]


def _not_null(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """SET NOT NULL rests on the validated check, so it scans nothing. Names as the application knows them (18+)."""
    columns, table = ref.columns, ref.table
    existing = plan.catalog.table(table).column(columns.uuid_column)
    if not columns.not_null:
        return []
    alter = sql.SQL("ALTER TABLE {} ALTER COLUMN {} {} NOT NULL")
    column = sql.Identifier(columns.uuid_column)
    out = []
    if existing is None or not existing.not_null:
        out.append(
            Statement(
                alter.format(table.sql, column, verbatim("SET")), "NOT NULL, proved by the validated check", table, AX,
                alter.format(table.sql, column, verbatim("DROP")),
            )
        )  # fmt: skip
    if plan.catalog.server_version >= NAMED_NOT_NULL and ref.not_null_name:
        made = (existing and existing.not_null_name) or derive(f"{table.name}_{columns.uuid_column}", "_not_null")
        aside = derive(f"{table.name}_{columns.legacy_column}", "_not_null")
        out += [rename_constraint(table, ref.not_null_name, aside), rename_constraint(table, made, ref.not_null_name)]
    return out


def _drop_primary_key(index: IndexPlan, spare: IndexPlan) -> Statement:
    """The old primary key goes; the way back makes the spare index on the integer columns the primary key again."""
    assert index.app_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.app_name)
    return Statement(
        alter + sql.SQL("DROP CONSTRAINT {}").format(name), "the primary key moves to the uuid column", index.table, AX,
        alter + sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(name, sql.Identifier(spare.build_name)),
    )  # fmt: skip


def _exchange_index(table: TableName, index: IndexPlan) -> list[Statement]:
    assert index.app_name is not None
    assert index.aside_name is not None
    if index.constraint == "p":
        alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
        name = sql.Identifier(index.app_name)
        add = alter + sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(name, sql.Identifier(index.build_name))
        return [Statement(add, "the index exists; no scan", table, AX, alter + sql.SQL("DROP CONSTRAINT {}").format(name))]
    if index.constraint == "u":
        return [
            rename_constraint(table, index.app_name, index.aside_name),
            rename_constraint(table, index.build_name, index.app_name),
        ]
    return [
        rename_index(table.schema, index.app_name, index.aside_name),
        rename_index(table.schema, index.build_name, index.app_name),
    ]
