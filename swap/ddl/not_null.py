"""NOT NULL of the uuid columns.

A CHECK that is validated beside running writers comes first, so that SET NOT NULL scans nothing. For the proof the server simplifies
every CHECK of the table: it puts the bodies of SQL functions in the place of their calls, and reads them by the search_path.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.meaning import together
from swap.catalog.model import Table
from swap.core.names import TableName, derive
from swap.core.statement import AX, Kind, Statement, Step, Verb, part
from swap.ddl.columns import NAMED_NOT_NULL
from swap.ddl.rename import rename_constraint
from swap.plan.model import Plan, ReferencePlan


def not_null_check(table: TableName, column: str, name: str) -> list[Statement]:
    """Add CHECK (column IS NOT NULL) NOT VALID, then VALIDATE it, so that SET NOT NULL skips its scan."""
    alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
    ident = sql.Identifier(name)
    add = alter + sql.SQL("ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID").format(ident, sql.Identifier(column))
    drop = alter + sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(ident)
    validate = alter + sql.SQL("VALIDATE CONSTRAINT {}").format(ident)
    why = "what NOT NULL will rest on; not checked yet"
    return [
        Statement(add, why, table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=part(table, name)),
        Statement(validate, "checks existing rows beside running writers", table, "SHARE UPDATE EXCLUSIVE", kind=Kind.CONSTRAINT),
    ]


def identity_not_null(plan: Plan) -> list[Step]:
    """Set NOT NULL on the identity column without a scan under a strong lock. Empty where it is NOT NULL already."""
    column = plan.source_table.column(plan.identity)
    if column is not None and column.not_null:
        return []
    name = f"swap_{plan.tag}_identity_present"
    add, validate = not_null_check(plan.source, plan.identity, name)
    alter = sql.SQL("ALTER TABLE {} ").format(plan.source.sql)
    ident = sql.Identifier(plan.identity)
    set_ = alter + sql.SQL("ALTER COLUMN {} SET NOT NULL, DROP CONSTRAINT {}").format(ident, sql.Identifier(name))
    drop = alter + sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(ident)
    path = _path(plan.source_table)
    final = Statement(set_, "NOT NULL, proved by the check; no scan", plan.source, AX, drop, kind=Kind.NOT_NULL, path=path)
    return [
        Step("identity check", (add,), (plan.source,), AX),
        Step("identity validate", (validate,)),
        Step("identity not null", (final,), (plan.source,), AX),
    ]


def reference_not_null(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """Set NOT NULL on a reference's uuid column. It rests on the validated check, so the server scans nothing.

    From 18 on NOT NULL is a constraint. swap adds it under the name that the application knows: the server would shorten a
    long name in another way.
    """
    columns, table = ref.columns, ref.table
    existing = plan.catalog.table(table).column(columns.uuid_column)
    there = existing is not None and existing.not_null
    if not columns.not_null:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
    column = sql.Identifier(columns.uuid_column)
    # From 18 on a primary key gives each partition a NOT NULL of its own, which DROP NOT NULL on the table leaves.
    own = (p.name for p in plan.catalog.table(table).partitions)
    dropped = (sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(t.sql, column) for t in (table, *own))
    drop = sql.SQL("; ").join(dropped)
    why, path = "NOT NULL, proved by the validated check", _path(plan.catalog.table(table))
    if plan.catalog.server_version < NAMED_NOT_NULL or not ref.not_null_name:
        add = alter + sql.SQL("ALTER COLUMN {} SET NOT NULL").format(column)
        return [] if there else [Statement(add, why, table, AX, drop, kind=Kind.NOT_NULL, path=path)]
    free_name = rename_constraint(table, ref.not_null_name, derive(f"{table.name}_{columns.legacy_column}", "_not_null"))
    if existing is not None and existing.not_null_name:
        return [free_name, rename_constraint(table, existing.not_null_name, ref.not_null_name)]
    add = alter + sql.SQL("ADD CONSTRAINT {} NOT NULL {}").format(sql.Identifier(ref.not_null_name), column)
    add += _as_before(plan, ref, ref.not_null_name)
    label = part(table, ref.not_null_name)
    return [free_name, Statement(add, why, table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label, path=path)]


def _path(table: Table) -> tuple[str, ...]:
    return together(c.meaning for c in table.checks).path


def _as_before(plan: Plan, ref: ReferencePlan, constraint: str) -> sql.Composed:
    """What else the integer's NOT NULL says (18 and later): a comment, NO INHERIT."""
    old = plan.catalog.table(ref.table).column(ref.columns.column)
    text = sql.Composed([])
    name = sql.Identifier(constraint)
    if old is not None and old.not_null_comment:
        text += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, ref.table.sql, sql.Literal(old.not_null_comment))
    if old is not None and not old.not_null_inherited:
        text += sql.SQL("; ALTER TABLE {} ALTER CONSTRAINT {} NO INHERIT").format(ref.table.sql, name)
    return text
