"""NOT NULL of the uuid columns.

A CHECK that is validated beside running writers comes first, so that SET NOT NULL scans nothing. For the proof the server simplifies
every CHECK of the table: it puts the bodies of SQL functions in the place of their calls, and reads them by the search_path.
A reference's uuid is required from the exchange on and not before: until then a row may wait for its parent (swap.ddl.pairs), and so
may its integer after it.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.meaning import together
from swap.catalog.model import Table
from swap.core.names import TableName, derive
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Step, Verb, part
from swap.ddl.columns import NAMED_NOT_NULL
from swap.ddl.rename import rename_constraint
from swap.plan.direction import Direction
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


def required_by_index(plan: Plan, ref: ReferencePlan) -> bool:
    """Whether a primary key or a replica identity holds the column: the server wants NOT NULL there when the exchange makes it.

    Such a column gets its CHECK right before the exchange (`key_checks`), any other one its NOT NULL after it. A check that is there
    for longer would fail statements of the application's: the guard leaves NULL what it does not see yet.
    """
    table = plan.catalog.table(ref.table)
    indexes = (i for name in (table.name, *(p.name for p in table.partitions)) for i in plan.catalog.table(name).indexes)
    return any((i.primary or i.replident) and ref.columns.column in i.columns for i in indexes)


def integer_check_name(ref: ReferencePlan) -> str:
    """The name of the CHECK over the integer, on the way back."""
    return derive(f"swap_{ref.columns.number}_{ref.columns.legacy_column}", "_present")


def key_checks(plan: Plan, direction: Direction) -> list[tuple[ReferencePlan, str, tuple[Statement, Statement]]]:
    """The references whose column needs a CHECK before the exchange that leads away from `direction`, its name, and the two
    statements that add and validate it."""
    out = []
    for ref in plan.references:
        if ref.columns.not_null and required_by_index(plan, ref):
            ahead = direction is Direction.FORWARD
            column, name = (
                (ref.columns.uuid_column, ref.check_name) if ahead else (ref.columns.legacy_column, integer_check_name(ref))
            )
            add, validate = not_null_check(ref.table, column, name)
            out.append((ref, name, (add, validate)))
    return out


def either_name(ref: ReferencePlan) -> str:
    """The name of the CHECK that takes the place of a companion's NOT NULL."""
    return derive(f"{ref.table.name}_{ref.columns.column}", "_or_uuid")


def may_be_empty(plan: Plan, ref: ReferencePlan) -> bool:
    """Whether the integer of a companion, which is NOT NULL, may be NULL after the exchange, beside a uuid."""
    column = plan.catalog.table(ref.table).column(ref.columns.column)
    return ref.columns.companion and column is not None and column.not_null and not required_by_index(plan, ref)


def _either(ref: ReferencePlan) -> Statement:
    """A row whose uuid names nobody that the guard sees has no integer. Any other row needs one, as before."""
    alter, name = sql.SQL("ALTER TABLE {} ").format(ref.table.sql), sql.Identifier(either_name(ref))
    add = sql.SQL("ADD CONSTRAINT {} CHECK ({c} IS NOT NULL OR {u} IS NOT NULL AND ({where}) IS TRUE) NOT VALID").format(
        name, c=sql.Identifier(ref.columns.column), u=sql.Identifier(ref.columns.uuid_column),
        where=verbatim(ref.columns.where or "true"),
    )  # fmt: skip
    drop = alter + sql.SQL("DROP CONSTRAINT {}").format(name)
    why, label = "the integer may be empty beside a uuid, and nowhere else", part(ref.table, either_name(ref))
    return Statement(alter + add, why, ref.table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label)


