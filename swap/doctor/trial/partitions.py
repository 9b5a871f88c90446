"""Which partitions the trial copies: partitions are made alike, and there may be thousands.

Each copy is a table with its indexes, twice, in one transaction. That takes locks, and the server has room for about 6000
by default. So the trial copies some partitions of each table, and every partition that has a foreign key of its own. It
leaves the others out of the plan as a whole: no statement of the trial may name a relation that has no copy (I2).
"""

from __future__ import annotations

from swap.catalog.model import Table
from swap.core.names import TableName
from swap.plan.model import Plan
from swap.plan.partitions import without_partitions

LEAVES = 40


def some_partitions(plan: Plan) -> Plan:
    """The plan as it would be if the chosen partitions were all."""
    own = {heap for fk in plan.catalog.foreign_keys if fk.root for heap in (fk.heaps if fk.parts else (fk.table,))}
    gone = {p.name for t in plan.catalog.tables for p in _left_out(t, own)}
    if not gone:
        return plan
    return without_partitions(plan, gone)


def _left_out(table: Table, own: set[TableName]) -> tuple[Table, ...]:
    chosen = {t.name for t in table.heaps[:LEAVES]} | {t.name for t in table.heaps if t.name in own}
    above = {p.name: p.parent for p in table.partitions}
    for name in tuple(chosen):
        at = above.get(name)
        while at is not None:
            chosen.add(at)
            at = above.get(at)
    return tuple(p for p in table.partitions if p.name not in chosen)
