"""The triggers behind which the functions of `swap.ddl.capture` stand, as statements: capture, fence, guards.

ENABLE ALWAYS: a writer under session_replication_role = replica counts too (H7).
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.core.names import TableName, quote
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.capture import CAPTURE, COMPLETE, DELETED, FENCE, GUARD, MOVED, TRUNCATE, placeholder
from swap.ddl.replication import publish
from swap.plan.direction import Direction
from swap.plan.model import Plan, RefColumns


def trigger(
    table: TableName, name: str, events: sql.Composable, procedure: TableName, why: str, kind: str = "TRIGGER"
) -> Statement:
    """CREATE TRIGGER + ENABLE ALWAYS in one statement list entry; SHARE ROW EXCLUSIVE on the table. DROP TRIGGER takes more."""
    ident = sql.Identifier(name)
    create = sql.SQL("CREATE {} {} {} EXECUTE FUNCTION {}(); ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
        verbatim(kind), ident, events, procedure.sql, table.sql, ident
    )
    undo = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(ident, table.sql)
    return Statement(create, why, table, "SHARE ROW EXCLUSIVE", undo, undo_lock=AX, kind=Kind.CAPTURE, verb=Verb.CREATE)


def capture(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Capture of `table`, in the run's mode."""
    return publish(plan, table, direction) if plan.mode == "logical" else capture_triggers(plan, table, direction)


