"""Indexes before the exchange: swap builds them beside the application's own, under temporary names.

On the shadow it builds them plainly, on tables that the application uses CONCURRENTLY. swap.ddl.index_exchange has what
the exchange does with them, swap.ddl.partitions what a partitioned table needs in addition.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.ddl.partitions import add_constraint, attach
from swap.ddl.statistics import statistics_of
from swap.plan.model import IndexPlan, PartOf, Plan, ReferencePlan, SwappedTable


def create_index(index: IndexPlan, *, concurrently: bool) -> Statement:
    """CREATE INDEX; CONCURRENTLY on tables that the application uses, plainly on the shadow.

    An exclusion constraint builds its own index.
    """
    label = part(index.table, index.build_name)
    if index.as_constraint:
        alter = sql.SQL("ALTER TABLE {} {} CONSTRAINT {}")
        name = sql.Identifier(index.build_name)
        add = alter.format(index.table.sql, verbatim("ADD"), name) + verbatim(f" {index.definition}")
        drop = alter.format(index.table.sql, verbatim("DROP"), name)
        why = f"equivalent of {index.final_name}"
        return Statement(add, why, index.table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label, path=index.path)
    concurrently = concurrently and not index.on_only
    text = sql.SQL("CREATE {}INDEX {}{}{} ON {}{} ").format(
        sql.SQL("UNIQUE " if index.unique else ""),
        sql.SQL("CONCURRENTLY " if concurrently else ""),
        sql.SQL("IF NOT EXISTS " if index.on_only else ""),
        sql.Identifier(index.build_name),
        sql.SQL("ONLY " if index.on_only else ""),
        index.table.sql,
    ) + verbatim(index.definition)
    undo = sql.SQL("DROP INDEX {}IF EXISTS {}").format(
        sql.SQL("CONCURRENTLY " if concurrently else ""), sql.Identifier(index.table.schema, index.build_name)
    )
    lock = "SHARE UPDATE EXCLUSIVE" if concurrently else "SHARE"
    why = f"equivalent of {index.final_name}" if index.final_name else "an index the exchange needs"
    return Statement(
        text, why, index.table, lock, undo, transactional=not concurrently, kind=Kind.INDEX, verb=Verb.CREATE, object=label,
        path=index.path,
    )  # fmt: skip


def index_attributes(index: IndexPlan) -> list[Statement]:
    """Set what CREATE INDEX does not say, comments apart: statistics targets, a constraint's tablespace. Can be repeated."""
    on = sql.Identifier(index.table.schema, index.build_name)
    out: list[Query] = []
    if index.as_constraint and index.attributes.tablespace:
        out.append(sql.SQL("ALTER INDEX {} SET TABLESPACE {}").format(on, sql.Identifier(index.attributes.tablespace)))
    for number, target in index.attributes.statistics:
        out.append(sql.SQL("ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {}").format(on, number, target))
    return [Statement(s, f"as on {index.final_name}", index.table, "SHARE UPDATE EXCLUSIVE", kind=Kind.INDEX) for s in out]


def reference_indexes(ref: ReferencePlan) -> list[IndexPlan]:
    """Every index to build for a reference, the spare indexes of its primary key included.

    Of a partitioned table these are the indexes of its partitions. `attach_indexes` makes the ones above them.
    """
    out = [*ref.parts, *(i for i in ref.indexes if not i.adopted), *ref.compat_indexes]
    return [*(i for i in out if not i.on_only), *ref.spares]


def attach_indexes(ref: ReferencePlan) -> list[Statement]:
    """Make the indexes and unique constraints of a partitioned table out of those of its partitions, and those that a partition has of
    its own.

    Instant: the server reads nothing. A partitioned table has no CREATE INDEX CONCURRENTLY of its own. Lower levels come
    first: an index is valid as soon as all its parts are.
    """
    out = []
    everything = [
        i for i in (*ref.indexes, *ref.parts, *ref.compat_indexes) if not i.is_primary
    ]  # the exchange makes the primary key
    for above in reversed([i for i in everything if i.on_only]):
        name = above.build_name
        out.append(add_constraint(above, name, name) if above.constraint else create_index(above, concurrently=False))
        for i in everything:
            if i.part_of == PartOf(above.table, above.build_name):
                if i.constraint and not i.on_only:
                    out.append(add_constraint(i, i.build_name, i.build_name))
                out.append(attach((above.table.schema, above.build_name), i, i.build_name))
    own = (i for i in ref.parts if not i.part_of and not i.on_only and i.is_unique_constraint)
    return [*out, *(add_constraint(i, i.build_name, i.build_name) for i in own)]


