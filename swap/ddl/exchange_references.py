"""What the exchange does to the references: guards, NOT NULL, primary keys, column and index names, marks of indexes."""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from swap.core.names import derive
from swap.core.statement import AX, Statement
from swap.ddl import guards as own_triggers
from swap.ddl.compat import compat_triggers
from swap.ddl.exchange_columns import exchange_column
from swap.ddl.partitions import primary_key_statements, tree
from swap.ddl.rename import rename_column, rename_constraint, rename_index
from swap.ddl.shadow import NAMED_NOT_NULL
from swap.plan.direction import Direction
from swap.plan.model import IndexPlan, Plan, ReferencePlan


def exchange_references(plan: Plan) -> list[Statement]:
    """All references, phase by phase: NOT NULL, primary keys off, column names, indexes, guards turned.

    By phase and not by reference, because a table may have several in one primary key: the way back may drop a
    column's NOT NULL only when the key is gone.
    """
    refs = plan.references
    keys = [(r, i, r.spare_primary) for r in refs for i in r.indexes if i.constraint == "p" and r.spare_primary]
    marked = [i for r in refs for i in (*r.indexes, *r.parts) if i.clustered or i.replident]
    # A constraint trigger cannot be replaced, and a partition's triggers are the server's own copies: made anew.
    new = [r for r in refs if r.columns.deferrable or plan.catalog.table(r.table).kind == "p"]
    second = [(r.table, r.columns.compat_column, r.columns.uuid_column) for r in refs]
    return [
        *(s.reversed() for s in reversed(compat_triggers(plan, Direction.FORWARD, source=False))),
        *(
            s.reversed()
            for r in new
            for s in reversed(own_triggers.reference_guards(plan, r.columns, r.table, Direction.FORWARD))
        ),
        *(s for r in refs for s in _not_null(plan, r)),
        *(s for i in marked for s in _marks(i, off=True)),
        *(_drop_primary_key(r, index, spare) for r, index, spare in keys),
        *(rename_column(r.table, n.before, n.after) for r in refs for n in r.columns.renames),
        *(rename_column(table, compat, name) for table, compat, name in second if compat),
        *(s for r in refs for s in exchange_column(plan, r.columns)),
        *(s for r in refs for i in r.indexes for s in _exchange_index(r, i)),
        *(s for r in refs for i in r.indexes for s in _comments(i, _comment_before(plan, i))),
        *(s for r in refs for i in r.parts for s in (*_exchange_part(i), *_comments(i, None))),
        *(s for i in marked for s in _marks(i, off=False)),
        *(own_triggers.turned_guards(plan, r.columns, r.table) for r in refs if r not in new),
        *(s for r in new for s in own_triggers.reference_guards(plan, r.columns, r.table, Direction.REVERSE)),
        *compat_triggers(plan, Direction.REVERSE, source=False),
    ]


def _marks(index: IndexPlan, *, off: bool) -> list[Statement]:
    """CLUSTER mark and replica identity belong to the index that bears the application's name: taken from the one
    before the names change, given to the other after it. The same two, backwards, are the way back."""
    assert index.app_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.app_name)
    pairs = []
    if index.clustered:
        pairs.append((alter + sql.SQL("SET WITHOUT CLUSTER"), alter + sql.SQL("CLUSTER ON {}").format(name)))
    if index.replident:
        identity = alter + sql.SQL("REPLICA IDENTITY ")
        pairs.append((identity + sql.SQL("DEFAULT"), identity + sql.SQL("USING INDEX {}").format(name)))
    why = "the mark of the index"
    return [Statement(a, why, index.table, AX, b) if off else Statement(b, why, index.table, AX, a) for a, b in pairs]


