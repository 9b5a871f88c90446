"""Identity column, reference columns and their index equivalents as statements."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Statement
from swap.ddl.capture import generator
from swap.ddl.partitions import add_constraint, attach
from swap.plan.model import IndexPlan, Plan, RefColumns, ReferencePlan


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
    return [Statement(add, "the identity column; existing rows get their uuid in batches", plan.source, "ACCESS EXCLUSIVE", undo)]


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
    return [Statement(add, "the reference's uuid column, nullable", ref.table, "ACCESS EXCLUSIVE", undo)]


def analyze_reference(table: TableName) -> Statement:
    """After its backfill: the uuid column and the indexes over it have no statistics yet, and no gate asks for them."""
    return Statement(sql.SQL("ANALYZE {}").format(table.sql), "statistics of the uuid column", table, "SHARE UPDATE EXCLUSIVE")


def create_index(index: IndexPlan, *, concurrently: bool) -> Statement:
    """CREATE INDEX; CONCURRENTLY on tables the application uses, plainly on the shadow. An exclusion constraint builds
    its index itself."""
    if index.exclusion:
        alter = sql.SQL("ALTER TABLE {} {} CONSTRAINT {}")
        name = sql.Identifier(index.build_name)
        add = alter.format(index.table.sql, verbatim("ADD"), name) + verbatim(f" {index.tail}")
        drop = alter.format(index.table.sql, verbatim("DROP"), name)
        return Statement(add, f"equivalent of {index.app_name}", index.table, "ACCESS EXCLUSIVE", drop)
    concurrently = concurrently and not index.only
    text = sql.SQL("CREATE {}INDEX {}{}{} ON {}{} ").format(
        sql.SQL("UNIQUE " if index.unique else ""),
        sql.SQL("CONCURRENTLY " if concurrently else ""),
        sql.SQL("IF NOT EXISTS " if index.only else ""),
        sql.Identifier(index.build_name),
        sql.SQL("ONLY " if index.only else ""),
        index.table.sql,
    ) + verbatim(index.tail)
    undo = sql.SQL("DROP INDEX {}IF EXISTS {}").format(
        sql.SQL("CONCURRENTLY " if concurrently else ""), sql.Identifier(index.table.schema, index.build_name)
    )
    lock = "SHARE UPDATE EXCLUSIVE" if concurrently else "SHARE"
    why = f"equivalent of {index.app_name}" if index.app_name else "an index the exchange needs"
    return Statement(text, why, index.table, lock, undo, transactional=not concurrently)


def index_attributes(index: IndexPlan) -> list[Statement]:
    """What CREATE INDEX does not say, but for comments: statistics targets of expressions. Can be repeated."""
    on = sql.Identifier(index.table.schema, index.build_name)
    out: list[Query] = []
    if index.exclusion and index.tablespace:
        out.append(sql.SQL("ALTER INDEX {} SET TABLESPACE {}").format(on, sql.Identifier(index.tablespace)))
    for number, target in index.statistics:
        out.append(sql.SQL("ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {}").format(on, number, target))
    return [Statement(s, f"as on {index.app_name}", index.table, "SHARE UPDATE EXCLUSIVE") for s in out]


def reference_indexes(ref: ReferencePlan) -> list[IndexPlan]:
    """Every index to build on the referring table, the spare of its primary key included; of a partitioned table, on its
    partitions: what stands above them is `attach_indexes`."""
    out = [*ref.parts, *(i for i in ref.indexes if not i.adopted), *ref.compat_indexes]
    return [*(i for i in out if not i.only), *ref.spares]


def attach_indexes(ref: ReferencePlan) -> list[Statement]:
    """The indexes and unique constraints of a partitioned table over those of its partitions: instant, nothing is read. It
    has no CREATE INDEX CONCURRENTLY of its own. Those below first: each is valid as soon as all its parts are."""
    out = []
    everything = [i for i in (*ref.indexes, *ref.parts) if i.constraint != "p"]  # that one is made in the exchange
    for above in reversed([i for i in everything if i.only]):
        name = above.build_name
        out.append(add_constraint(above, name, name) if above.constraint else create_index(above, concurrently=False))
        for i in everything:
            if (i.part_of_table, i.part_of) == (above.table, above.build_name):
                if i.constraint and not i.only:
                    out.append(add_constraint(i, i.build_name, i.build_name))
                out.append(attach((above.table.schema, above.build_name), i, i.build_name))
    return out


def not_null_check(table: TableName, column: str, name: str) -> list[Statement]:
    """CHECK (column IS NOT NULL) NOT VALID, then VALIDATE: lets SET NOT NULL skip its scan inside the cutover."""
    alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
    ident = sql.Identifier(name)
    add = alter + sql.SQL("ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID").format(ident, sql.Identifier(column))
    drop = alter + sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(ident)
    validate = alter + sql.SQL("VALIDATE CONSTRAINT {}").format(ident)
    return [
        Statement(add, "what NOT NULL will rest on; not checked yet", table, "ACCESS EXCLUSIVE", drop),
        Statement(validate, "checks existing rows beside running writers", table, "SHARE UPDATE EXCLUSIVE"),
    ]


def fill_reference(
    plan: Plan, ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName | None = None
) -> sql.Composed:
    """One batch of a reference's backfill over heap blocks [low, high): by ctid, so any table will do. `heap`: the partition.

    A row updated meanwhile moves behind the bound, and the guard filled it as it moved.
    """
    update = sql.SQL(
        "UPDATE {t} r SET {u} = s.{identity} FROM {rows} s WHERE s.{key} = r.{c} AND r.{u} IS NULL"
        " AND r.ctid >= {low}::tid AND r.ctid < {high}::tid"
    ).format(
        rows=_held_rows(plan, ref, low, high, heap) if _only_by_uuid(plan, ref.columns) else plan.source.sql,
        t=(heap or ref.table).sql,
        u=sql.Identifier(ref.columns.uuid_column),
        c=sql.Identifier(ref.columns.column),
        identity=sql.Identifier(plan.identity),
        key=sql.Identifier(plan.key),
        low=low,
        high=high,
    )
    return update + _range_where(ref, low, high, heap) if ref.columns.where else update


def _only_by_uuid(plan: Plan, ref: RefColumns) -> bool:
    """A foreign key of the application's over the uuid column and none over the integer: see `_held_rows`."""
    return ref.declared and any(ref.uuid_column in fk.columns for fk in plan.catalog.incoming if fk.holder == ref.table)


