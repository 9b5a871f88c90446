"""The tasks that `sync` works through in ranges: the rows of the shadow, and columns of tables that exist.

`setup`, where a task takes it: settings of the session before a range writes to an application's table, so that the
application's triggers do not fire for it.
"""

from __future__ import annotations

from collections.abc import Callable

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
RangeStatement = Callable[[sql.Composable, sql.Composable], Query]


def rows_task(plan: Plan, last: int) -> BackfillTask:
    """The shadow's rows, up to the key that was the last one when capture was live: later rows are in the queue."""
    lowest, mapping = key_bound(plan.source, plan.key), forward(plan)

    def bound(conn: Connection) -> tuple[int, int] | None:
        now = lowest(conn)
        return None if now is None or now[0] > last else (now[0], last)

    return BackfillTask(
        name=plan.source.name,
        unit="keys",
        bound=bound,
        cut=key_cut(plan.source, plan.key),
        statement=lambda low, high: copy_statement(mapping, low, high),
        first_size=ROWS,
        total_rows=plan.source_table.rows_estimate,
    )


def identity_task(plan: Plan, setup: str) -> BackfillTask:
    """The uuid that the source keeps beside its key."""
    return _of_blocks("identity", plan.source, lambda low, high: fill_identity(plan, low, high), setup)


def reference_task(plan: Plan, ref: ReferencePlan, heap: TableName, setup: str) -> BackfillTask:
    """A reference's uuid, in one of its heaps: a partitioned table has several."""
    name = f"{heap}.{ref.columns.uuid_column}"
    return _of_blocks(name, heap, lambda low, high: fill_reference(plan, ref, low, high, heap), f"{setup}; {NESTED_LOOPS}")


def compat_task(ref: ReferencePlan, setup: str) -> BackfillTask:
    """The compat column of a reference."""
    name = f"{ref.table}.{ref.columns.compat_column}"
    return _of_blocks(name, ref.table, lambda low, high: fill_compat(ref.columns, low, high), setup)


def _of_blocks(name: str, heap: TableName, fill: RangeStatement, setup: str) -> BackfillTask:
    """Range by range of heap blocks. `fill(low, high)`: from the tid `low` to before `high`."""
    return BackfillTask(
        name=name,
        unit="blocks",
        bound=block_bound(heap),
        cut=block_cut,
        statement=lambda low, high: fill(tid(low), tid(high, after=True)),
        first_size=BLOCKS,
        setup=setup,
        heap=heap,
    )
