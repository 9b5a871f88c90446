"""From the catalog and the configuration to the plan: which index is built where, and what everything is called on the way.

Pure. References come from swap.plan.references, indexes from swap.plan.indexes, and the texts that the server has to
rewrite from swap.plan.rewrite.
"""

from __future__ import annotations

from swap.catalog.model import Catalog
from swap.core.config import Config
from swap.core.names import TableName, derive, expand
from swap.plan.indexes import plain_unique, reference_plan, shadow_indexes
from swap.plan.model import Plan, RefColumns, Rename, is_identity_index
from swap.plan.policies import new_policies


def make_plan(
    catalog: Catalog, config: Config, references: tuple[RefColumns, ...], rewritten: dict[tuple[TableName, str], str]
) -> Plan:
    """`rewritten`: index definitions over the uuid columns, as the server prints them (swap.plan.rewrite)."""
    source = catalog.source
    table, identity = source.name, config.identity.column
    shadow = table.renamed(expand(config.names.shadow, table.name))
    has_identity_index = any(i.valid and is_identity_index(i, identity) for i in source.indexes)
    return Plan(
        catalog=catalog,
        state_schema=config.names.state_schema,
        source=table,
        shadow=shadow,
        retired=table.renamed(expand(config.names.retired, table.name)),
        key=config.source.key,
        legacy_key=config.names.legacy_key,
        identity=identity,
        identity_added=source.column(identity) is None,
        generate=config.identity.generate,
        references=tuple(reference_plan(catalog, r, references, rewritten) for r in references if not r.own),
        own_references=tuple(r for r in references if r.own),
        key_index=plain_unique(shadow, f"{table.name}_{config.names.legacy_key}", config.source.key),
        identity_index=None if has_identity_index else plain_unique(table, f"{table.name}_{identity}", identity),
        indexes=shadow_indexes(source, shadow, identity, rewritten),
        retired_indexes=tuple(Rename(i.name, derive(i.name, "_old")) for i in source.indexes),
        new_policies=new_policies(catalog, config)[0],
        compat_column=derive(identity, "_compat") if config.names.compat else None,
        mode=config.sync.mode,
        legacy_overflow=config.source.legacy_overflow,
    )
