"""Guards: triggers on the live table and on the tables with references that keep both keys of a row together.

A guard fills the side that a writer left out as far as it sees the row that is meant, and rejects a pair that contradicts the
mapping. Before the cutover the integer leads, after it the uuid leads. A pair whose parent the guard does not see stays
incomplete, and is noted (swap.ddl.pairs).
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.core.names import TableName, quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Kind, Statement
from swap.ddl.keys import generator, give_legacy_key, legacy_generator
from swap.ddl.own_triggers import trigger, trigger_function
from swap.ddl.pairs import pairs_table
from swap.ddl.text_references import text_guard_function
from swap.plan.direction import Direction
from swap.plan.key_columns import vouches
from swap.plan.model import Plan, RefColumns, SwappedTable

GUARD = "~swap_guard"  # sorts after letters: the last BEFORE trigger, so it checks the values that will be stored
COMPLETE = "0swap_complete"  # of runs that an older version began: dropped when the run is taken over (swap.sync.take_over)


def source_guard_function(plan: Plan, direction: Direction) -> Statement:
    """The guard of the source: forward it fills the identity column, in reverse the legacy key.

    In reverse an INSERT without a legacy key gets one from the old sequence.
    """
    column = plan.identity if direction is Direction.FORWARD else plan.legacy_key
    return trigger_function(
        plan, plan.source, plan.state(f"guard_{direction}"), load_sql("swap.ddl", "guard_source.sql"), row_security=True,
        column=sql.Identifier(column),
        label=sql.Literal(column),
        generate=_generated(plan) if direction is Direction.FORWARD else give_legacy_key(plan, legacy_generator(plan)),
    )  # fmt: skip


def _generated(plan: Plan) -> Query:
    return sql.SQL("NEW.{} := {};").format(sql.Identifier(plan.identity), generator(plan))


def reference_guard_function(plan: Plan, ref: RefColumns, direction: Direction, *, noted: bool = True) -> Statement:
    """The guard of one reference. Before the cutover the integer leads, after it the uuid leads.

    A side that names nobody while the other one names a row is rejected. Where a foreign key of the application's judges that
    side, its own error is the one that the application knows (I1), so the guard leaves it to that key. `noted` False: after
    `finalize` nobody fills what the guard did not see.
    """
    if ref.text:
        return text_guard_function(plan, ref, direction, noted=noted, applies=applies(ref), applied=applies(ref, "OLD"))
    ahead = direction is Direction.FORWARD
    integer, uuid = (ref.column, ref.uuid_column) if ahead else (ref.legacy_column, ref.uuid_after)
    live_integer, live_uuid = (plan.key, plan.identity) if ahead else (plan.legacy_key, plan.key)
    leader, follower = (integer, uuid) if ahead else (uuid, integer)
    live_leader, live_follower = (live_integer, live_uuid) if ahead else (live_uuid, live_integer)
    new = sql.SQL("NEW.{}")
    note = load_sql("swap.ddl", "guard_note.sql").format(
        leader=sql.Identifier(leader),
        follower=sql.Identifier(follower),
        pairs=pairs_table(plan).sql,
        number=sql.Literal(ref.number),
    )
    return trigger_function(
        plan, ref.table, plan.state(f"guard_{ref.number}_{direction}"), load_sql("swap.ddl", "guard_reference.sql"), row_security=True,
        applies=applies(ref),
        applied=applies(ref, "OLD"),
        another_type=_another_type(ref, uuid),
        cleared=_cleared(leader) if ref.companion and not ahead else sql.SQL(""),
        leader_before=_leader_before(leader, follower if ref.companion and not ahead else None),
        integer=sql.Identifier(integer),
        uuid=sql.Identifier(uuid),
        leader=sql.Identifier(leader),
        follower=sql.Identifier(follower),
        follower_type=sql.SQL("uuid" if ahead else "bigint"),
        live=plan.source.sql,
        live_leader=sql.Identifier(live_leader),
        live_follower=sql.Identifier(live_follower),
        leader_judged=_judged(plan, ref, ref.column),
        follower_judged=_judged(plan, ref, ref.uuid_column) if ahead else sql.SQL("false"),
        is_itself=_is_itself(ref, integer, uuid, live_integer, live_uuid),
        own_key=_own_key(plan, ref, direction),
        self_integer=new.format(sql.Identifier(live_integer if ref.own else integer)),
        self_uuid=new.format(sql.Identifier(live_uuid if ref.own else uuid)),
        integer_label=sql.Literal(integer),
        uuid_label=sql.Literal(uuid),
        live_label=sql.Literal(plan.source.name),
        noted=note if noted else sql.SQL(""),
    )  # fmt: skip


def _another_type(ref: RefColumns, uuid: str) -> Query:
    """A companion is empty beside the key of another type. What the application itself has written there stays."""
    if not ref.companion:
        return sql.SQL("")
    return sql.SQL(
        "        IF TG_OP = 'UPDATE' AND NEW.{u} IS NOT DISTINCT FROM OLD.{u} AND ({applied}) THEN\n"
        "            NEW.{u} := NULL;\n"
        "        END IF;\n"
    ).format(u=sql.Identifier(uuid), applied=applies(ref, "OLD"))


def _cleared(leader: str) -> Query:
    """After the cutover the integer of a companion is still a column of the application's: whoever empties it means it."""
    return sql.SQL("        ELSIF swap_follower_changed AND NOT swap_leader_changed THEN\n            NEW.{} := NULL;\n").format(
        sql.Identifier(leader)
    )


