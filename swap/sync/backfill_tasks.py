"""The tasks that `sync` works through in ranges: the rows of the shadow, and columns of tables that exist.

`setup`, where a task takes it: settings of the session before a range writes to an application's table, so that the
application's triggers do not fire for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.planner_settings import NESTED_LOOPS
from swap.core.sql_text import Query
from swap.ddl.backfill import (
    block_range,
    compat_left,
    copy_rows,
    fill_compat,
    fill_identity,
    fill_reference,
    identity_left,
    key_range,
    reference_left,
)
from swap.ddl.pairs import note_orphans
from swap.ddl.text_references import note_text_orphans
from swap.ddl.waiting import note_waiting
from swap.plan.direction import TableMapping, forward
from swap.plan.model import Plan, ReferencePlan, SwappedTable
from swap.plan.unresolved import certain, uncertain
from swap.sync.backfill import BackfillTask
from swap.sync.range_bounds import block_bound, block_cut, file_number, key_bound, key_cut, tid

ROWS, BLOCKS = 5_000, 500
RangeStatement = Callable[[sql.Composable, sql.Composable], Query]


def rows_task(plan: Plan, t: SwappedTable, last: int) -> BackfillTask:
    """The rows of a shadow, up to the key that was the last one when capture was live: later rows are in the queue."""
    mapping = forward(plan, t)
    lowest = key_bound(mapping.origin_rows, t.key[0])

    def bound(conn: Connection) -> tuple[int, int] | None:
        now = lowest(conn)
        return None if now is None or now[0] > last else (now[0], last)

    def within(low: sql.Composable, high: sql.Composable) -> Query:
        return key_range(mapping, low, high)

    return BackfillTask(
        name=t.part,
        unit="keys",
        bound=bound,
        cut=key_cut(mapping.origin_rows, t.key[0]),
        statement=lambda low, high: copy_rows(plan, mapping, within(low, high)),
        first_size=ROWS,
        total_rows=plan.table_of(t).rows_estimate,
        first=_waiting(plan, mapping, within),
    )


def blocks_task(plan: Plan, t: SwappedTable, last: int, file: int) -> BackfillTask:
    """The rows of a shadow whose key is no integer, up to the heap block that was the last one when capture was live."""
    mapping = forward(plan, t)

    def within(low: sql.Composable, high: sql.Composable) -> Query:
        return block_range(tid(low), tid(high, after=True))

    return BackfillTask(
        name=t.part,
        unit="blocks",
        bound=lambda _: None if last < 0 else (0, last),
        cut=block_cut,
        statement=lambda low, high: copy_rows(plan, mapping, within(low, high)),
        first_size=BLOCKS,
        total_rows=plan.table_of(t).rows_estimate,
        first=_waiting(plan, mapping, within),
        unmoved=lambda conn: file_number(conn, t.name) == file,
    )


def _waiting(plan: Plan, mapping: TableMapping, within: RangeStatement) -> RangeStatement | None:
    """What notes the rows of a range that wait. It need not see what the copy sees: a parent that comes or goes between the two
    statements is in the queue, and replay finds its rows."""
    if not uncertain(plan, mapping):
        return None
    return lambda low, high: note_waiting(plan, mapping, within(low, high))


def identity_task(plan: Plan, setup: str) -> BackfillTask:
    """The uuid that the source keeps beside its key."""

    def fill(low: sql.Composable, high: sql.Composable) -> Query:
        return fill_identity(plan, low, high)

    return _of_blocks("identity", plan.source, fill, lambda low, high: identity_left(plan, low, high), setup)


def reference_task(plan: Plan, ref: ReferencePlan, heap: TableName, setup: str) -> BackfillTask:
    """A reference's uuid, in one of its heaps: a partitioned table has several. Rows whose parent is not there are noted, where no
    foreign key says that there are none."""

    def fill(low: sql.Composable, high: sql.Composable) -> Query:
        return fill_reference(plan, ref, low, high, heap)

    def left(low: sql.Composable, high: sql.Composable) -> Query:
        return reference_left(plan, ref, low, high, heap)

    task = _of_blocks(f"{heap}.{ref.columns.uuid_column}", heap, fill, left, f"{setup}; {NESTED_LOOPS}")
    if certain(plan, ref.table, ref.columns.column):
        return task
    note = note_text_orphans if ref.columns.text else note_orphans
    return replace(task, first=lambda low, high: note(plan, ref.columns, heap, tid(low), tid(high, after=True)))


def compat_task(plan: Plan, ref: ReferencePlan, heap: TableName, setup: str) -> BackfillTask:
    """The compat column of a reference, in one of its heaps."""

    def fill(low: sql.Composable, high: sql.Composable) -> Query:
        return fill_compat(plan, ref, low, high, heap)

    name = f"{heap}.{ref.columns.compat_column}"
    return _of_blocks(name, heap, fill, lambda low, high: compat_left(ref, low, high, heap), setup)


def _of_blocks(name: str, heap: TableName, fill: RangeStatement, left: RangeStatement, setup: str) -> BackfillTask:
    """Range by range of heap blocks. `fill(low, high)`, `left(low, high)`: from the tid `low` to before `high`."""
    return BackfillTask(
        name=name,
        unit="blocks",
        bound=block_bound(heap),
        cut=block_cut,
        statement=lambda low, high: fill(tid(low), tid(high, after=True)),
        left=lambda low, high: left(tid(low), tid(high, after=True)),
        first_size=BLOCKS,
        setup=setup,
        heap=heap,
    )
