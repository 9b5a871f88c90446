"""The triggers of a partitioned source, which stand on both sides while a run exists.

Those of statements are on each partition: the server does not pass them on to partitions. A statement that names a partition fires
those of the partition alone; one that names the whole table fires none of a partition's, but for TRUNCATE. On the side that is only
maintained nothing fires them, as replay names the whole table.

Those of rows the server does pass on: to create one, enable it ALWAYS and drop it again takes a change of the catalog for each
partition each time. With two hundred partitions that was most of the time under the exchange's lock. So the live side has its
triggers from `prepare` on, the shadow gets those of the way back when it is built, and an exchange turns the functions: those of the
live side capture and guard, those of the maintained side do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from swap.core.names import TableName
from swap.core.statement import Statement
from swap.ddl.capture import functions_of_table, idle_functions, row_triggers, truncate_trigger
from swap.ddl.fence import fence_trigger
from swap.ddl.guards import guards_of_key, reference_guard_function, reference_guards, source_guard_function
from swap.ddl.own_triggers import idle_function
from swap.plan.direction import Direction
from swap.plan.model import Plan, SwappedTable


def partition_triggers(plan: Plan, t: SwappedTable, partitions: Iterable[TableName]) -> list[Statement]:
    """Create them on `partitions`, by the names that these have now. Before the first exchange the fence lets everything pass."""
    return [s for name in partitions for s in (truncate_trigger(plan, t, name), fence_trigger(plan, t, name))]


def live_partition_triggers(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Those of the application's partitions."""
    return partition_triggers(plan, t, (p.name for p in t.partitions))


def standing_triggers(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Create on the shadow the triggers of rows of the way back. Its columns have the names of before the cutover."""
    keys = (plan.key, plan.identity)
    guards = guards_of_key(plan, t.shadow, Direction.REVERSE, plan.key)
    for ref in t.references:
        guards += reference_guards(plan, ref, t.shadow, Direction.REVERSE, named=Direction.FORWARD)
    return [*row_triggers(plan, t, Direction.REVERSE, t.shadow, keys), *guards]


def turned_functions(plan: Plan, after: Direction, table_no: int) -> list[Statement]:
    """Make the functions of the standing triggers as the direction `after` needs them: under the exchange's lock, as the triggers of
    both sides are there."""
    out = []
    for t in (t for t in plan.swapped if t.partitioned):
        before = Direction.FORWARD if after is Direction.REVERSE else Direction.REVERSE
        out += [*functions_of_table(plan, t, after, table_no), *idle_functions(plan, t, before)]
        out += _live_guards(plan, t) if after is Direction.REVERSE else _idle_guards(plan, t)
    return out


def _live_guards(plan: Plan, t: SwappedTable) -> list[Statement]:
    references = (reference_guard_function(plan, ref, Direction.REVERSE) for ref in t.references)
    return [source_guard_function(plan, Direction.REVERSE), *references]


def _idle_guards(plan: Plan, t: SwappedTable) -> list[Statement]:
    names = ["guard_reverse", *(f"guard_{ref.number}_reverse" for ref in t.references)]
    return [idle_function(plan, t.name, plan.state(n), "NEW") for n in names]
