"""Capture by triggers: each write of the application appends the key of its row to a change table, and nothing else.

Only keys travel. Replay reads the row again, as it is then (invariant 3). With logical capture a publication takes the
place of the triggers (swap.ddl.replication).
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.core.statement import Statement
from swap.ddl.change_tables import change_table
from swap.ddl.own_triggers import trigger, trigger_function
from swap.ddl.replication import publish
from swap.plan.direction import Direction
from swap.plan.model import Plan

CAPTURE = "swap_capture"
DELETED = "swap_capture_deleted"
MOVED = "swap_capture_moved"
TRUNCATE = "swap_truncate"


def capture_functions(plan: Plan, direction: Direction, table_no: int) -> list[Statement]:
    """Create the capture functions of a direction. They write to change table `table_no`; to rotate, swap replaces them."""
    key = plan.key if direction is Direction.FORWARD else plan.legacy_key

    def function(name: str, row: LiteralString, gone: LiteralString) -> Statement:
        return trigger_function(
            plan, plan.source, plan.state(f"{name}_{direction}"), load_sql("swap.ddl", "capture_row.sql"), pinned=False,
            changes=change_table(plan, table_no).sql, key=sql.Identifier(key), row=sql.SQL(row), gone=sql.SQL(gone),
        )  # fmt: skip

    return [function("capture", "NEW", "false"), function("gone", "OLD", "true")]


def truncate_function(plan: Plan) -> Statement:
    """Note a TRUNCATE in change table 0, always: it is rare, and replay reads both change tables."""
    body = load_sql("swap.ddl", "capture_truncate.sql")
    return trigger_function(plan, plan.source, plan.state("truncate"), body, changes=change_table(plan, 0).sql)


def capture(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Turn on capture of `table`, in the run's mode."""
    return publish(plan, table, direction) if plan.mode == "logical" else capture_triggers(plan, table, direction)


def capture_triggers(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Create the triggers that capture changed rows and TRUNCATE."""
    on = table.sql
    key = sql.Identifier(plan.key if direction is Direction.FORWARD else plan.legacy_key)
    changed, gone = plan.state(f"capture_{direction}"), plan.state(f"gone_{direction}")
    written = sql.SQL("AFTER INSERT OR UPDATE ON {} FOR EACH ROW").format(on)
    deleted = sql.SQL("AFTER DELETE ON {} FOR EACH ROW").format(on)
    moved = sql.SQL("AFTER UPDATE ON {} FOR EACH ROW WHEN (OLD.{k} IS DISTINCT FROM NEW.{k})").format(on, k=key)
    truncated = sql.SQL("AFTER TRUNCATE ON {} FOR EACH STATEMENT").format(on)
    return [
        trigger(table, CAPTURE, written, changed, "capture: appends the changed key, nothing else"),
        trigger(table, DELETED, deleted, gone, "capture: appends the deleted row's key"),
        trigger(table, MOVED, moved, gone, "capture: appends the key that an UPDATE left"),
        trigger(table, TRUNCATE, truncated, plan.state("truncate"), "capture of TRUNCATE"),
    ]


def install_capture(plan: Plan, table_no: int) -> list[Statement]:
    """Capture triggers on the source in place of a publication; those of a change that was killed go first."""
    triggers = capture_triggers(plan, plan.source, Direction.FORWARD)
    return [*(s.reversed() for s in triggers), *capture_functions(plan, Direction.FORWARD, table_no), *triggers]


def remove_capture(plan: Plan) -> list[Statement]:
    """No capture triggers on the source: a publication is in their place."""
    return [s.reversed() for s in reversed(capture_triggers(plan, plan.source, Direction.FORWARD))]
