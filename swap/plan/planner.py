"""From the catalog and the configuration to the plan: which columns are references, which indexes have to be built, and
what everything is called on the way. Pure; what the server has to rewrite (swap.plan.rewrite) comes in as text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from swap.catalog.model import Catalog, ForeignKey, Index, Table
from swap.core.config import Config
from swap.core.errors import RefusedError
from swap.core.names import TableName, derive, expand, parse_table, with_part
from swap.plan.key_columns import key_columns, unvouched
from swap.plan.model import (
    PRIMARY,
    BackedConstraint,
    ColumnPair,
    IndexAttributes,
    IndexPlan,
    PartOf,
    Plan,
    RefColumns,
    ReferencePlan,
    Rename,
    is_identity_index,
)
from swap.plan.policies import new_policies

LEFT = re.compile(r"^~swap_guard_(\d+)_")


def reference_columns(catalog: Catalog, config: Config) -> tuple[RefColumns, ...]:
    """Every reference: from the catalog's foreign keys, overridden and completed by the configuration."""
    source = catalog.source
    key, identity = config.source.key, config.identity.column
    declared = {(str(r.table), r.column): r for r in config.reference}
    found = key_columns(catalog, key, [(parse_table(r.table), r.column) for r in config.reference])
    by_name = {(parse_table(t), c): r for (t, c), r in declared.items()}
    adopted_by_fk = {
        fk.holder: fk.columns[0]
        for fk in sorted(catalog.incoming, key=lambda fk: fk.name)  # of several the last: the same in every copy of the database
        if fk.target_columns == (identity,) and _only_reference(found, fk.holder)
    }
    out = []
    for number, ((table, column), fks) in enumerate(sorted(found.items(), key=lambda kv: kv[0]), _first_number(catalog)):
        override = by_name.get((table, column))
        info = catalog.table(table)
        col = info.column(column)
        if col is None:
            raise RefusedError(f"The reference {table}.{column} of the configuration has no such column.")
        uuid_column = (override and override.uuid_column) or adopted_by_fk.get(table) or with_part(column, "uuid")
        existing = info.column(uuid_column)
        out.append(
            RefColumns(
                number=number,
                table=table,
                oid=info.oid,
                column=column,
                uuid_column=uuid_column,
                legacy_column=(override and override.legacy_column) or with_part(column, "legacy"),
                adopted=existing is not None,
                declared=bool(unvouched(catalog, info, column, fks)),
                own=table == source.name,
                not_null=col.not_null and not (override and override.where),
                deferrable=_deferrable(info, fks),
                where=override.where if override else None,
                compat_column=derive(uuid_column, "_compat") if config.names.compat else None,
            )
        )
    return tuple(out)


def key_pair(config: Config) -> ColumnPair:
    """The source's key, the identity that takes its name, and the key's name afterwards."""
    return ColumnPair(config.source.key, config.identity.column, config.names.legacy_key)


def _first_number(catalog: Catalog) -> int:
    """Beyond the guards that an earlier run left on these tables: `finalize` keeps them as long as the integers, and a
    table's triggers need names of their own."""
    names = (LEFT.match(t.name) for table in catalog.tables for t in table.triggers)
    return 1 + max((int(n[1]) for n in names if n), default=0)


def _deferrable(table: Table, fks: Iterable[ForeignKey]) -> bool:
    """Whether a row may wait for its parent until the transaction's end: somewhere, where partitions have keys of their own."""
    waits = [[fk.deferrable for fk in fks if heap.name in fk.heaps] for heap in table.heaps]
    return any(w and all(w) for w in waits)


def _only_reference(found: Iterable[tuple[TableName, str]], table: TableName) -> bool:
    return sum(1 for t, _ in found if t == table) == 1


def make_plan(
    catalog: Catalog,
    config: Config,
    references: tuple[RefColumns, ...],
    rewritten: dict[tuple[TableName, str], str],
) -> Plan:
    """`rewritten`: index definitions over the uuid columns, as the server prints them (swap.plan.rewrite)."""
    source = catalog.source
    table, identity = source.name, config.identity.column
    shadow = table.renamed(expand(config.names.shadow, table.name))
    own = tuple(r for r in references if r.own)
    key_index = IndexPlan(
        shadow,
        derive(f"{table.name}_{config.names.legacy_key}", "_key"),
        True,
        f"USING btree ({_q(config.source.key)})",
    )
    has_identity = source.column(identity) is not None
    unique_identity = any(i.valid and is_identity_index(i, identity) for i in source.indexes)
    identity_index = None
    if not unique_identity:
        name = derive(f"{table.name}_{identity}", "_key")
        identity_index = IndexPlan(table, name, True, f"USING btree ({_q(identity)})")
    return Plan(
        catalog=catalog,
        state_schema=config.names.state_schema,
        source=table,
        shadow=shadow,
        retired=table.renamed(expand(config.names.retired, table.name)),
        key=config.source.key,
        legacy_key=config.names.legacy_key,
        identity=identity,
        identity_added=not has_identity,
        generate=config.identity.generate,
        references=tuple(_reference_plan(catalog, r, references, rewritten) for r in references if not r.own),
        own_references=own,
        key_index=key_index,
        identity_index=identity_index,
        indexes=_shadow_indexes(source, shadow, identity, rewritten),
        retired_indexes=tuple(Rename(i.name, derive(i.name, "_old")) for i in source.indexes),
        new_policies=new_policies(catalog, config)[0],
        compat_column=derive(identity, "_compat") if config.names.compat else None,
        mode=config.sync.mode,
        legacy_overflow=config.source.legacy_overflow,
    )


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _shadow_indexes(
    source: Table, shadow: TableName, identity: str, rewritten: dict[tuple[TableName, str], str]
) -> tuple[IndexPlan, ...]:
    return tuple(
        IndexPlan(
            table=shadow,
            build_name=derive(i.name, "_new"),
            unique=i.unique,
            definition=rewritten.get((source.name, i.name), i.recipe),
            final_name=i.name,
            retired_name=derive(i.name, "_old"),
            constraint=_constraint(i),
            as_constraint=i.exclusion,
            attributes=_attributes(i, tablespace=i.tablespace),
        )
        for i in source.indexes
        if i.valid and not is_identity_index(i, identity)
    )