def integer_not_required(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """The integer follows after the exchange, so it may be NULL until its row is there. The way back requires it again."""
    if may_be_empty(plan, ref):
        return [*_required(plan, ref, ref.columns.column, integer_check_name(ref), reverse=True), _either(ref)]
    if not ref.columns.not_null:
        return []
    if _key_stays(plan, ref):
        named = ref.not_null_name and plan.catalog.server_version >= NAMED_NOT_NULL
        aside = derive(f"{ref.table.name}_{ref.columns.legacy_column}", "_not_null")
        return [rename_constraint(ref.table, str(ref.not_null_name), aside)] if named else []
    return _required(plan, ref, ref.columns.column, integer_check_name(ref), reverse=True)


def _key_stays(plan: Plan, ref: ReferencePlan) -> bool:
    """Whether the integer stays in a primary key: one WITHOUT OVERLAPS cannot be built beside writers, and goes on over it."""
    primary = plan.catalog.table(ref.table).primary_key
    rebuilt = (i for r in plan.references if r.table == ref.table for i in r.indexes)
    return primary is not None and ref.columns.column in primary.columns and not any(i.is_primary for i in rebuilt)


def uuid_required(plan: Plan, ref: ReferencePlan) -> list[Statement]:
    """Require the uuid, under the name that the constraint of the integer had.

    New rows are checked at once, those that are there after the commit (`pending_not_null`): the exchange scans nothing.
    """
    columns, table = ref.columns, ref.table
    existing = plan.catalog.table(table).column(columns.uuid_column)
    if not columns.not_null:
        return []
    if existing is not None and existing.not_null:
        named = existing.not_null_name and ref.not_null_name and plan.catalog.server_version >= NAMED_NOT_NULL
        named = named and not _own_names(
            plan, ref, columns.uuid_column
        )  # the server renames a table's and its partitions' together
        return [rename_constraint(table, str(existing.not_null_name), str(ref.not_null_name))] if named else []
    return _required(plan, ref, columns.uuid_column, ref.check_name)


def _required(plan: Plan, ref: ReferencePlan, column: str, check: str, *, reverse: bool = False) -> list[Statement]:
    """Require `column`, with the undo; or the other way round."""
    table = ref.table
    alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
    ident, name = sql.Identifier(column), sql.Identifier(check)
    drop_check = alter + sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(name)
    proved = required_by_index(plan, ref)
    if plan.catalog.server_version >= NAMED_NOT_NULL and ref.not_null_name:
        # A partition's own comes first: the table's then takes it over under its name. (A dump of 17 restored has one for each.)
        own = _own_names(plan, ref, ref.columns.column)
        add = sql.SQL("; ").join(
            _named(on, name, ident, proved=proved) for on, name in [*reversed(own.items()), (table, ref.not_null_name)]
        )
        add += _as_before(plan, ref, ref.not_null_name)
        label = part(table, ref.not_null_name)
    elif proved:
        add, label = alter + sql.SQL("ALTER COLUMN {} SET NOT NULL").format(ident), None
    else:
        add, label = alter + sql.SQL("ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID").format(name, ident), part(table, check)
    if proved:
        add += sql.SQL("; ") + drop_check
    # From 18 on a primary key gives each partition a NOT NULL of its own, which DROP NOT NULL on the table leaves.
    below = (p.name for p in plan.catalog.table(table).partitions)
    dropped = (sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(t.sql, ident) for t in (table, *below))
    drop = sql.SQL("; ").join([drop_check, *dropped])
    why = (
        "NOT NULL, proved by the validated check" if proved else "required from now on; the rows that are there are checked later"
    )
    path = _path(plan.catalog.table(table)) if proved else ()
    if reverse:
        why = "follows from now on: it may be NULL until its row is there"
        return [Statement(drop, why, table, AX, add, kind=Kind.NOT_NULL, verb=Verb.DROP, path=path)]
    if label is None:
        return [Statement(add, why, table, AX, drop, kind=Kind.NOT_NULL, path=path)]
    return [Statement(add, why, table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=label, path=path)]


def _own_names(plan: Plan, ref: ReferencePlan, column: str) -> dict[TableName, str]:
    """The partitions whose NOT NULL of `column` has another name than the table's, upper levels first (18 and later)."""
    table = plan.catalog.table(ref.table)
    whole = table.column(column)
    own = ((p.name, c.not_null_name) for p in table.partitions if (c := p.column(column)) is not None)
    return {on: name for on, name in own if name and whole is not None and name != whole.not_null_name}


def _named(table: TableName, name: str, column: sql.Identifier, *, proved: bool) -> sql.Composed:
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} NOT NULL {}").format(table.sql, sql.Identifier(name), column)
    return add + sql.SQL("" if proved else " NOT VALID")


def pending_not_null(plan: Plan) -> list[tuple[ReferencePlan, str, Statement, Statement | None]]:
    """What an exchange leaves to be done for each reference that it requires: the name of its constraint, the statement that checks
    the rows that are there, and on servers without named NOT NULLs the one that puts NOT NULL in the check's place. After a cutover
    and after a revert the column has the same name; the check's says which one it is."""
    out = []
    for ref in plan.references:
        companion = may_be_empty(plan, ref)
        if not companion and (not ref.columns.not_null or required_by_index(plan, ref)):
            continue
        alter = sql.SQL("ALTER TABLE {} ").format(ref.table.sql)
        path = _path(plan.catalog.table(ref.table))
        named = plan.catalog.server_version >= NAMED_NOT_NULL and ref.not_null_name
        back = ref.not_null_name if named else integer_check_name(ref)
        there = [either_name(ref)] if companion else [] if named else [ref.check_name]
        for name in (*there, back):
            assert name is not None
            label = part(ref.table, name)
            validate = Statement(
                alter + sql.SQL("VALIDATE CONSTRAINT {}").format(sql.Identifier(name)),
                "every row, beside running writers", ref.table, "SHARE UPDATE EXCLUSIVE", kind=Kind.CONSTRAINT, object=label,
            )  # fmt: skip
            set_ = None
            if not named and name != either_name(ref):
                text = alter + sql.SQL("ALTER COLUMN {} SET NOT NULL, DROP CONSTRAINT {}").format(
                    sql.Identifier(ref.columns.column), sql.Identifier(name)
                )
                set_ = Statement(text, "NOT NULL, proved by the check; no scan", ref.table, AX, kind=Kind.NOT_NULL, path=path)
            out.append((ref, name, validate, set_))
    return out


def _path(table: Table) -> tuple[str, ...]:
    return together(c.meaning for c in table.checks).path


def _as_before(plan: Plan, ref: ReferencePlan, constraint: str) -> sql.Composed:
    """What else the integer's NOT NULL says (18 and later): a comment, NO INHERIT."""
    old = plan.catalog.table(ref.table).column(ref.columns.column)
    text = sql.Composed([])
    name = sql.Identifier(constraint)
    if old is not None and old.not_null_comment:
        text += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, ref.table.sql, sql.Literal(old.not_null_comment))
    for p in plan.catalog.table(ref.table).partitions:
        own = p.column(ref.columns.column)
        if own is not None and own.not_null_comment and own.not_null_name:
            on = sql.Identifier(own.not_null_name)
            text += sql.SQL("; COMMENT ON CONSTRAINT {} ON {} IS {}").format(on, p.name.sql, sql.Literal(own.not_null_comment))
    if old is not None and not old.not_null_inherited:
        text += sql.SQL("; ALTER TABLE {} ALTER CONSTRAINT {} NO INHERIT").format(ref.table.sql, name)
    return text
