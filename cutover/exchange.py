"""The exchange as statements, each with its undo: `revert` is the same list backwards.

Inside the cutover every table named here is held in ACCESS EXCLUSIVE. Nothing scans or rewrites a table: names
change, constraints are added NOT VALID (validated after the commit), indexes exist already.
What binds by column number (policies, checks, generated columns, index predicates) goes on meaning the integer;
what is created here by its text (views, foreign keys, user triggers) binds by name and so means the uuid.
"""

from __future__ import annotations

from itertools import groupby

from psycopg import sql

from swap.core.catalog.model import ForeignKey, Grant, View
from swap.core.names import TableName, derive
from swap.core.plan import IndexPlan, Plan, ReferencePlan
from swap.core.statement import Statement
from swap.core.text import Query, verbatim
from swap.prepare import objects
from swap.prepare.shadow import NAMED_NOT_NULL

AX = "ACCESS EXCLUSIVE"
ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}


def exchange(plan: Plan) -> list[Statement]:
    """Every statement of the cutover's script, in order."""
    live, shadow, retired = plan.source, plan.shadow, plan.retired
    return [
        *(s.reversed() for v in reversed(plan.catalog.views) for s in reversed(create_view(v))),
        *(drop_foreign_key(fk) for fk in moved_foreign_keys(plan)),
        *(s.reversed() for s in reversed(live_objects(plan, live, "forward"))),
        *quiet_triggers(plan),
        *(s.reversed() for s in reversed(grants(live, plan.source_table.grants))),
        rename_table(live, retired),
        *(rename_index(live.schema, r.before, r.after) for r in plan.retired_indexes),
        rename_table(shadow, live),
        *(rename_column(live, r.before, r.after) for r in plan.renames),
        *(rename_index(live.schema, i.build_name, i.app_name) for i in plan.indexes if i.app_name),
        *own_sequences(plan),
        *(s for ref in plan.references for s in exchange_reference(plan, ref)),
        *(add_foreign_key(fk) for fk in moved_foreign_keys(plan) if not is_adopted(plan, fk)),
        *not_valid_checks(plan),
        *user_triggers(plan),
        *grants(live, plan.source_table.grants),
        *live_objects(plan, live, "reverse"),
        *(s for v in plan.catalog.views for s in create_view(v)),
    ]


def live_objects(plan: Plan, table: TableName, direction: str) -> list[Statement]:
    """What swap keeps on the live table: capture, guards, fence."""
    return [
        *objects.capture_triggers(plan, table, direction),
        *objects.source_guards(plan, table, direction),
        objects.fence_trigger(plan, table),
    ]


def moved_foreign_keys(plan: Plan) -> list[ForeignKey]:
    """Every foreign key into or out of the source: none may be enforced on the side that is only maintained."""
    return [fk for fk in plan.catalog.foreign_keys if plan.touches(fk)]


def is_adopted(plan: Plan, fk: ForeignKey) -> bool:
    """The application's own uuid foreign key: after the cutover the reference's own one says the same."""
    return fk.target == plan.source and plan.identity in fk.target_columns


def add_foreign_key(fk: ForeignKey) -> Statement:
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(fk.table.sql, sql.Identifier(fk.name))
    add += verbatim(fk.definition) + sql.SQL(" NOT VALID")
    if fk.comment:
        add += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(
            sql.Identifier(fk.name), fk.table.sql, sql.Literal(fk.comment)
        )
    drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(fk.table.sql, sql.Identifier(fk.name))
    return Statement(add, "the foreign key, by its own text; validated after the commit", fk.table, AX, drop)


def drop_foreign_key(fk: ForeignKey) -> Statement:
    return add_foreign_key(fk).reversed()


def rename_table(table: TableName, to: TableName) -> Statement:
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    return Statement(
        rename.format(table.sql, sql.Identifier(to.name)), f"{table.name} is now {to.name}", table, AX,
        rename.format(to.sql, sql.Identifier(table.name)),
    )  # fmt: skip


def rename_column(table: TableName, before: str, after: str) -> Statement:
    rename = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
    a, b = sql.Identifier(before), sql.Identifier(after)
    why = "what compares this column by number goes on doing so"
    return Statement(rename.format(table.sql, a, b), why, table, AX, rename.format(table.sql, b, a))


def rename_index(schema: str, before: str, after: str) -> Statement:
    rename = sql.SQL("ALTER INDEX {} RENAME TO {}")
    return Statement(
        rename.format(sql.Identifier(schema, before), sql.Identifier(after)), "index name", None, "",
        rename.format(sql.Identifier(schema, after), sql.Identifier(before)),
    )  # fmt: skip


def rename_constraint(table: TableName, before: str, after: str) -> Statement:
    rename = sql.SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}")
    a, b = sql.Identifier(before), sql.Identifier(after)
    return Statement(rename.format(table.sql, a, b), "constraint name", table, AX, rename.format(table.sql, b, a))


def quiet_triggers(plan: Plan) -> list[Statement]:
    """User triggers of the source must not fire when replay maintains it as the retired table."""
    alter = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    return [
        Statement(
            alter.format(plan.source.sql, verbatim("DISABLE"), sql.Identifier(t.name)),
            "replay into the retired table fires no user trigger", plan.source, AX,
            alter.format(plan.source.sql, verbatim(ENABLE[t.enabled]), sql.Identifier(t.name)),
        )
        for t in plan.source_table.triggers
    ]  # fmt: skip


