"""What `sync` works through in ranges: the rows of the shadow, and the columns that are filled where they stand.

`setup`, where a part takes it: what the session sets before a range writes to an application's table (the application's
triggers are not to fire for it).
"""

from __future__ import annotations

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.planner_settings import NESTED_LOOPS
from swap.core.sql_text import Query
from swap.ddl.backfill import copy_statement, fill_compat, fill_identity, fill_reference
from swap.plan.direction import forward
from swap.plan.model import Plan, ReferencePlan
from swap.sync.backfill import BackfillTask, block_bound, block_cut, key_bound, key_cut, tid

ROWS, BLOCKS = 5_000, 500


def rows_task(plan: Plan, last: int) -> BackfillTask:
    """The shadow's rows, up to the key that was the last one when capture was live: what came later is in the queue."""
    lowest = key_bound(plan.source, plan.key)
    d = forward(plan)

    def bound(conn: Connection) -> tuple[int, int] | None:
        now = lowest(conn)
        return None if now is None or now[0] > last else (now[0], last)

    def statement(low: sql.Composable, high: sql.Composable) -> Query:
        return copy_statement(d, low, high)

    cut = key_cut(plan.source, plan.key)
    return BackfillTask(plan.source.name, "keys", bound, cut, statement, ROWS, total_rows=plan.source_table.rows_estimate)


def identity_task(plan: Plan, setup: str) -> BackfillTask:
    """The uuid that the source keeps beside its key."""

    def statement(low: sql.Composable, high: sql.Composable) -> Query:
        return fill_identity(plan, tid(low), tid(high, after=True))

    return BackfillTask("identity", "blocks", block_bound(plan.source), block_cut, statement, BLOCKS, setup)


def reference_task(plan: Plan, ref: ReferencePlan, heap: TableName, setup: str) -> BackfillTask:
    """A reference's uuid, in one of its heaps: a partitioned table has several."""

    def statement(low: sql.Composable, high: sql.Composable) -> Query:
        return fill_reference(plan, ref, tid(low), tid(high, after=True), heap)

    name = f"{heap}.{ref.columns.uuid_column}"
    return BackfillTask(name, "blocks", block_bound(heap), block_cut, statement, BLOCKS, f"{setup}; {NESTED_LOOPS}")


def compat_task(ref: ReferencePlan, setup: str) -> BackfillTask:
    """The compat column of a reference."""

    def statement(low: sql.Composable, high: sql.Composable) -> Query:
        return fill_compat(ref.columns, tid(low), tid(high, after=True))

    name = f"{ref.table}.{ref.columns.compat_column}"
    return BackfillTask(name, "blocks", block_bound(ref.table), block_cut, statement, BLOCKS, setup)
