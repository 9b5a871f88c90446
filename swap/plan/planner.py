"""From the catalog and the configuration to the plan: which index is built where, and what everything is called on the way.

Pure. References come from swap.plan.references, indexes from swap.plan.indexes, and the texts that the server has to
rewrite from swap.plan.rewrite.
"""

from __future__ import annotations

from swap.catalog.model import Catalog, Table
from swap.core.config import Config
from swap.core.names import TableName, derive
from swap.plan.indexes import Definitions, companion_plan, plain_unique, reference_plan, shadow_indexes
from swap.plan.model import COLUMN, DERIVED, TABLE, IndexPlan, Plan, RefColumns, Rename, SwappedTable, is_identity_index
from swap.plan.partitioned import partitioned_source
from swap.plan.policies import new_policies
from swap.plan.rewrite import NOTHING, Rewritten
from swap.plan.strategy import existing
from swap.plan.table_names import retired_name, shadow_name
from swap.plan.texts import new_texts


def make_plan(catalog: Catalog, config: Config, references: tuple[RefColumns, ...], definitions: Rewritten = NOTHING) -> Plan:
    """`references`: with their strategies. `definitions`: of what holds a key. Raises UsageError where [identity] cannot be as it is
    configured."""
    source, rewritten = catalog.source, definitions.definitions
    table, identity = source.name, config.identity.column
    where_from = existing(catalog, config, references)
    has_identity_index = any(i.valid and is_identity_index(i, identity) for i in source.indexes)
    rebuilt = dict.fromkeys(r.table for r in references if r.strategy == TABLE and not r.own)
    return Plan(
        catalog=catalog,
        state_schema=config.names.state_schema,
        swapped=tuple(
            _swapped(number, t, config, references, rewritten)
            for number, t in enumerate([source, *(catalog.table(name) for name in rebuilt)])
        ),
        key=config.source.key,
        legacy_key=config.names.legacy_key,
        identity=identity,
        existing=where_from,
        generate=config.identity.generate,
        references=tuple(
            companion_plan(catalog, r, references, definitions.beside)
            if r.companion
            else reference_plan(catalog, r, references, rewritten)
            for r in references
            if r.strategy == COLUMN
        ),
        identity_index=None
        if has_identity_index or where_from == DERIVED
        else plain_unique(table, f"{table.name}_{identity}", (identity,)),
        new_policies=new_policies(catalog, config)[0],
        texts=new_texts(catalog, config)[0],
        whens=definitions.whens,
        compat_column=derive(identity, "_compat") if config.names.compat else None,
        mode=config.sync.mode,
        legacy_overflow=config.source.legacy_overflow,
        resolver_roles=tuple(config.names.resolver_roles),
    )


def _swapped(
    number: int, table: Table, config: Config, references: tuple[RefColumns, ...], rewritten: Definitions
) -> SwappedTable:
    """The source (number 0), or a table that is rebuilt for its references."""
    name = table.name
    shadow = shadow_name(config, name)
    if table.kind == "p":
        return partitioned_source(table, config, references, rewritten)
    indexes = shadow_indexes(table, shadow, config.identity.column if number == 0 else "", rewritten)
    if number == 0:
        key: tuple[str, ...] = (config.source.key,)
        key_index = plain_unique(shadow, f"{name.name}_{config.names.legacy_key}", key)
    else:
        assert table.primary_key is not None
        key = table.primary_key.key_columns
        key_index = next(i for i in indexes if i.is_primary)
    return SwappedTable(
        number=number,
        name=name,
        shadow=shadow,
        retired=retired_name(config, name),
        key=key,
        references=tuple(r for r in references if r.table == name and r.strategy == TABLE),
        key_index=key_index,
        indexes=indexes,
        retired_indexes=tuple(Rename(i.name, derive(i.name, "_old")) for i in table.indexes),
        pair_index=_pair_index(config, name, shadow) if number == 0 and config.sync.mode == "logical" else None,
    )


def _pair_index(config: Config, source: TableName, shadow: TableName) -> IndexPlan:
    columns = (config.identity.column, config.source.key)
    return plain_unique(shadow, f"{source.name}_{config.names.legacy_key}_pair", columns)
