"""The plan with other partitions than it was made with: some have gone, some have come. Pure.

A partition that comes after `prepare` is described as `prepare` would have found it: with the columns of its table, and with the
indexes that the server gave it as parts of the table's. Its own names are kept. Where swap's part of an index is there already, that
one's name is kept too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from swap.catalog.model import Catalog, ForeignKey, Index, Table
from swap.core.names import TableName, derive
from swap.plan.direction import Direction
from swap.plan.model import IndexPlan, PartOf, Plan, ReferencePlan, SwappedTable

IndexName = tuple[str, str]
"""Schema and name of an index."""


def without_partitions(plan: Plan, gone: set[TableName]) -> Plan:
    """The plan as it would be without the partitions `gone`."""
    references = tuple(_without(r, gone) for r in plan.references)
    swapped = tuple(_swapped(t, gone) for t in plan.swapped)
    return replace(plan, catalog=_left(plan.catalog, gone), references=references, swapped=swapped)


def _swapped(t: SwappedTable, gone: set[TableName]) -> SwappedTable:
    shadows = {p.shadow for p in t.partitions if p.name in gone}
    left = tuple(p for p in t.partitions if p.name not in gone)
    return replace(t, partitions=left, parts=tuple(i for i in t.parts if i.table not in shadows))


def _left(catalog: Catalog, gone: set[TableName]) -> Catalog:
    tables = tuple(replace(t, partitions=tuple(p for p in t.partitions if p.name not in gone)) for t in catalog.tables)
    keys = tuple(_key(fk, gone) for fk in catalog.foreign_keys if fk.table not in gone)
    source = next((t for t in tables if t.name == catalog.source.name), catalog.source)
    return replace(catalog, tables=tables, source=source, foreign_keys=keys)


def _key(fk: ForeignKey, gone: set[TableName]) -> ForeignKey:
    return replace(fk, parts=tuple(p for p in fk.parts if p[0] not in gone))


def _without(ref: ReferencePlan, gone: set[TableName]) -> ReferencePlan:
    parts, spares, compat = (
        tuple(i for i in some if i.table not in gone) for some in (ref.parts, ref.spare_parts, ref.compat_indexes)
    )
    return replace(ref, parts=parts, spare_parts=spares, compat_indexes=compat)


@dataclass(frozen=True)
class NewPartition:
    """A partition as it is now. `own`: the foreign keys that it has of its own. `parts`: the name of its part of a key, by the table
    and the name of that key."""

    table: Table
    own: tuple[ForeignKey, ...]
    parts: Mapping[tuple[TableName, str], str]


def with_partitions(plan: Plan, root: TableName, come: Sequence[NewPartition], direction: Direction) -> Plan:
    """The plan with the partitions `come` of the table `root`, upper levels first."""
    table = plan.catalog.table(root)
    above = {(x.name.schema, i.name): i for x in (table, *table.partitions) for i in x.indexes}
    before = tuple(_as_before(table, p.table, above) for p in come)
    tables = tuple(replace(t, partitions=(*t.partitions, *before)) if t.name == root else t for t in plan.catalog.tables)
    catalog = replace(plan.catalog, tables=tables, foreign_keys=_with_keys(plan.catalog, root, come))
    made = replace(plan, catalog=catalog)
    for p in come:
        references = tuple(_with_parts(r, p.table, direction) if r.table == root else r for r in made.references)
        made = replace(made, references=references)
    return made


def _as_before(root: Table, now: Table, above: dict[IndexName, Index]) -> Table:
    """As `prepare` would have found it. The names of its NOT NULLs are its own: in both directions the column that must have a value has
    the application's name. `above`: the indexes of the application; its own are added."""
    named = {c.name: c.not_null_name for c in now.columns}
    columns = tuple(replace(c, not_null_name=named.get(c.name, c.not_null_name), not_null_comment="") for c in root.columns)
    for i in now.indexes:
        whole = above.get((i.parent[0], i.parent[1])) if i.parent else None
        if whole is not None:
            made = replace(whole, name=i.name, parent=i.parent, replident=i.replident, comment="", clustered=False)
            above[now.name.schema, i.name] = made
    indexes = tuple(above[now.name.schema, i.name] for i in now.indexes if (now.name.schema, i.name) in above)
    return replace(now, columns=columns, indexes=indexes, checks=(), triggers=(), policies=(), publications=())