def _not_null(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """NOT NULL rests on the validated check, so it scans nothing. From 18 on it is a constraint, added under the name
    that the application knows: one of the server's own making is cut in a way of its own when it is long."""
    columns, table = ref.columns, ref.table
    existing = plan.catalog.table(table).column(columns.uuid_column)
    there = existing is not None and existing.not_null
    if not columns.not_null:
        return []
    alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
    column = sql.Identifier(columns.uuid_column)
    # From 18 on a primary key makes a partition's NOT NULL its own: it does not go with the table's.
    own = (p.name for p in plan.catalog.table(table).partitions)
    dropped = (sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(t.sql, column) for t in (table, *own))
    drop = sql.SQL("; ").join(dropped)
    why = "NOT NULL, proved by the validated check"
    if plan.catalog.server_version < NAMED_NOT_NULL or not ref.not_null_name:
        add = alter + sql.SQL("ALTER COLUMN {} SET NOT NULL").format(column)
        return [] if there else [Statement(add, why, table, AX, drop)]
    aside = rename_constraint(table, ref.not_null_name, derive(f"{table.name}_{columns.legacy_column}", "_not_null"))
    if existing is not None and existing.not_null_name:
        return [aside, rename_constraint(table, existing.not_null_name, ref.not_null_name)]
    add = alter + sql.SQL("ADD CONSTRAINT {} NOT NULL {}").format(sql.Identifier(ref.not_null_name), column)
    add += _as_before(plan, ref, ref.not_null_name)
    return [aside, Statement(add, why, table, AX, drop)]


def _as_before(plan: Plan, ref: ReferencePlan, constraint: str) -> sql.Composed:
    """What else the integer's NOT NULL says (18+): a comment, NO INHERIT."""
    old = plan.catalog.table(ref.table).column(ref.columns.column)
    text = sql.Composed([])
    name = sql.Identifier(constraint)
    if old is not None and old.not_null_comment:
        text += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, ref.table.sql, sql.Literal(old.not_null_comment))
    if old is not None and not old.not_null_inherited:
        text += sql.SQL("; ALTER TABLE {} ALTER CONSTRAINT {} NO INHERIT").format(ref.table.sql, name)
    return text


def _drop_primary_key(ref: ReferencePlan, index: IndexPlan, spare: IndexPlan) -> Statement:
    """The old primary key goes; the way back makes the spare index on the integer columns the primary key again."""
    assert index.app_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.app_name)
    if index.only:
        parts = tree(ref, index)
        back = [s.sql for s in primary_key_statements(parts, (spare, *ref.spare_parts))]
    else:
        parts = [index]
        back = [alter + sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(name, sql.Identifier(spare.build_name))]
    comments = (s.sql for i in parts for s in _comments(i, None))
    return Statement(
        alter + sql.SQL("DROP CONSTRAINT {}").format(name), "the primary key moves to the uuid column", index.table, AX,
        sql.SQL("; ").join([*back, *comments]),
    )  # fmt: skip


def _comments(index: IndexPlan, before: str | None) -> list[Statement]:
    """On the index that bears the application's name; the one it replaced keeps its own. `before`: an adopted index's."""
    assert index.app_name is not None
    on_index = sql.SQL("INDEX {}").format(sql.Identifier(index.table.schema, index.app_name))
    on_constraint = sql.SQL("CONSTRAINT {} ON {}").format(sql.Identifier(index.app_name), index.table.sql)
    texts = [(on_index, index.comment, before), (on_constraint, index.constraint_comment, None)]
    comment = sql.SQL("COMMENT ON {} IS {}")
    return [
        Statement(
            comment.format(on, sql.Literal(text)), "the comment", index.table, "", comment.format(on, sql.Literal(undo))
        )
        for on, text, undo in texts
        if text
    ]  # fmt: skip


def _comment_before(plan: Plan, index: IndexPlan) -> str | None:
    """What was said of an index of the application's own that is adopted."""
    indexes = plan.catalog.table(index.table).indexes
    return next((i.comment or None for i in indexes if i.name == index.build_name), None)


def _exchange_index(ref: ReferencePlan, index: IndexPlan) -> list[Statement]:
    if index.constraint != "p":
        return _exchange_names(index)
    assert index.app_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.app_name)
    drop = alter + sql.SQL("DROP CONSTRAINT {}").format(name)
    if index.only:
        parts = tree(ref, index)
        made = [s.sql for s in primary_key_statements(parts, parts)]
        return [Statement(sql.SQL("; ").join(made), "the partitions' indexes exist; no scan", index.table, AX, drop)]
    add = alter + sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(name, sql.Identifier(index.build_name))
    return [Statement(add, "the index exists; no scan", index.table, AX, drop)]


def _exchange_part(index: IndexPlan) -> list[Statement]:
    """A partition's; its primary key is a part of the table's, made with that one."""
    return [] if index.constraint == "p" else [replace(s, table=index.table) for s in _exchange_names(index)]


def _exchange_names(index: IndexPlan) -> list[Statement]:
    assert index.app_name is not None
    assert index.aside_name is not None
    names = [(index.app_name, index.aside_name), (index.build_name, index.app_name)]
    if index.constraint == "u":
        return [rename_constraint(index.table, before, after) for before, after in names]
    return [rename_index(index.table.schema, before, after) for before, after in names]
