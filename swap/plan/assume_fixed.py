"""Configuration and references as they are once the blockers of key, identity, references and names are fixed. Pure.

So `doctor` can try what it cannot plan as it is, and one call lists everything that the new type breaks (H25). swap never
builds anything by such a plan.

The key is the column that the primary key names. A column that is in the way gets another name. A column of a wrong type
counts as one of a right type: a view over `user_id` holds over a uuid or does not, whatever `user_id` is today.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from swap.catalog.model import Catalog, Column, Table
from swap.core.config import Config
from swap.core.names import MAX_BYTES, derive, expand
from swap.plan.model import RefColumns


def with_key(source: Table, config: Config) -> Config | None:
    """The configuration with a key that exists and is not the identity column too.

    The key is the configured column, or else the only column of the primary key. None: there is no such column, or it is a
    uuid already.
    """
    primary = source.primary_key
    key = source.column(config.source.key)
    if (key is None or (primary and key.name not in primary.key_columns)) and primary and len(primary.key_columns) == 1:
        key = source.column(primary.key_columns[0])
    if key is None or key.type == "uuid":
        return None
    if config.identity.column == key.name:
        config = _with(config, "identity", column=_free(f"{key.name}_uuid", {c.name for c in source.columns}))
    return _with(config, "source", key=key.name)


def assume_fixed(catalog: Catalog, config: Config, references: tuple[RefColumns, ...]) -> tuple[Config, tuple[RefColumns, ...]]:
    """The configuration and the references as they are once the blockers are fixed. Unchanged where nothing is in the way."""
    source = catalog.source
    config = _names(catalog, config)
    identity = config.identity.column
    taken = {t.name: {c.name for c in t.columns} for t in catalog.tables}
    if not _usable(source.column(identity)):
        config = _with(config, "identity", column=_free(identity, taken[source.name]))
    config = _with(config, "names", legacy_key=_free(config.names.legacy_key, taken[source.name]))
    taken[source.name] |= {config.identity.column, config.names.legacy_key, derive(config.identity.column, "_compat")}
    used: set[tuple[object, str]] = {(source.name, config.identity.column)}
    out = []
    for r in references:
        uuid = r.uuid_column
        if (r.table, uuid) in used or not _usable(catalog.table(r.table).column(uuid)):
            uuid = _free(uuid, taken[r.table])
        used.add((r.table, uuid))
        legacy = r.column if r.companion else _free(r.legacy_column, taken[r.table] | {uuid})
        taken[r.table] |= {uuid, legacy}
        adopted = catalog.table(r.table).column(uuid) is not None
        changed = (uuid, legacy) != (r.uuid_column, r.legacy_column)
        out.append(replace(r, uuid_column=uuid, legacy_column=legacy, adopted=adopted) if changed else r)
    return config, tuple(out)


def _names(catalog: Catalog, config: Config) -> Config:
    """Give the shadow and the retired table names that no copy of another table has."""
    taken = {t.name for t in catalog.tables}
    source = catalog.source.name
    for part in ("shadow", "retired"):
        name = expand(getattr(config.names, part), source.name)
        if source.renamed(name) in taken or len(name.encode()) > MAX_BYTES:
            config = _with(config, "names", **{part: _free(f"{source.name}_{part}", {t.name for t in taken})})
        taken.add(source.renamed(expand(getattr(config.names, part), source.name)))
    return config


def _usable(column: Column | None) -> bool:
    """Whether the name is free, or its column can hold the uuids."""
    return column is None or (column.type == "uuid" and not column.generated)


def _free(name: str, taken: Container[str]) -> str:
    """The name, or one like it that is free."""
    n = 1
    free = name
    while free in taken:
        n += 1
        free = derive(name, f"_{n}")
    return free


def _with(config: Config, section: str, **values: str) -> Config:
    """The configuration with other values in one section."""
    if all(getattr(getattr(config, section), k) == v for k, v in values.items()):
        return config
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})