def _leader_before(leader: str, integer: str | None) -> Query:
    """What the leading side says again where the changed one names nobody. `integer`: of a companion, after the cutover. An integer
    that the application puts in the place of another one may name nobody, as before; the uuid of the other one is gone then."""
    before = sql.SQL("OLD.{}").format(sql.Identifier(leader))
    if integer is None:
        return before
    return sql.SQL("CASE WHEN OLD.{} IS NULL THEN {} END").format(sql.Identifier(integer), before)


def _judged(plan: Plan, ref: RefColumns, column: str) -> Query:
    """Whether a foreign key raises an error for a value of `column` that names nobody. Under session_replication_role = replica no
    key does."""
    keys = (fk for fk in plan.catalog.foreign_keys if fk.holder == ref.table and column in fk.columns)
    if not any(vouches(fk, column, plan.catalog) for fk in keys):
        return sql.SQL("false")
    return sql.SQL("(current_setting('session_replication_role') <> 'replica')")


def applies(ref: RefColumns, row: str = "NEW") -> Query:
    """Evaluate the reference's `where` over the row (NEW or OLD)."""
    if ref.where is None:
        return sql.SQL("true")
    return sql.SQL("SELECT coalesce(({}), false) FROM (SELECT {}.*) r").format(verbatim(ref.where), verbatim(row))


def _is_itself(ref: RefColumns, integer: str, uuid: str, live_integer: str, live_uuid: str) -> Query:
    if not ref.own:
        return sql.SQL("false")
    return sql.SQL("NEW.{} = NEW.{} OR NEW.{} = NEW.{}").format(*map(sql.Identifier, (integer, live_integer, uuid, live_uuid)))


def _own_key(plan: Plan, ref: RefColumns, direction: Direction) -> Query:
    """Give the row its legacy key, if it has none: the source's guard, which does that, fires after this one. A row that refers to
    itself needs it here (H61)."""
    if not ref.own or direction is Direction.FORWARD:
        return sql.SQL("")
    give = give_legacy_key(plan, legacy_generator(plan))
    return sql.SQL("        IF NEW.{} IS NULL THEN\n{}\n        END IF;\n").format(sql.Identifier(plan.legacy_key), give)