def capture_triggers(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Row capture and truncate capture on `table`."""
    on = table.sql
    key = sql.Identifier(plan.key if direction is Direction.FORWARD else plan.legacy_key)
    return [
        trigger(
            table, CAPTURE, sql.SQL("AFTER INSERT OR UPDATE ON {} FOR EACH ROW").format(on),
            plan.state(f"capture_{direction}"), "capture: appends the changed key, nothing else",
        ),
        trigger(
            table, DELETED, sql.SQL("AFTER DELETE ON {} FOR EACH ROW").format(on),
            plan.state(f"gone_{direction}"), "capture: appends the deleted row's key",
        ),
        trigger(
            table, MOVED, sql.SQL("AFTER UPDATE ON {} FOR EACH ROW WHEN (OLD.{k} IS DISTINCT FROM NEW.{k})").format(on, k=key),
            plan.state(f"gone_{direction}"), "capture: appends the key that an UPDATE left",
        ),
        trigger(
            table, TRUNCATE, sql.SQL("AFTER TRUNCATE ON {} FOR EACH STATEMENT").format(on),
            plan.state("truncate"), "capture of TRUNCATE",
        ),
    ]  # fmt: skip


def fence_trigger(plan: Plan, table: TableName) -> Statement:
    events = sql.SQL("BEFORE INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT").format(table.sql)
    why = "transactions with a snapshot older than the exchange retry instead of missing rows"
    return trigger(table, FENCE, events, plan.state("fence"), why)


def source_guards(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Guards of the live table itself. WHEN keeps statements that touch neither key free of a function call.

    An UPDATE of a row that has no second key yet gives it one: the row moves to a heap block that the backfill may
    have passed already.
    """
    column = sql.Identifier(plan.identity if direction is Direction.FORWARD else plan.legacy_key)
    procedure = plan.state(f"guard_{direction}")
    out = [
        trigger(
            table, f"{GUARD}_insert",
            sql.SQL("BEFORE INSERT ON {} FOR EACH ROW WHEN (NEW.{} IS NULL)").format(table.sql, column),
            procedure, "a row without its second key gets one",
        ),
        trigger(
            table, f"{GUARD}_update",
            sql.SQL("BEFORE UPDATE ON {} FOR EACH ROW WHEN (NEW.{c} IS DISTINCT FROM OLD.{c} OR NEW.{c} IS NULL)").format(table.sql, c=column),
            procedure, "the second key of a row never changes",
        ),
    ]  # fmt: skip
    if direction is Direction.REVERSE:
        for ref in plan.own_references:
            out += reference_guards(plan, ref, table, direction)
    return out


def reference_guards(plan: Plan, ref: RefColumns, table: TableName, direction: Direction) -> list[Statement]:
    """The triggers of a reference's guard: every INSERT, UPDATEs that touch the pair or could complete it, and the
    completion of pairs whose parent was not there yet."""
    names = (ref.column, ref.uuid_column) if direction is Direction.FORWARD else (ref.legacy_column, ref.column)
    return [
        trigger(table, g.name, g.events, g.procedure, g.why, g.kind)
        for g in _reference_guards(plan, ref, table, direction, *names)
    ]  # fmt: skip


def turned_guards(plan: Plan, ref: RefColumns, table: TableName) -> Statement:
    """The forward guard becomes the reverse one in place, once the columns have their new names; and back, while they
    still have them: a WHEN binds by number, so it is printed with the old names again after the way back.

    Dropped and created each trigger is three statements, and each of those has the server build its picture of the
    table anew: with two hundred references a third of the time under the exchange's lock. Not for a constraint
    trigger, which cannot be replaced.
    """
    turned, back = (
        _replaced(table, _reference_guards(plan, ref, table, d, ref.legacy_column, ref.column))
        for d in (Direction.REVERSE, Direction.FORWARD)
    )
    why = f"guard: {quote(ref.column)} leads now"
    return Statement(turned, why, table, "SHARE ROW EXCLUSIVE", back, kind=Kind.CAPTURE)


class _Guard(NamedTuple):
    name: str
    events: sql.Composable
    procedure: TableName
    why: str
    kind: str = "TRIGGER"


def _replaced(table: TableName, guards: list[_Guard]) -> sql.Composed:
    create = sql.SQL("CREATE OR REPLACE TRIGGER {} {} EXECUTE FUNCTION {}()")
    always = sql.SQL(", ").join(sql.SQL("ENABLE ALWAYS TRIGGER {}").format(sql.Identifier(g.name)) for g in guards)
    parts = [create.format(sql.Identifier(g.name), g.events, g.procedure.sql) for g in guards]
    return sql.SQL("; ").join([*parts, sql.SQL("ALTER TABLE {} ").format(table.sql) + always])


def _reference_guards(
    plan: Plan, ref: RefColumns, table: TableName, direction: Direction, integer: str, uuid: str
) -> list[_Guard]:
    """Of that direction, over the two columns as they are called at the moment."""
    a, b = sql.Identifier(integer), sql.Identifier(uuid)
    procedure = plan.state(f"guard_{ref.number}_{direction}")
    changed = sql.SQL(
        " WHEN (NEW.{a} IS DISTINCT FROM OLD.{a} OR NEW.{b} IS DISTINCT FROM OLD.{b} OR (NEW.{a} IS NULL) <> (NEW.{b} IS NULL))"
    ).format(a=a, b=b)
    if ref.where is not None:
        changed = sql.Composed([])
    some = sql.SQL(" WHEN (NEW.{a} IS NOT NULL OR NEW.{b} IS NOT NULL)").format(a=a, b=b)
    why = f"guard: keeps {quote(integer)} and {quote(uuid)} together, rejects a contradiction"
    leader, follower = (a, b) if direction is Direction.FORWARD else (b, a)
    deferred = sql.SQL("DEFERRABLE INITIALLY DEFERRED ") if ref.deferrable else sql.SQL("")
    incomplete = sql.SQL(
        "AFTER INSERT OR UPDATE ON {} {}FOR EACH ROW WHEN (NEW.{} IS NOT NULL AND (NEW.{} IS NULL OR NEW.{} = {}))"
    ).format(table.sql, deferred, leader, follower, follower, placeholder(direction))
    return [
        _Guard(
            f"{GUARD}_{ref.number}_insert", sql.SQL("BEFORE INSERT ON {} FOR EACH ROW").format(table.sql) + some, procedure, why
        ),
        _Guard(
            f"{GUARD}_{ref.number}_update", sql.SQL("BEFORE UPDATE ON {} FOR EACH ROW").format(table.sql) + changed, procedure, why
        ),
        _Guard(
            f"{COMPLETE}_{ref.number}", incomplete, plan.state(f"complete_{ref.number}_{direction}"),
            "a pair whose parent came later is completed", "CONSTRAINT TRIGGER" if ref.deferrable else "TRIGGER",
        ),
    ]  # fmt: skip