def _with_keys(catalog: Catalog, root: TableName, come: Sequence[NewPartition]) -> tuple[ForeignKey, ...]:
    """Each key of the table, or of a partition that is divided again, with its part on every new partition under it. Where the server
    has no such part (of a key over the uuids, after a cutover), it would be called like the key."""
    tables = (*(p for t in catalog.tables for p in t.partitions), *(p.table for p in come))
    above = {p.name: p.parent for p in tables}
    out = []
    for fk in catalog.foreign_keys:
        if fk.holder == root and catalog.table(fk.table).kind == "p":
            under = [p for p in come if p.table.kind == "r" and fk.table in _ancestors(p.table.name, above)]
            parts = ((p.table.name, p.parts.get((fk.table, fk.name), fk.name)) for p in under)
            out.append(replace(fk, parts=(*fk.parts, *parts)))
        else:
            out.append(fk)
    return (*out, *(fk for p in come for fk in p.own))


def _ancestors(name: TableName, above: Mapping[TableName, TableName | None]) -> set[TableName]:
    found: set[TableName] = set()
    at = above.get(name)
    while at is not None:
        found.add(at)
        at = above.get(at)
    return found


def _with_parts(ref: ReferencePlan, table: Table, direction: Direction) -> ReferencePlan:
    """With the indexes of one more partition."""
    live = {(i.table.schema, i.final_name): i for i in (*ref.indexes, *ref.parts) if i.final_name}
    parts, spares = [], []
    for index in table.indexes:
        above = live.get((index.parent[0], index.parent[1])) if index.parent else None
        if above is not None:
            parts.append(_part(ref, table, index, above, direction))
            if above.is_primary and ref.spare_primary:
                spares.append(_spare(ref, table, index))
    compat = [_compat_part(ref, table, i) for i in ref.compat_indexes if i.on_only and i.table == table.parent]
    return replace(
        ref,
        parts=(*ref.parts, *parts),
        spare_parts=(*ref.spare_parts, *spares),
        compat_indexes=(*ref.compat_indexes, *compat),
    )


def _part(ref: ReferencePlan, table: Table, index: Index, above: IndexPlan, direction: Direction) -> IndexPlan:
    """The part of `above` on a new partition. `index`: what has the application's name there. The text is that of a sibling."""
    model, ahead = _sibling(ref, (*ref.indexes, *ref.parts), table, above), direction is Direction.FORWARD
    there = _part_of(table, above.table.schema, above.build_name if ahead else above.names[1])
    return replace(
        model,
        table=table.name,
        build_name=(there if ahead else None) or derive(index.name, "_new"),
        final_name=index.name,
        retired_name=(None if ahead else there) or derive(index.name, "_legacy"),
        attributes=replace(model.attributes, comment="", clustered=False, replica_identity=index.replident),
        constraint=replace(model.constraint, comment="") if model.constraint else None,
        part_of=PartOf(above.table, above.build_name),
    )


def _compat_part(ref: ReferencePlan, table: Table, above: IndexPlan) -> IndexPlan:
    """The part of a compat index. The server has made one where the index above it is there already."""
    number = ref.compat_indexes.index(ref.top_of(above))
    there = _part_of(table, above.table.schema, above.build_name)
    return replace(
        _sibling(ref, ref.compat_indexes, table, above),
        table=table.name,
        build_name=there or derive(f"{table.name.name}_{number}", f"_{ref.columns.number}_compat"),
        part_of=PartOf(above.table, above.build_name),
    )


def _sibling(ref: ReferencePlan, among: Sequence[IndexPlan], table: Table, above: IndexPlan) -> IndexPlan:
    """Another part of the same index of the partitioned table, on a table of the same kind."""
    top, divided = ref.top_of(above), table.kind == "p"
    return next(i for i in among if i.on_only == divided and ref.is_part(i, top))


def _part_of(table: Table, schema: str, index: str) -> str | None:
    """What the table's part of an index is called; None where it has none."""
    return next((i.name for i in table.indexes if i.parent and (i.parent[0], i.parent[1]) == (schema, index)), None)


def _spare(ref: ReferencePlan, table: Table, index: Index) -> IndexPlan:
    assert ref.spare_primary is not None
    divided = table.kind == "p"
    model = next(i for i in (ref.spare_primary, *ref.spare_parts) if i.on_only == divided)
    return replace(model, table=table.name, build_name=derive(index.name, "_legacy"))