def user_triggers(plan: Plan) -> list[Statement]:
    """The source's triggers on the new table, by their own text: column names now mean the new columns."""
    out = []
    for t in plan.source_table.triggers:
        name = sql.Identifier(t.name)
        create: Query = verbatim(t.definition)
        if t.enabled != "O":
            create += sql.SQL("; ALTER TABLE {} {} TRIGGER {}").format(plan.source.sql, verbatim(ENABLE[t.enabled]), name)
        if t.comment:
            create += sql.SQL("; COMMENT ON TRIGGER {} ON {} IS {}").format(name, plan.source.sql, sql.Literal(t.comment))
        drop = sql.SQL("DROP TRIGGER {} ON {}").format(name, plan.source.sql)
        out.append(Statement(create, "user trigger", plan.source, AX, drop))
    return out


def not_valid_checks(plan: Plan) -> list[Statement]:
    """CHECK constraints that were never validated: old rows may violate them, so they come last, NOT VALID again."""
    alter = sql.SQL("ALTER TABLE {} {} CONSTRAINT {}")
    return [
        Statement(
            alter.format(plan.source.sql, verbatim("ADD"), sql.Identifier(c.name))
            + verbatim(f" {c.definition} NOT VALID"),
            "a check that was never validated", plan.source, AX,
            alter.format(plan.source.sql, verbatim("DROP"), sql.Identifier(c.name)),
        )
        for c in plan.source_table.checks
        if not c.validated
    ]  # fmt: skip


def own_sequences(plan: Plan) -> list[Statement]:
    """Sequences owned by the source's columns follow to the new table: dropping the retired one must not take them."""
    after = {r.before: r.after for r in plan.renames}
    owned = sql.SQL("ALTER SEQUENCE {} OWNED BY {}.{}")
    return [
        Statement(
            owned.format(s.name.sql, plan.source.sql, sql.Identifier(after.get(s.column, s.column))),
            "the sequence follows", s.name, "SHARE ROW EXCLUSIVE",
            owned.format(s.name.sql, plan.retired.sql, sql.Identifier(s.column)),
        )
        for s in plan.source_table.sequences
        if not s.identity
    ]  # fmt: skip


def grants(table: TableName, entries: tuple[Grant, ...]) -> list[Statement]:
    """GRANTs in the ACL's own order, so that a dump prints them as before."""
    out = []
    for (grantee, grantable), group in groupby((g for g in entries if g.column is None), key=lambda g: (g.grantee, g.grantable)):
        out.append(_grant(table, grantee, [g.privilege for g in group], None, grantable))
    for (column, grantee, grantable), group in groupby(
        (g for g in entries if g.column is not None), key=lambda g: (g.column, g.grantee, g.grantable)
    ):
        out.append(_grant(table, grantee, [g.privilege for g in group], column, grantable))
    return out


def _grant(table: TableName, grantee: str | None, privileges: list[str], column: str | None, option: bool) -> Statement:
    who = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
    on = sql.SQL(" ({})").format(sql.Identifier(column)) if column else sql.SQL("")
    what = sql.SQL(", ").join(verbatim(p) + on for p in privileges)
    tail = sql.SQL(" WITH GRANT OPTION" if option else "")
    grant = sql.SQL("GRANT {} ON {} TO {}").format(what, table.sql, who) + tail
    revoke = sql.SQL("REVOKE {} ON {} FROM {}").format(what, table.sql, who)
    return Statement(grant, "grants", table, "", revoke)


def create_view(view: View) -> list[Statement]:
    """The view by its own text, with owner, grants and comment; it binds by name."""
    options: Query = sql.SQL("")
    if view.options:
        pairs = [o.split("=", 1) for o in view.options]
        options = sql.SQL(" WITH ({})").format(sql.SQL(", ").join(verbatim(f"{k} = ") + sql.Literal(v) for k, v in pairs))
    create = sql.SQL("CREATE VIEW {}").format(view.name.sql) + options + sql.SQL(" AS ")
    create += verbatim((view.definition or "").rstrip().rstrip(";"))
    create += sql.SQL("; ALTER VIEW {} OWNER TO {}").format(view.name.sql, sql.Identifier(view.owner))
    for g in grants(view.name, view.grants):
        create += sql.SQL("; ") + g.sql
    if view.comment:
        create += sql.SQL("; COMMENT ON VIEW {} IS {}").format(view.name.sql, sql.Literal(view.comment))
    drop = sql.SQL("DROP VIEW {}").format(view.name.sql)
    return [Statement(create, "the view, by its own text", view.name, AX, drop)]


def exchange_reference(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """One reference: guard off, NOT NULL, primary key, column names, index names, guard on."""
    columns, table = ref.columns, ref.table
    return [
        *(s.reversed() for s in reversed(objects.reference_guards(plan, columns, table, "forward"))),
        *_not_null(plan, ref),
        *(_drop_primary_key(i, ref.spare_primary) for i in ref.indexes if i.constraint == "p" and ref.spare_primary),
        *(rename_column(table, r.before, r.after) for r in columns.renames),
        *(s for i in ref.indexes for s in _exchange_index(table, i)),
        *objects.reference_guards(plan, columns, table, "reverse"),
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
