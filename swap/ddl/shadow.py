"""The shadow of a swapped table: its columns under their old names, and a uuid column for each key that changes.

It has no index, foreign key, user trigger, policy or grant. Creating it takes no lock on the source: everything comes
from the catalog that was already read.

The integer key has no default here: the guard gives a row created after the cutover its legacy key. The server would
evaluate a default with the writer's own privileges, and a role that always supplied its keys has none on the sequence
(H31).
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.meaning import together
from swap.catalog.model import Column, Table
from swap.core.names import derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.columns import COMPRESSION, STORAGE, column_definition, not_null_constraint, parameters
from swap.ddl.keys import generator
from swap.ddl.partitioned import create_partitions
from swap.ddl.security_labels import shadow_labels
from swap.plan.model import Plan, SwappedTable


def create_shadow(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Create the empty shadow with everything that belongs to it. Undo: DROP TABLE."""
    table, shadow = plan.table_of(t), t.shadow
    parts = _columns(plan, t)
    if t.is_source and plan.compat_column:
        parts.append(sql.SQL("{} uuid NOT NULL").format(sql.Identifier(plan.compat_column)))
    parts += [sql.SQL("{} uuid").format(sql.Identifier(r.compat_column)) for r in t.references if r.compat_column]
    parts += [
        sql.SQL("CONSTRAINT {} ").format(sql.Identifier(c.name)) + verbatim(c.definition) for c in table.checks if c.validated
    ]
    create = sql.SQL("CREATE TABLE {} ({})").format(shadow.sql, sql.SQL(", ").join(parts))
    if t.partitioned:
        create += verbatim(f" PARTITION BY {t.partition_key}")
    if table.access_method not in ("", "heap"):
        create += sql.SQL(" USING {}").format(sql.Identifier(table.access_method))
    if options := (*table.options, *(f"toast.{o}" for o in table.toast_options)):
        create += sql.SQL(" WITH ({})").format(parameters(options))
    if table.tablespace:
        create += sql.SQL(" TABLESPACE {}").format(sql.Identifier(table.tablespace))
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(shadow.sql)
    why = "the shadow table, empty and without indexes"
    path = together([*(c.meaning for c in table.columns), *(c.meaning for c in table.checks)]).path
    out = [Statement(create, why, shadow, "", drop, kind=Kind.TABLE, verb=Verb.CREATE, path=path)]
    out += create_partitions(plan, t)  # before what the server passes on to them
    out += [Statement(s, why, shadow, kind=Kind.TABLE) for s, why in _attributes(plan, t)]
    out += shadow_labels(plan, t, _taken_names(plan, t))
    why = "no grant before the cutover, whatever the default privileges say"
    return [*out, Statement(bare_acl(shadow), why, shadow, kind=Kind.GRANT)]


def _columns(plan: Plan, t: SwappedTable) -> list[Query]:
    """Every column of the table. A uuid column that it does not have stands in the place of the integer whose name it will take,
    and that integer comes last: so each name keeps its place, for `SELECT *` and for an INSERT or COPY without a column list."""
    table = plan.table_of(t)
    added = {integer: uuid for uuid, integer in _taken_names(plan, t).items() if table.column(uuid) is None}
    first: list[Query] = []
    last: list[Query] = []
    for c in table.columns:
        uuid = added.get(c.name)
        if uuid is None:
            first.append(_column(plan, t, c))
            continue
        is_key = t.is_source and uuid == plan.identity
        default = generator(plan) if is_key and not plan.compat_column else None
        first.append(_uuid_column(plan, table, uuid, c.name, default, not_null=is_key))
        last.append(_column(plan, t, c))
    return [*first, *last]


def _column(plan: Plan, t: SwappedTable, c: Column) -> Query:
    """A legacy integer of a table with references is nullable: after the cutover the uuid beside it says what it was."""
    if t.is_source:
        required = c.not_null or c.name in (plan.key, plan.identity)
    else:
        required = c.not_null and c.name not in {r.column for r in t.references}
    not_null = _not_null(plan, _not_null_name(plan, t, c), c) if required else None
    return column_definition(
        c.name, c.type, collation=c.collation, generated=c.generated, default=_default(plan, t, c), not_null=not_null
    )


def _default(plan: Plan, t: SwappedTable, c: Column) -> Query | None:
    """The column's default, or the expression of a generated column. The source's integer key has none: see above."""
    if t.is_source and c.name == plan.identity and not c.generated:
        # It becomes the key: an INSERT without one must go on working. With a compat column a trigger gives the key.
        return None if plan.compat_column else generator(plan)
    if t.is_source and c.name == plan.key and not c.generated:
        return None
    if c.name in {r.column for r in t.references} and not c.generated:
        return None  # the uuid has it (swap.ddl.defaults)
    return verbatim(c.default) if c.default else None


def _not_null_name(plan: Plan, t: SwappedTable, c: Column) -> str | None:
    """The name that the NOT NULL should have after the cutover, when the column has another name."""
    name = t.name.name
    if t.is_source and c.name == plan.key:
        return derive(f"{name}_{plan.legacy_key}", "_not_null")
    if t.is_source and c.name == plan.identity:
        key = plan.source_table.column(plan.key)
        return key.not_null_name if key else None
    for ref in t.references:
        if c.name == ref.column:
            return derive(f"{name}_{ref.legacy_column}", "_not_null")
    return c.not_null_name


