"""Indexes over compat columns.

Every index that will contain the new key gets an equivalent over the compat column, because `ON CONFLICT (user_uuid_id)`
and lookups by that name need it. The server prints the definition (swap.catalog.scratch): the index is created over the
uuid column of a scratch table, then the column is renamed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from swap.catalog.model import Table
from swap.catalog.scratch import ScratchColumn, like, scratch_table
from swap.core.connection import Connection
from swap.core.names import derive
from swap.plan.model import BackedConstraint, IndexPlan, Plan, ReferencePlan, is_identity_index


@dataclass(frozen=True)
class _Origin:
    """An index over uuid columns that a compat index is made of."""

    name: str
    unique: bool
    definition: str
    path: tuple[str, ...]


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
    """The compat indexes of the shadow. The primary key's takes the name of the identity's own unique index."""
    assert plan.compat_column is not None
    columns = {plan.identity: plan.compat_column}
    columns |= {r.uuid_column: r.compat_column for r in plan.own_references if r.compat_column}
    identity = next((i for i in plan.source_table.indexes if i.valid and is_identity_index(i, plan.identity)), None)
    out = []
    for index in plan.swapped[0].indexes:
        if index.as_constraint:
            continue
        origin = _Origin(
            index.final_name or index.build_name, index.unique and not index.deferrable, index.definition, index.path
        )
        definition = _renamed(conn, plan.source_table, origin, columns)
        if definition is None:
            continue
        name, constraint = derive(origin.name, "_compat"), None
        if index.is_primary and identity is not None:
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
    """The compat indexes of a reference: of its planned indexes, and of the application's own over the uuid column."""
    columns = ref.columns
    if columns.compat_column is None:
        return ()
    table = plan.catalog.table(ref.table)
    planned = {i.build_name for r in plan.references if r.table == ref.table for i in r.indexes}
    origins = [
        _Origin(i.final_name or i.build_name, i.unique and not i.deferrable, i.definition, i.path)
        for i in ref.indexes
        if not i.as_constraint
    ]
    origins += [
        _Origin(i.name, i.unique and not i.deferrable, i.recipe, i.meaning.path)
        for i in table.indexes
        if i.valid and not i.exclusion and columns.uuid_column in i.columns and i.name not in planned
    ]
    found = ((o, _renamed(conn, table, o, {columns.uuid_column: columns.compat_column})) for o in origins)
    return tuple(
        IndexPlan(ref.table, derive(derive(o.name, f"_{columns.number}"), "_compat"), o.unique, text, path=o.path)
        for o, text in found
        if text
    )


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
