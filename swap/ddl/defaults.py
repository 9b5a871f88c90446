"""Defaults of references, and those that [[default]] gives.

The default of a reference is an integer. After the cutover the column of that name is a uuid, so its default is the uuid of what the
old expression gives: `DEFAULT lookup((current_setting('app.user'))::bigint)`. The expression itself runs as before, with the rights of
whoever writes the row. Only the look-up is a function of swap's, SECURITY DEFINER, which the table's writers may execute. It tells them
nothing new: who may INSERT may write the integer beside the uuid and read what the guard has found.

The integer has no default after the cutover: it would contradict a uuid that is written.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Column, Table
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.ddl.key_mapping import resolver
from swap.plan.lookups import lookups
from swap.plan.model import Plan, RefColumns
from swap.plan.texts import DEFAULT

WHY = "a default of the application's, by the mapping"


def carried(plan: Plan) -> list[tuple[RefColumns, Column]]:
    """The references whose default is looked up after the cutover. An adopted uuid column that has one of its own keeps it."""
    out: list[tuple[RefColumns, Column]] = []
    for ref in plan.all_references:
        column = plan.catalog.table(ref.table).column(ref.column)
        uuid = plan.catalog.table(ref.table).column(ref.uuid_column)
        own = uuid is not None and uuid.default is not None
        if column is not None and _moves(ref, column) and not (ref.text or own or plan.text_on(DEFAULT, ref.table, ref.column)):
            out.append((ref, column))
    return out


def _moves(ref: RefColumns, column: Column) -> bool:
    """Whether the integer has a default, and another name after the cutover."""
    return column.default is not None and not column.generated and not ref.companion


def default_function(plan: Plan, ref: RefColumns) -> TableName:
    """The look-up of a reference's default."""
    return plan.state(f"default_{ref.number}")


def drop_default_functions(plan: Plan) -> list[Statement]:
    """For `finalize --drop-legacy`: the look-ups go with the mapping. No default calls one any more (cutover.finalize_checks)."""
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}(bigint)")
    return [
        Statement(drop.format(default_function(plan, r).sql), "the mapping goes", None, kind=Kind.CAPTURE, verb=Verb.DROP)
        for r, _ in carried(plan)
    ]


def exchange_defaults(plan: Plan) -> list[Statement]:
    """Take the default from the integers, and give the uuids theirs. The columns have their new names."""
    out: list[Statement] = []
    for ref in plan.all_references:
        column = plan.catalog.table(ref.table).column(ref.column)
        if column is not None and _moves(ref, column) and plan.swapped_table(ref.table) is None:
            out += [_taken(t, ref) for t in _each(plan, ref)]
    for ref, column in carried(plan):
        value = lookups(plan, forward=False, to_uuid=True).value(sql.SQL("$1"), None)
        function = default_function(plan, ref)
        drop = sql.SQL("DROP FUNCTION {}(bigint)").format(function.sql)
        made = resolver(function, "bigint", "uuid", value) + _rights(plan.catalog.table(ref.table), function)
        out.append(Statement(made, WHY, None, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE))
        out += [_looked_up(plan, t, ref, function, column) for t in _each(plan, ref)]
    return out


def _each(plan: Plan, ref: RefColumns) -> list[Table]:
    """The table of a reference and its partitions: each column has a default of its own."""
    table = plan.catalog.table(ref.table)
    return [table, *table.partitions] if plan.swapped_table(ref.table) is None else [table]


def _taken(table: Table, ref: RefColumns) -> Statement:
    legacy, old = sql.Identifier(ref.legacy_column), table.column(ref.column)
    alter = sql.SQL("ALTER TABLE ONLY {} ALTER COLUMN {} ").format(table.name.sql, legacy)
    back = alter + (verbatim(f"SET DEFAULT {old.default}") if old and old.default else sql.SQL("DROP DEFAULT"))
    why, path = "the integer follows the uuid", old.meaning.path if old else ()
    return Statement(alter + sql.SQL("DROP DEFAULT"), why, table.name, AX, back, kind=Kind.CAPTURE, path=path)


def _looked_up(plan: Plan, table: Table, ref: RefColumns, function: TableName, column: Column) -> Statement:
    own = table.column(ref.column) or column
    alter = sql.SQL("ALTER TABLE ONLY {} ALTER COLUMN {} ").format(table.name.sql, sql.Identifier(ref.column))
    given = verbatim(f"CAST(({own.default or column.default}) AS {own.type})::bigint")
    there = alter + sql.SQL("SET DEFAULT {}({})").format(function.sql, given)
    return Statement(
        there, WHY, table.name, AX, alter + _before(plan, table, ref.column), kind=Kind.CAPTURE, path=own.meaning.path
    )


def _rights(table: Table, function: TableName) -> Query:
    """EXECUTE to whoever may INSERT into the table."""
    writers = {g.grantee for g in table.grants if g.privilege == "INSERT"}
    who = [sql.SQL("PUBLIC") if w is None else sql.Identifier(w) for w in sorted(writers - {None}, key=str)]
    who += [sql.SQL("PUBLIC")] if None in writers else []
    who.append(sql.Identifier(table.owner))
    return sql.SQL("; GRANT EXECUTE ON FUNCTION {}(bigint) TO {}").format(function.sql, sql.SQL(", ").join(who))


def _before(plan: Plan, table: Table, column: str) -> Query:
    """What gives the column, by its name of after the cutover, the default that it had there before the texts."""
    ref = next((r for r in plan.references_of(table.name if table.parent is None else table.parent) if r.column == column), None)
    had = table.column(ref.uuid_column if ref and not ref.companion else column)
    return verbatim(f"SET DEFAULT {had.default}") if had and had.default else sql.SQL("DROP DEFAULT")


def replace_defaults(plan: Plan) -> list[Statement]:
    """Give columns the default of [[default]], when everything has its new name."""
    out = []
    for text in (t for t in plan.texts if t.kind == DEFAULT):
        table = plan.catalog.table(text.table)
        alter = sql.SQL("ALTER TABLE {} ALTER COLUMN {} ").format(text.table.sql, sql.Identifier(text.name))
        there = alter + verbatim(f"SET DEFAULT ({text.definition}\n)")
        old = table.column(text.name)
        path = tuple(dict.fromkeys((*text.path, *(old.meaning.path if old else ()))))
        why, label = "the default, with the expression of [[default]]", part(text.table, text.name)
        back = alter + _before(plan, table, text.name)
        out.append(Statement(there, why, text.table, AX, back, kind=Kind.DEFAULT, verb=Verb.CREATE, object=label, path=path))
    return out
