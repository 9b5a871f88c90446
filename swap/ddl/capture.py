"""Capture by triggers: each write of the application appends the key of its row to a change table, and nothing else.

Only keys travel. Replay reads the row again, as it is then (invariant 3). With logical capture a publication takes the
place of the triggers (swap.ddl.replication).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.core.statement import Statement
from swap.ddl.change_tables import change_table, key_names
from swap.ddl.own_triggers import idle_function, trigger, trigger_function
from swap.ddl.replication import publish
from swap.plan.direction import Direction, forward, reverse
from swap.plan.model import Plan, SwappedTable

CAPTURE = "swap_capture"
DELETED = "swap_capture_deleted"
MOVED = "swap_capture_moved"
TRUNCATE = "swap_truncate"


def _suffix(t: SwappedTable, name: str) -> str:
    """What a function or table of this swapped table is called in the state schema."""
    return name if t.is_source else f"{name}_{t.number}"


def capture_key(plan: Plan, t: SwappedTable, direction: Direction) -> list[str]:
    """The captured columns, by the names that they have in this direction."""
    way = forward if direction is Direction.FORWARD else reverse
    return [k.origin for k in way(plan, t).key]


def capture_functions(plan: Plan, direction: Direction, table_no: int) -> list[Statement]:
    """Create the capture functions of a direction. They write to the change tables `table_no`; to rotate, swap replaces them."""
    return [s for t in plan.swapped for s in functions_of_table(plan, t, direction, table_no)]


def functions_of_table(plan: Plan, t: SwappedTable, direction: Direction, table_no: int) -> list[Statement]:
    """After the cutover an entry of the source has the uuid beside the integer: the mapping outlives the row."""
    key = capture_key(plan, t, direction)
    columns = [*zip(key_names(len(key)), key, strict=True)]
    if t.is_source and direction is Direction.REVERSE:
        columns.append(("uuid", plan.key))

    def function(name: str, row: LiteralString, gone: LiteralString) -> Statement:
        return trigger_function(
            plan, t.name, plan.state(f"{_suffix(t, name)}_{direction}"), load_sql("swap.ddl", "capture_row.sql"), pinned=False,
            changes=change_table(plan, table_no, t.number).sql,
            columns=sql.SQL(", ").join(sql.Identifier(into) for into, _ in columns),
            values=sql.SQL(", ").join(sql.SQL(row) + sql.SQL(".") + sql.Identifier(column) for _, column in columns),
            gone=sql.SQL(gone),
        )  # fmt: skip

    return [function("capture", "NEW", "false"), function("gone", "OLD", "true")]


def idle_functions(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """The capture functions of a direction, doing nothing."""
    names = (plan.state(f"{_suffix(t, name)}_{direction}") for name in ("capture", "gone"))
    return [idle_function(plan, t.name, name) for name in names]


def truncate_functions(plan: Plan) -> list[Statement]:
    """Note a TRUNCATE in change table 0, always: it is rare, and replay reads both change tables."""
    return [truncate_function(plan, t) for t in plan.swapped]


def truncate_function(plan: Plan, t: SwappedTable) -> Statement:
    body = load_sql("swap.ddl", "capture_truncate.sql")
    changes = change_table(plan, 0, t.number).sql
    return trigger_function(plan, t.name, plan.state(_suffix(t, "truncate")), body, changes=changes)


def capture_function_names(plan: Plan) -> list[str]:
    """What `teardown` drops: the functions of capture and fence, as `Plan.state` names them."""
    names = [f"{_suffix(t, n)}_{d}" for t in plan.swapped for n in ("capture", "gone") for d in Direction]
    return [*names, *(_suffix(t, n) for t in plan.swapped for n in ("truncate", "fence"))]


def capture(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """Turn on capture of the table that is live, in the run's mode."""
    return publish(plan, t, direction) if plan.mode == "logical" else capture_triggers(plan, t, direction)


def capture_triggers(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """Create the triggers that capture changed rows and TRUNCATE."""
    return [*row_triggers(plan, t, direction, t.name, watched(plan, t, direction)), truncate_trigger(plan, t, t.name)]


def row_triggers(plan: Plan, t: SwappedTable, direction: Direction, table: TableName, keys: Iterable[str]) -> list[Statement]:
    """Create those of rows on `table`. `keys`: the columns that tell an UPDATE that left its key, as `table` names them."""
    changed, gone = (plan.state(f"{_suffix(t, name)}_{direction}") for name in ("capture", "gone"))
    written = sql.SQL("AFTER INSERT OR UPDATE ON {} FOR EACH ROW").format(table.sql)
    deleted = sql.SQL("AFTER DELETE ON {} FOR EACH ROW").format(table.sql)
    moved = sql.SQL("AFTER UPDATE ON {} FOR EACH ROW WHEN ({})").format(table.sql, _moved(keys))
    return [
        trigger(table, CAPTURE, written, changed, "capture: appends the changed key, nothing else"),
        trigger(table, DELETED, deleted, gone, "capture: appends the deleted row's key"),
        trigger(table, MOVED, moved, gone, "capture: appends the key that an UPDATE left"),
    ]


def truncate_trigger(plan: Plan, t: SwappedTable, table: TableName) -> Statement:
    """On the table, or on a partition of it: TRUNCATE of one fires no trigger of the table above."""
    truncated = sql.SQL("AFTER TRUNCATE ON {} FOR EACH STATEMENT").format(table.sql)
    return trigger(table, TRUNCATE, truncated, plan.state(_suffix(t, "truncate")), "capture of TRUNCATE")


def watched(plan: Plan, t: SwappedTable, direction: Direction) -> list[str]:
    """The columns of the key; after the cutover also the uuid of a row of the source."""
    key = capture_key(plan, t, direction)
    return [*key, plan.key] if t.is_source and direction is Direction.REVERSE else key


def _moved(keys: Iterable[str]) -> sql.Composed:
    """Whether an UPDATE changed one of them.

    Rejected: comparing two rows by their bytes (`*<>`). The server prints that without its casts, as text that it does not read
    again: no dump of the application could be restored, and pg_upgrade failed, as long as the trigger was there (seen)."""
    return sql.SQL(" OR ").join(sql.SQL("OLD.{k} IS DISTINCT FROM NEW.{k}").format(k=sql.Identifier(k)) for k in keys)


def install_capture(plan: Plan, table_no: int) -> list[Statement]:
    """Capture triggers on the live tables in place of a publication; those of a change that was killed go first."""
    triggers = [s for t in plan.swapped for s in capture_triggers(plan, t, Direction.FORWARD)]
    return [*(s.reversed() for s in triggers), *capture_functions(plan, Direction.FORWARD, table_no), *triggers]


def remove_capture(plan: Plan) -> list[Statement]:
    """No capture triggers on the live tables: a publication is in their place."""
    triggers = [s for t in plan.swapped for s in capture_triggers(plan, t, Direction.FORWARD)]
    return [s.reversed() for s in reversed(triggers)]
