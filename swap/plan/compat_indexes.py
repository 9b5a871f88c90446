"""Indexes over compat columns.

Every index that will contain the new key gets an equivalent over the compat column, because `ON CONFLICT (user_uuid_id)`
and lookups by that name need it. The server prints the definition (swap.catalog.scratch): the index is created over the
uuid column of a scratch table, then the column is renamed.

A primary key that contains a reference gets a second unique index over the uuid, too. The exchange makes the key of the first one, and a
revert drops it with the key: without the second one `ON CONFLICT` over the old name would find none until the follow-up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from swap.catalog.model import Table
from swap.catalog.scratch import ScratchColumn, like, scratch_table
from swap.core.connection import Connection
from swap.core.names import TableName, derive
from swap.plan.model import BackedConstraint, IndexPlan, PartOf, Plan, ReferencePlan, is_identity_index, unique_index_of


@dataclass(frozen=True)
class _Origin:
    """An index over uuid columns that a compat index is made of. `index`: what it is called before the cutover, `name`: what the
    application calls it then. `part_of`: of a part, the table and the index above it."""

    table: TableName
    index: str
    name: str
    unique: bool
    definition: str
    path: tuple[str, ...]
    part_of: tuple[TableName, str] | None = None


def with_compat_indexes(conn: Connection, plan: Plan) -> Plan:
    """The plan with a compat index for each index over a column that will have a compat column. Locks nothing."""
    if plan.compat_column is None:
        return plan
    source = replace(plan.swapped[0], indexes=(*plan.swapped[0].indexes, *_of_source(conn, plan)))
    return replace(
        plan,
        swapped=(source, *plan.swapped[1:]),
        references=tuple(replace(r, compat_indexes=_of_reference(conn, plan, r)) for r in plan.references),
    )


def _of_source(conn: Connection, plan: Plan) -> tuple[IndexPlan, ...]:
    """The compat indexes of the shadow. The one of the key's own index takes the name of the identity's own unique index."""
    assert plan.compat_column is not None
    columns = {plan.identity: plan.compat_column}
    columns |= {r.uuid_column: r.compat_column for r in plan.own_references if r.compat_column}
    identity = next((i for i in plan.source_table.indexes if i.valid and is_identity_index(i, plan.identity)), None)
    serves = unique_index_of(plan.source_table, plan.key)
    out = []
    for index in plan.swapped[0].indexes:
        if index.as_constraint:
            continue
        name = index.final_name or index.build_name
        origin = _Origin(plan.shadow, index.build_name, name, index.unique and not index.deferrable, index.definition, index.path)
        definition = _renamed(conn, plan.source_table, origin, columns)
        if definition is None:
            continue
        name, constraint = derive(origin.name, "_compat"), None
        if serves is not None and index.final_name == serves.name and identity is not None:
            name = identity.name
            constraint = BackedConstraint(identity.constraint_type) if identity.constraint_type else None
        out.append(
            IndexPlan(
                plan.shadow, derive(name, "_new"), origin.unique, definition, final_name=name, retired_name=derive(name, "_old"),
                constraint=constraint, path=index.path,
            )
        )  # fmt: skip
    return tuple(out)


def _of_reference(conn: Connection, plan: Plan, ref: ReferencePlan) -> tuple[IndexPlan, ...]:
    """The compat indexes of a reference: of its planned indexes, and of the application's own over the uuid column. An index over
    several references belongs to the first of them, and is over the compat columns of all. Of a partitioned table each part has one."""
    root, columns = plan.catalog.table(ref.table), _compat_columns(plan, ref)
    if ref.columns.compat_column is None:
        return ()
    known: dict[tuple[object, ...], str | None] = {}  # partitions are alike
    made: dict[tuple[TableName, str], IndexPlan] = {}
    for o in [*_planned(ref), *_of_the_application(plan, ref, root)]:
        table = plan.catalog.table(o.table)
        alike = (table.columns, o.definition, o.unique, o.path)
        if alike not in known:
            known[alike] = _renamed(conn, table, o, columns)
        if (text := known[alike]) is not None:
            above = made.get(o.part_of) if o.part_of else None
            made[o.table, o.index] = IndexPlan(
                o.table, derive(derive(o.name, f"_{ref.columns.number}"), "_compat"), o.unique, text, on_only=table.kind == "p",
                part_of=PartOf(above.table, above.build_name) if above else None, path=o.path,
            )  # fmt: skip
    return (*made.values(), *_second_keys(ref, root))


def _second_keys(ref: ReferencePlan, table: Table) -> list[IndexPlan]:
    """Of a plain table, where the application has none like it. It keeps its name, and goes with the compat columns."""
    own = {i.recipe for i in table.indexes if i.valid and i.unique and not i.deferrable}
    return [
        IndexPlan(i.table, ref.second_key_name(i), unique=True, definition=i.definition, path=i.path)
        for i in ref.indexes
        if i.is_primary and not i.on_only and not i.deferrable and i.definition not in own
    ]


def _compat_columns(plan: Plan, ref: ReferencePlan) -> dict[str, str]:
    mine = (r.columns for r in plan.references if r.table == ref.table)
    return {r.uuid_column: r.compat_column for r in mine if r.compat_column}


def _planned(ref: ReferencePlan) -> list[_Origin]:
    """The text of a constraint of a partitioned table is no text of an index: that of one of its parts is."""
    leaves = {top: next((p.definition for p in ref.parts if not p.on_only and ref.is_part(p, top)), "") for top in ref.indexes}
    return [
        _Origin(
            table=i.table,
            index=i.build_name,
            name=i.final_name or i.build_name,
            unique=i.unique and not i.deferrable,
            definition=next((leaves[t] for t in ref.indexes if ref.is_part(i, t)), i.definition)
            if i.on_only and i.constraint
            else i.definition,
            path=i.path,
            part_of=(i.part_of.table, i.part_of.index) if i.part_of else None,
        )
        for i in (*ref.indexes, *ref.parts)
        if not i.as_constraint
    ]


def _of_the_application(plan: Plan, ref: ReferencePlan, root: Table) -> list[_Origin]:
    planned = {(i.table, i.build_name) for r in plan.references if r.table == ref.table for i in (*r.indexes, *r.parts)}
    others = (r.columns for r in plan.references if r.table == ref.table and r.columns.compat_column)
    earlier = {r.uuid_column for r in others if r.number < ref.columns.number}
    return [
        _Origin(
            table=t.name,
            index=i.name,
            name=i.name,
            unique=i.unique and not i.deferrable,
            definition=i.recipe,
            path=i.meaning.path,
            part_of=(t.parent, i.parent[1]) if t.parent and i.parent else None,
        )
        for t in (root, *root.partitions)
        for i in t.indexes
        if i.valid
        and not i.exclusion
        and ref.columns.uuid_column in i.columns
        and not earlier.intersection(i.columns)
        and (t.name, i.name) not in planned
    ]


def _renamed(conn: Connection, table: Table, origin: _Origin, columns: dict[str, str]) -> str | None:
    """The definition over the compat columns. None: it contains none of the uuid columns."""
    present = {c.name for c in table.columns}
    scratch_columns = [*map(like, table.columns), *(ScratchColumn(u, "uuid") for u in columns if u not in present)]
    with scratch_table(conn, scratch_columns) as scratch:
        scratch.add_index(origin.definition, unique=origin.unique, path=origin.path)
        if not set(columns) & set(scratch.index.columns):
            return None
        for uuid, other in columns.items():
            scratch.rename(uuid, other)
        return scratch.index.recipe