def _constraint(index: Index) -> BackedConstraint | None:
    if index.constraint_type is None:
        return None
    return BackedConstraint(index.constraint_type, index.deferrable, index.deferred, index.constraint_comment)


def _attributes(index: Index, tablespace: str = "") -> IndexAttributes:
    """`tablespace`: only where the text of the index does not say it."""
    return IndexAttributes(index.comment, tablespace, index.statistics, index.clustered, index.replident)


def _reference_plan(
    catalog: Catalog,
    ref: RefColumns,
    references: tuple[RefColumns, ...],
    rewritten: dict[tuple[TableName, str], str],
) -> ReferencePlan:
    info = catalog.table(ref.table)
    first = min(r.number for r in references if r.table == ref.table) == ref.number
    mine = [
        i
        for i in info.indexes
        if (ref.table, i.name) in rewritten and ref.column in i.columns and (first or not _earlier(i, ref, references))
    ]
    existing = {i.tail: i.name for i in info.indexes if i.constraint is None}
    plans, spare = [], None
    for i in mine:
        definition = _definition(info, i, rewritten)
        adopted = existing.get(definition) if i.constraint is None and info.kind != "p" else None
        plans.append(
            IndexPlan(
                table=ref.table,
                build_name=adopted or derive(i.name, "_new"),
                unique=i.unique,
                definition=definition,
                final_name=i.name,
                retired_name=derive(i.name, "_legacy"),
                constraint=_constraint(i),
                attributes=_attributes(i),
                adopted=adopted is not None,
                on_only=info.kind == "p",
            )
        )
        if i.primary:
            spare = _spare(info, i)
    column = info.column(ref.column)
    parts = _parts(info, plans, rewritten)
    spares = _spare_parts(info, parts) if spare else ()
    return ReferencePlan(
        ref, tuple(plans), spare, column.not_null_name if column else None, parts=parts, spare_parts=spares
    )  # fmt: skip


def _definition(table: Table, index: Index, rewritten: dict[tuple[TableName, str], str]) -> str:
    """A partitioned table's primary key is made by its own text, in the exchange: its names mean the uuid then."""
    if table.kind == "p" and index.primary:
        return index.constraint_definition
    return rewritten[(table.name, index.name)]


def _spare(table: Table, index: Index) -> IndexPlan:
    divided = table.kind == "p"
    definition = index.constraint_definition if divided else index.tail
    name = derive(index.name, "_legacy")
    return IndexPlan(table.name, name, unique=True, definition=definition, constraint=BackedConstraint(PRIMARY), on_only=divided)


def _spare_parts(table: Table, parts: tuple[IndexPlan, ...]) -> tuple[IndexPlan, ...]:
    """Of each partition's part of a primary key."""
    out = []
    for p in table.partitions:
        for part in (x for x in parts if x.table == p.name and x.is_primary):
            index = next(i for i in p.indexes if i.name == part.final_name)
            out.append(_spare(p, index))
    return tuple(out)


def _parts(table: Table, tops: list[IndexPlan], rewritten: dict[tuple[TableName, str], str]) -> tuple[IndexPlan, ...]:
    """The indexes of the partitions that make up `tops`, level by level; each goes by its own text, for a partition may
    keep it elsewhere or with other options."""
    above = {(i.table.schema, i.final_name): i for i in tops}
    out = []
    for p in table.partitions:
        for i in p.indexes:
            parent = above.get((i.parent[0], i.parent[1])) if i.parent else None
            if parent is None or (p.name, i.name) not in rewritten:
                continue
            plan = IndexPlan(
                table=p.name,
                build_name=derive(i.name, "_new"),
                unique=i.unique,
                definition=_definition(p, i, rewritten),
                final_name=i.name,
                retired_name=derive(i.name, "_legacy"),
                constraint=_constraint(i),
                attributes=_attributes(i),
                on_only=p.kind == "p",
                part_of=PartOf(parent.table, parent.build_name),
            )
            above[p.name.schema, i.name] = plan
            out.append(plan)
    return tuple(out)


def _earlier(index: Index, ref: RefColumns, references: tuple[RefColumns, ...]) -> bool:
    return any(r.table == ref.table and r.number < ref.number and r.column in index.columns for r in references)