def shadow_indexes(plan: Plan, t: SwappedTable) -> list[IndexPlan]:
    """Every index of a shadow but the one that replay needs, largest first."""
    size = {i.name: i.size_bytes for h in (plan.table_of(t), *plan.table_of(t).partitions) for i in h.indexes}
    pair = (t.pair_index,) if t.pair_index else ()
    return sorted(
        (*pair, *(i for i in (*t.indexes, *t.parts) if i.final_name and not i.on_only and i != t.key_index)),
        key=lambda i: (-size.get(i.final_name or "", 0), i.build_name),
    )


def constraint_statements(index: IndexPlan) -> list[Statement]:
    """Add the constraint that an index backs, and its comment. An exclusion constraint is there already, and so is one of a partitioned
    table."""
    alter = sql.SQL("ALTER TABLE {} ").format(index.table.sql)
    name = sql.Identifier(index.build_name)
    out: list[Query] = []
    joined = index.on_only or index.part_of is not None
    if index.constraint is not None and (index.is_primary or index.is_unique_constraint) and not (index.as_constraint or joined):
        kind = "PRIMARY KEY" if index.is_primary else "UNIQUE"
        add = sql.SQL("ADD CONSTRAINT {} {} USING INDEX {}").format(name, verbatim(kind), name)
        out.append(alter + add + verbatim(index.constraint.timing))
    if index.constraint and index.constraint.comment:
        comment = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
        out.append(comment.format(name, index.table.sql, sql.Literal(index.constraint.comment)))
    why, label = f"as on {index.final_name}", part(index.table, index.build_name)
    return [Statement(s, why, index.table, AX, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label) for s in out]


def shadow_marks(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Mark the index that CLUSTER uses, and set what identifies a row in the write-ahead log (H30)."""
    alter = sql.SQL("ALTER TABLE {} ").format(t.shadow.sql)
    marks = [sql.SQL("CLUSTER ON {}").format(sql.Identifier(i.build_name)) for i in t.indexes if i.attributes.clustered]
    kind = plan.table_of(t).replident
    if kind in "fn":
        marks.append(sql.SQL("REPLICA IDENTITY FULL" if kind == "f" else "REPLICA IDENTITY NOTHING").format())
    elif kind == "d" and publishable(plan, t):
        marks.append(sql.SQL("REPLICA IDENTITY DEFAULT").format())
    marks += [
        sql.SQL("REPLICA IDENTITY USING INDEX {}").format(sql.Identifier(i.build_name))
        for i in t.indexes
        if i.attributes.replica_identity
    ]
    return [Statement(alter + m, "as on the source", t.shadow, AX, kind=Kind.MARK) for m in marks]


def publishable(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Give a shadow a replica identity if a publication includes it already.

    A publication of all tables or of the schema does. There an UPDATE of a table without replica identity fails (H17). The
    index of its key serves until there is a primary key.
    """
    if all(p.kind == "table" for p in plan.table_of(t).publications):
        return []
    name = sql.Identifier(t.key_index.build_name)
    identity = sql.SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}").format(t.shadow.sql, name)
    return [Statement(identity, "replay may update what is published", t.shadow, AX, kind=Kind.MARK)]


def rename_index(schema: str, before: str, after: str) -> Statement:
    """Rename an index of `schema`."""
    there, back = (
        sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(schema, a), sql.Identifier(b))
        for a, b in ((before, after), (after, before))
    )
    return Statement(there, "index name", None, "", back, kind=Kind.INDEX)


def shadow_constraints(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Add everything that rests on the shadow's finished indexes."""
    return [
        *(s for i in (*t.indexes, *t.parts) for s in constraint_statements(i)),
        *(_comment(i) for i in (*t.indexes, *t.parts) if i.attributes.comment),
        *shadow_marks(plan, t),
        *statistics_of(plan, t.name),
    ]


def _comment(index: IndexPlan) -> Statement:
    name = sql.Identifier(index.table.schema, index.build_name)
    text = sql.SQL("COMMENT ON INDEX {} IS {}").format(name, sql.Literal(index.attributes.comment))
    return Statement(text, f"as on {index.final_name}", index.table, "SHARE UPDATE EXCLUSIVE", kind=Kind.COMMENT)
