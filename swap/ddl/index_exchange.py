"""The exchange of the references' indexes: names, primary keys, comments and marks. It builds and reads no index."""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from swap.core.sql_text import Query
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.ddl.indexes import rename_index
from swap.ddl.partitions import primary_key_statements, tree
from swap.ddl.rename import rename_constraint
from swap.plan.model import IndexPlan, Plan, ReferencePlan


def exchange_marks(index: IndexPlan, *, off: bool) -> list[Statement]:
    """Move the CLUSTER mark and the replica identity to the index that takes over the application's name.

    Take them from the old index before the names change (`off`), and give them to the new one afterwards. The way back does
    the same in reverse order.
    """
    assert index.final_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.final_name)
    pairs = []
    if index.attributes.clustered:
        pairs.append((alter + sql.SQL("SET WITHOUT CLUSTER"), alter + sql.SQL("CLUSTER ON {}").format(name)))
    if index.attributes.replica_identity:
        identity = alter + sql.SQL("REPLICA IDENTITY ")
        pairs.append((identity + sql.SQL("DEFAULT"), identity + sql.SQL("USING INDEX {}").format(name)))
    why = "the mark of the index"
    return [
        Statement(a, why, index.table, AX, b, kind=Kind.MARK) if off else Statement(b, why, index.table, AX, a, kind=Kind.MARK)
        for a, b in pairs
    ]


def drop_primary_key(ref: ReferencePlan, index: IndexPlan, spare: IndexPlan) -> Statement:
    """Drop the old primary key. The undo makes the spare index on the integer columns the primary key again."""
    assert index.final_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.final_name)
    if index.on_only:
        parts = tree(ref, index)
        back = [s.sql for s in primary_key_statements(parts, (spare, *ref.spare_parts))]
    else:
        parts = [index]
        back = [alter + sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(name, sql.Identifier(spare.build_name))]
    comments = (s.sql for i in parts for s in index_comments(i, None))
    drop, undo = alter + sql.SQL("DROP CONSTRAINT {}").format(name), sql.SQL("; ").join([*back, *comments])
    why, label = "the primary key moves to the uuid column", part(index.table, index.final_name)
    return Statement(drop, why, index.table, AX, undo, kind=Kind.CONSTRAINT, verb=Verb.DROP, object=label)


def index_comments(index: IndexPlan, before: str | None) -> list[Statement]:
    """Comment on the index that has the application's name. The index that it replaced keeps its own comment.

    `before`: the comment of an adopted index, for the undo.
    """
    assert index.final_name is not None
    on_index = sql.SQL("INDEX {}").format(sql.Identifier(index.table.schema, index.final_name))
    on_constraint = sql.SQL("CONSTRAINT {} ON {}").format(sql.Identifier(index.final_name), index.table.sql)
    texts = [
        (on_index, index.attributes.comment, before),
        (on_constraint, index.constraint.comment if index.constraint else "", None),
    ]

    def comment(on: Query, text: str | None) -> Query:
        return sql.SQL("COMMENT ON {} IS {}").format(on, sql.Literal(text))

    return [
        Statement(comment(on, text), "the comment", index.table, "", comment(on, undo), kind=Kind.COMMENT)
        for on, text, undo in texts
        if text
    ]


def comment_before(plan: Plan, index: IndexPlan) -> str | None:
    """The comment of the application's own index, where the plan adopts one."""
    indexes = plan.catalog.table(index.table).indexes
    return next((i.comment or None for i in indexes if i.name == index.build_name), None)


def exchange_index(ref: ReferencePlan, index: IndexPlan) -> list[Statement]:
    """Exchange the names of a reference's index. A primary key is made over the finished index instead."""
    if not index.is_primary:
        return _exchange_names(index)
    assert index.final_name is not None
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.final_name)
    drop = alter + sql.SQL("DROP CONSTRAINT {}").format(name)
    add = alter + sql.SQL("ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}").format(name, sql.Identifier(index.build_name))
    why = "the index exists; no scan"
    if index.on_only:
        parts = tree(ref, index)
        add = sql.SQL("; ").join(s.sql for s in primary_key_statements(parts, parts))
        why = "the partitions' indexes exist; no scan"
    label = part(index.table, index.final_name)
    return [Statement(add, why, index.table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label)]


def exchange_part(index: IndexPlan) -> list[Statement]:
    """Exchange the names of a partition's index. Its primary key is a part of the table's, and is made with that key."""
    return [] if index.is_primary else [replace(s, table=index.table) for s in _exchange_names(index)]


def _exchange_names(index: IndexPlan) -> list[Statement]:
    final, retired = index.names
    names = [(final, retired), (index.build_name, final)]
    if index.is_unique_constraint:
        return [rename_constraint(index.table, before, after) for before, after in names]
    return [rename_index(index.table.schema, before, after) for before, after in names]