def _not_null(plan: Plan, name: str | None, like: Column | None) -> Query:
    return not_null_constraint(plan.catalog.server_version, name, inherited=like is None or like.not_null_inherited)


def _uuid_column(plan: Plan, table: Table, name: str, replaces: str, default: Query | None, *, not_null: bool) -> Query:
    old = table.column(replaces)
    required = not_null or bool(old and old.not_null)
    constraint = _not_null(plan, old.not_null_name if old else None, old) if required else None
    return column_definition(name, "uuid", default=default, not_null=constraint)


def _attributes(plan: Plan, t: SwappedTable) -> list[tuple[Query, str]]:
    """What CREATE TABLE does not say: owner, storage, statistics targets, options, comments, row security."""
    table, name = plan.table_of(t), t.shadow.sql
    alter = sql.SQL("ALTER TABLE {} ").format(name)
    out: list[tuple[Query, str]] = []
    if table.owner != plan.catalog.role:
        out.append((alter + sql.SQL("OWNER TO {}").format(sql.Identifier(table.owner)), "same owner"))
    for c in table.columns:
        column = alter + sql.SQL("ALTER COLUMN {} ").format(sql.Identifier(c.name))
        if c.storage:
            out.append((column + verbatim(f"SET STORAGE {STORAGE[c.storage]}"), "same storage"))
        if c.compression:
            out.append((column + verbatim(f"SET COMPRESSION {COMPRESSION[c.compression]}"), "same compression"))
    out += [(alter + s, "same statistics target") for s in _statistics(plan, t)]
    for column_name, options in column_options(plan, t).items():
        column = sql.SQL("ALTER COLUMN {} SET ({})").format(sql.Identifier(column_name), parameters(options))
        out.append((alter + column, "same attribute options"))
    for column_name, text in column_comments(plan, t).items():
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(name, sql.Identifier(column_name), sql.Literal(text))
        out.append((comment, "same comment"))
    for constraint, text in _not_null_comments(plan, t).items():
        on = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
        out.append((on.format(sql.Identifier(constraint), name, sql.Literal(text)), "same comment"))
    if table.comment:
        out.append((sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(table.comment)), "same comment"))
    for check in table.checks:
        if check.validated and check.comment:
            on = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
            out.append((on.format(sql.Identifier(check.name), name, sql.Literal(check.comment)), "same comment"))
    if table.rls:
        out.append((alter + sql.SQL("ENABLE ROW LEVEL SECURITY"), "row security as on the source"))
    if table.force_rls:
        out.append((alter + sql.SQL("FORCE ROW LEVEL SECURITY"), "row security as on the source"))
    return out


def _taken_names(plan: Plan, t: SwappedTable) -> dict[str, str]:
    """Each uuid column, and the integer column whose name it takes in the cutover."""
    key = {plan.identity: plan.key} if t.is_source else {}
    return {**key, **{r.uuid_column: r.column for r in t.references}}


def column_targets(plan: Plan, t: SwappedTable) -> dict[str, int]:
    """Statistics targets by column. A uuid column without one gets the target of the integer whose name it takes."""
    targets = {c.name: c.statistics for c in plan.table_of(t).columns}
    for uuid, integer in _taken_names(plan, t).items():
        targets[uuid] = targets.get(uuid) if targets.get(uuid) is not None else targets[integer]
    return {name: target for name, target in targets.items() if target is not None}


def _statistics(plan: Plan, t: SwappedTable) -> list[Query]:
    set_ = sql.SQL("ALTER COLUMN {} SET STATISTICS {}")
    return [set_.format(sql.Identifier(name), target) for name, target in column_targets(plan, t).items()]


def column_options(plan: Plan, t: SwappedTable) -> dict[str, tuple[str, ...]]:
    """Attribute options (the number of distinct values). A uuid column gets those of the integer whose name it takes."""
    options = {c.name: c.options for c in plan.table_of(t).columns if c.options}
    return {u: options[i] for u, i in _taken_names(plan, t).items() if i in options} | options


def _not_null_comments(plan: Plan, t: SwappedTable) -> dict[str, str]:
    """Comments on NOT NULL constraints (18 and later), by the name that the constraint has here."""
    columns = {c.name: c for c in plan.table_of(t).columns}
    nullable = set() if t.is_source else {r.column for r in t.references}
    named = [(_not_null_name(plan, t, c), c.not_null_comment) for c in columns.values() if c.name not in nullable]
    added = (columns[i] for u, i in _taken_names(plan, t).items() if u not in columns)
    named += [(c.not_null_name, c.not_null_comment) for c in added]
    return {name: comment for name, comment in named if name and comment}


def column_comments(plan: Plan, t: SwappedTable) -> dict[str, str]:
    """Comments by column. After the cutover each name still has its comment, and the integers keep theirs."""
    comments = {c.name: c.comment for c in plan.table_of(t).columns if c.comment}
    return comments | {uuid: comments[integer] for uuid, integer in _taken_names(plan, t).items() if integer in comments}