def swapped_guards(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """Create the guards of a live swapped table. Before the cutover only a source with an identity column has one."""
    if t.is_source:
        guards = [] if plan.derived and direction is Direction.FORWARD else source_guards(plan, t.name, direction)
    else:
        guards = []
    if direction is Direction.REVERSE:
        guards += [s for ref in t.references for s in reference_guards(plan, ref, t.name, direction)]
    return guards


def source_guards(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Create the guards of the live source."""
    return guards_of_key(plan, table, direction, plan.identity if direction is Direction.FORWARD else plan.legacy_key)


def guards_of_key(plan: Plan, table: TableName, direction: Direction, key: str) -> list[Statement]:
    """Create them on `table`, which calls the second key `key`. WHEN saves the function call for statements that touch neither key.

    An UPDATE of a row without its second key fills that key: the row moves to a heap block that the backfill may have passed
    already.
    """
    column, procedure = sql.Identifier(key), plan.state(f"guard_{direction}")
    insert = sql.SQL("BEFORE INSERT ON {} FOR EACH ROW WHEN (NEW.{} IS NULL)").format(table.sql, column)
    changed = sql.SQL("NEW.{c} IS DISTINCT FROM OLD.{c} OR NEW.{c} IS NULL").format(c=column)
    update = sql.SQL("BEFORE UPDATE ON {} FOR EACH ROW WHEN ({})").format(table.sql, changed)
    return [
        trigger(table, f"{GUARD}_insert", insert, procedure, "a row without its second key gets one"),
        trigger(table, f"{GUARD}_update", update, procedure, "the second key of a row never changes"),
    ]


def reference_guards(
    plan: Plan, ref: RefColumns, table: TableName, direction: Direction, *, named: Direction | None = None
) -> list[Statement]:
    """Create the triggers of a reference's guard: for every INSERT with a key, and for every UPDATE that touches the pair or could
    complete it. `named`: the direction in which the columns have the names that `table` has now."""
    forward = (named or direction) is Direction.FORWARD
    names = (ref.column, ref.uuid_column) if forward else (ref.legacy_column, ref.uuid_after)
    guards = _reference_guards(plan, ref, table, direction, *names)
    return [trigger(table, g.name, g.events, g.procedure, g.why) for g in guards]


def turned_guards(plan: Plan, ref: RefColumns, table: TableName) -> Statement:
    """Replace the forward guard by the reverse one in place, once the columns have their new names.

    The undo replaces it back while the columns still have their new names. WHEN binds columns by number, so after the way
    back the server prints it with the old names again.

    To drop and create a trigger takes three statements, and for each of them the server builds its picture of the table anew.
    With two hundred references that was a third of the time under the exchange's lock.
    """
    turned, back = (
        _replaced(table, _reference_guards(plan, ref, table, d, ref.legacy_column, ref.uuid_after))
        for d in (Direction.REVERSE, Direction.FORWARD)
    )
    why = f"guard: {quote(ref.uuid_after)} leads now"
    return Statement(turned, why, table, "SHARE ROW EXCLUSIVE", back, kind=Kind.CAPTURE)


class _Guard(NamedTuple):
    name: str
    events: sql.Composable
    procedure: TableName
    why: str


def _replaced(table: TableName, guards: list[_Guard]) -> sql.Composed:
    create = sql.SQL("CREATE OR REPLACE TRIGGER {} {} EXECUTE FUNCTION {}()")
    always = sql.SQL(", ").join(sql.SQL("ENABLE ALWAYS TRIGGER {}").format(sql.Identifier(g.name)) for g in guards)
    parts = [create.format(sql.Identifier(g.name), g.events, g.procedure.sql) for g in guards]
    return sql.SQL("; ").join([*parts, sql.SQL("ALTER TABLE {} ").format(table.sql) + always])


def _reference_guards(
    plan: Plan, ref: RefColumns, table: TableName, direction: Direction, integer: str, uuid: str
) -> list[_Guard]:
    """The triggers of a reference in one direction, over the two columns by the names that they have at the moment."""
    a, b = sql.Identifier(integer), sql.Identifier(uuid)
    procedure = plan.state(f"guard_{ref.number}_{direction}")
    changed = sql.SQL(
        " WHEN (NEW.{a} IS DISTINCT FROM OLD.{a} OR NEW.{b} IS DISTINCT FROM OLD.{b} OR (NEW.{a} IS NULL) <> (NEW.{b} IS NULL))"
    ).format(a=a, b=b)
    if ref.where is not None:
        changed = sql.Composed([])
    some = sql.SQL(" WHEN (NEW.{a} IS NOT NULL OR NEW.{b} IS NOT NULL)").format(a=a, b=b)
    why = f"guard: keeps {quote(integer)} and {quote(uuid)} together, rejects a contradiction"
    insert = sql.SQL("BEFORE INSERT ON {} FOR EACH ROW").format(table.sql) + some
    update = sql.SQL("BEFORE UPDATE ON {} FOR EACH ROW").format(table.sql) + changed
    return [
        _Guard(f"{GUARD}_{ref.number}_insert", insert, procedure, why),
        _Guard(f"{GUARD}_{ref.number}_update", update, procedure, why),
    ]
