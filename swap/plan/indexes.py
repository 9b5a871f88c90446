"""Which indexes are built before the exchange, and under which names. Pure.

On the shadow: each index of the source. On a reference's table: an equivalent of each index that contains the reference.
An index of a partitioned table is made of the indexes of its partitions, which are built one by one (swap.ddl.partitions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from swap.catalog.model import Catalog, Index, Table
from swap.core.names import TableName, derive
from swap.plan.model import (
    PRIMARY,
    BackedConstraint,
    IndexAttributes,
    IndexPlan,
    PartOf,
    RefColumns,
    ReferencePlan,
    is_identity_index,
)

Definitions = Mapping[tuple[TableName, str], str]
"""Index definitions over the uuid columns, by table and name, as the server prints them (swap.plan.rewrite)."""


def plain_unique(table: TableName, name: str, columns: Iterable[str]) -> IndexPlan:
    """A unique index on plain columns that only swap needs, so it takes no name of the application's."""
    quoted = ", ".join('"' + c.replace('"', '""') + '"' for c in columns)
    return IndexPlan(table, derive(name, "_key"), True, f"USING btree ({quoted})")


def shadow_indexes(table: Table, shadow: TableName, identity: str, rewritten: Definitions) -> tuple[IndexPlan, ...]:
    """Every index of a swapped table, on its shadow. The primary key serves for the identity column's own unique index."""
    return tuple(
        _of_shadow(i, shadow, rewritten.get((table.name, i.name), i.recipe))
        for i in table.indexes
        if i.valid and not is_identity_index(i, identity)
    )


def _of_shadow(index: Index, shadow: TableName, definition: str) -> IndexPlan:
    return IndexPlan(
        table=shadow,
        build_name=derive(index.name, "_new"),
        unique=index.unique,
        definition=definition,
        final_name=index.name,
        retired_name=derive(index.name, "_old"),
        constraint=_constraint(index),
        as_constraint=index.exclusion,
        attributes=_attributes(index, tablespace=index.tablespace),
        path=index.meaning.path,
    )


def top_of_shadow(index: Index, shadow: TableName, definition: str) -> IndexPlan:
    """An index of a partitioned source, on its shadow: made of those of its partitions."""
    return replace(_of_shadow(index, shadow, definition), on_only=True)


def part_of_shadow(table: Table, index: Index, shadow: TableName, definition: str, above: IndexPlan) -> IndexPlan:
    """An index of a partition of the source, on its shadow."""
    part_of = PartOf(above.table, above.build_name)
    return replace(_of_shadow(index, shadow, definition), on_only=table.kind == "p", part_of=part_of)


def reference_plan(
    catalog: Catalog, ref: RefColumns, references: tuple[RefColumns, ...], rewritten: Definitions
) -> ReferencePlan:
    """A reference with every index to build for it. An index over several references belongs to the first of them."""
    table = catalog.table(ref.table)
    mine = [
        i
        for i in table.indexes
        if (ref.table, i.name) in rewritten and ref.column in i.columns and not _is_earlier(i, ref, references)
    ]
    existing = {i.definition: i.name for i in table.indexes if i.constraint is None}
    plans = []
    for i in mine:
        adopted = existing.get(_definition(table, i, rewritten)) if i.constraint is None and table.kind != "p" else None
        plans.append(_equivalent(table, i, rewritten, adopted))
    spare = next((_spare(table, i) for i in reversed(mine) if i.primary), None)
    column = table.column(ref.column)
    parts = _parts(table, plans, rewritten, ref, references)
    return ReferencePlan(
        columns=ref,
        indexes=tuple(plans),
        spare_primary=spare,
        not_null_name=column.not_null_name if column else None,
        parts=parts,
        spare_parts=_spare_parts(table, parts) if spare else (),
    )


def companion_plan(catalog: Catalog, ref: RefColumns, references: tuple[RefColumns, ...], beside: Definitions) -> ReferencePlan:
    """A reference whose integer stays as it is, with an index over its uuid for each index over the integer. These are no part of the
    exchange: they keep the names that they are built under."""
    table = catalog.table(ref.table)
    mine = [
        i
        for i in table.indexes
        if (ref.table, i.name) in beside and ref.column in i.columns and not _is_earlier(i, ref, references)
    ]
    existing = {i.definition: i.name for i in table.indexes if i.constraint is None}
    tops = {
        i.name: _beside(table, i, beside, existing.get(beside[ref.table, i.name]) if table.kind != "p" else None) for i in mine
    }
    above = {(table.name.schema, name): plan for name, plan in tops.items()}
    parts = []
    for p in table.partitions:
        for i in p.indexes:
            parent = above.get((i.parent[0], i.parent[1])) if i.parent else None
            own = not i.parent and ref.column in i.columns and not _is_earlier(i, ref, references)
            if (parent is not None or own) and (p.name, i.name) in beside:
                plan = _beside(p, i, beside, part_of=PartOf(parent.table, parent.build_name) if parent else None)
                above[p.name.schema, i.name] = plan
                parts.append(plan)
    column = table.column(ref.column)
    not_null_name = column.not_null_name if column else None
    return ReferencePlan(columns=ref, indexes=tuple(tops.values()), not_null_name=not_null_name, parts=tuple(parts))


