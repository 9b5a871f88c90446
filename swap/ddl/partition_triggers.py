"""What swap keeps on each partition of a partitioned source: the triggers of statements, which the server does not pass on to partitions.

A statement that names a partition fires those of the partition alone; one that names the whole table fires none of a partition's, but for
TRUNCATE. So they are on the partitions of both sides from `prepare` on, and an exchange leaves them as they are: for two hundred
partitions that is a quarter of its time under the lock. On the side that is only maintained nothing fires them, as replay names the whole
table.
"""

from __future__ import annotations

from collections.abc import Iterable

from swap.core.names import TableName
from swap.core.statement import Statement
from swap.ddl.capture import truncate_trigger
from swap.ddl.fence import fence_trigger
from swap.plan.model import Plan, SwappedTable


def partition_triggers(plan: Plan, t: SwappedTable, partitions: Iterable[TableName]) -> list[Statement]:
    """Create them on `partitions`, by the names that these have now. Before the first exchange the fence lets everything pass."""
    return [s for name in partitions for s in (truncate_trigger(plan, t, name), fence_trigger(plan, t, name))]


def live_partition_triggers(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Those of the application's partitions."""
    return partition_triggers(plan, t, (p.name for p in t.partitions))