def _held_rows(plan: Plan, ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName | None) -> sql.Composed:
    """The rows referred to, locked as the foreign key's own check would lock them: under session_replication_role =
    replica it does not run, and a row whose DELETE is about to commit would leave an orphan under a valid constraint
    (seen so). Where the integer has a foreign key, that one's action meets the row being filled."""
    return sql.SQL(
        "(SELECT p.{key}, p.{identity} FROM {source} p WHERE p.{key} IN (SELECT x.{c} FROM {t} x WHERE x.{u} IS NULL"
        " AND x.ctid >= {low}::tid AND x.ctid < {high}::tid) FOR KEY SHARE OF p)"
    ).format(
        key=sql.Identifier(plan.key), identity=sql.Identifier(plan.identity), source=plan.source.sql,
        c=sql.Identifier(ref.columns.column), u=sql.Identifier(ref.columns.uuid_column),
        t=(heap or ref.table).sql, low=low, high=high,
    )  # fmt: skip


def _range_where(ref: ReferencePlan, low: sql.Composable, high: sql.Composable, heap: TableName | None) -> sql.Composed:
    """The reference's `where` over the bare table, so that its column names cannot become ambiguous."""
    return sql.SQL(
        " AND r.ctid = ANY (ARRAY(SELECT ctid FROM {t} WHERE ({where}) AND ctid >= {low}::tid AND ctid < {high}::tid))"
    ).format(t=(heap or ref.table).sql, where=verbatim(ref.columns.where or "true"), low=low, high=high)


def fill_identity(plan: Plan, low: sql.Composable, high: sql.Composable) -> sql.Composed:
    """One batch of the identity's backfill over heap blocks [low, high) of the source."""
    return sql.SQL("UPDATE {t} SET {c} = {generate} WHERE ctid >= {low}::tid AND ctid < {high}::tid AND {c} IS NULL").format(
        t=plan.source.sql, c=sql.Identifier(plan.identity), generate=generator(plan), low=low, high=high
    )
