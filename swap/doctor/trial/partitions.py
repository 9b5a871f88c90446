"""Which partitions the trial copies: partitions are made alike, and there may be thousands.

Each copy is a table with its indexes, twice, in one transaction. That takes locks, and the server has room for about 6000
by default. So the trial copies some partitions of each table, and every partition that has a foreign key of its own. It
leaves the others out of the plan as a whole: no statement of the trial may name a relation that has no copy (I2).
"""

from __future__ import annotations

from dataclasses import replace

from swap.catalog.model import Catalog, ForeignKey, Table
from swap.core.names import TableName
from swap.plan.model import Plan, ReferencePlan

LEAVES = 40


def some_partitions(plan: Plan) -> Plan:
    """The plan as it would be if the chosen partitions were all."""
    own = {heap for fk in plan.catalog.foreign_keys if fk.root for heap in (fk.heaps if fk.parts else (fk.table,))}
    gone = {p.name for t in plan.catalog.tables for p in _left_out(t, own)}
    if not gone:
        return plan
    references = tuple(_without(r, gone) for r in plan.references)
    return replace(plan, catalog=_catalog(plan.catalog, gone), references=references)


def _left_out(table: Table, own: set[TableName]) -> tuple[Table, ...]:
    chosen = {t.name for t in table.heaps[:LEAVES]} | {t.name for t in table.heaps if t.name in own}
    above = {p.name: p.parent for p in table.partitions}
    for name in tuple(chosen):
        at = above.get(name)
        while at is not None:
            chosen.add(at)
            at = above.get(at)
    return tuple(p for p in table.partitions if p.name not in chosen)


def _catalog(catalog: Catalog, gone: set[TableName]) -> Catalog:
    tables = tuple(replace(t, partitions=tuple(p for p in t.partitions if p.name not in gone)) for t in catalog.tables)
    keys = tuple(_key(fk, gone) for fk in catalog.foreign_keys if fk.table not in gone)
    return replace(catalog, tables=tables, foreign_keys=keys)


def _key(fk: ForeignKey, gone: set[TableName]) -> ForeignKey:
    return replace(fk, parts=tuple(p for p in fk.parts if p[0] not in gone))


def _without(ref: ReferencePlan, gone: set[TableName]) -> ReferencePlan:
    parts, spares = (tuple(i for i in some if i.table not in gone) for some in (ref.parts, ref.spare_parts))
    return replace(ref, parts=parts, spare_parts=spares)