def _beside(
    table: Table, index: Index, beside: Definitions, adopted: str | None = None, part_of: PartOf | None = None
) -> IndexPlan:
    """Where rows of other types have no uuid, an index tells two of them apart only by plain columns and by NULLs that differ. So it is
    unique only then, and never a constraint: the index over the integers goes on refusing what it refuses."""
    plain = not index.expressions and " NULLS NOT DISTINCT" not in index.recipe
    return IndexPlan(
        table=table.name,
        build_name=adopted or derive(index.name, "_uuid"),
        unique=index.unique and plain and not index.deferrable and table.kind != "p" and part_of is None,
        definition=beside[table.name, index.name],
        adopted=adopted is not None,
        on_only=table.kind == "p",
        part_of=part_of,
        path=index.meaning.path,
    )


def _is_earlier(index: Index, ref: RefColumns, references: tuple[RefColumns, ...]) -> bool:
    """Whether a reference of the same kind with a lower number has the index."""
    alike = (r for r in references if r.table == ref.table and r.companion == ref.companion)
    return any(r.number < ref.number and r.column in index.columns for r in alike)


def _equivalent(
    table: Table, index: Index, rewritten: Definitions, adopted: str | None = None, part_of: PartOf | None = None
) -> IndexPlan:
    """The index over the uuid columns, beside the one it replaces. `adopted`: the application's own index that is one."""
    return IndexPlan(
        table=table.name,
        build_name=adopted or derive(index.name, "_new"),
        unique=index.unique,
        definition=_definition(table, index, rewritten),
        final_name=index.name,
        retired_name=derive(index.name, "_legacy"),
        constraint=_constraint(index),
        attributes=_attributes(index),
        adopted=adopted is not None,
        on_only=table.kind == "p",
        part_of=part_of,
        path=index.meaning.path,
    )


def _definition(table: Table, index: Index, rewritten: Definitions) -> str:
    """A partitioned table's primary key keeps its own text: the exchange makes it when its names mean the uuid."""
    if table.kind == "p" and index.primary:
        return index.constraint_definition
    return rewritten[(table.name, index.name)]


def _constraint(index: Index) -> BackedConstraint | None:
    if index.constraint_type is None:
        return None
    return BackedConstraint(index.constraint_type, index.deferrable, index.deferred, index.constraint_comment)


def _attributes(index: Index, tablespace: str = "") -> IndexAttributes:
    """`tablespace`: only where the text of the index does not say it."""
    return IndexAttributes(index.comment, tablespace, index.statistics, index.clustered, index.replident)


def _spare(table: Table, index: Index) -> IndexPlan:
    """The index on the integers that a revert makes the primary key again."""
    divided = table.kind == "p"
    definition = index.constraint_definition if divided else index.definition
    name = derive(index.name, "_legacy")
    return IndexPlan(table.name, name, unique=True, definition=definition, constraint=BackedConstraint(PRIMARY), on_only=divided)


def _spare_parts(table: Table, parts: tuple[IndexPlan, ...]) -> tuple[IndexPlan, ...]:
    """The spare index of each partition's part of a primary key."""
    out = []
    for p in table.partitions:
        for part in (x for x in parts if x.table == p.name and x.is_primary):
            index = next(i for i in p.indexes if i.name == part.final_name)
            out.append(_spare(p, index))
    return tuple(out)


def _parts(
    table: Table, tops: list[IndexPlan], rewritten: Definitions, ref: RefColumns, references: tuple[RefColumns, ...]
) -> tuple[IndexPlan, ...]:
    """The indexes of the partitions that make up `tops`, level by level, and those that a partition has of its own.

    Each goes by its own text: a partition may keep its index in another tablespace or with other options.
    """
    above = {(i.table.schema, i.final_name): i for i in tops}
    out = []
    for p in table.partitions:
        for i in p.indexes:
            parent = above.get((i.parent[0], i.parent[1])) if i.parent else None
            own = not i.parent and not i.primary and ref.column in i.columns and not _is_earlier(i, ref, references)
            if (parent is None and not own) or (p.name, i.name) not in rewritten:
                continue
            plan = _equivalent(p, i, rewritten, part_of=PartOf(parent.table, parent.build_name) if parent else None)
            above[p.name.schema, i.name] = plan
            out.append(plan)
    return tuple(out)
