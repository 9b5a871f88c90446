"""What a swapped table's shadow and its retired table are called. Pure."""

from __future__ import annotations

from swap.core.config import Config, Names
from swap.core.names import TableName, expand


def shadow_name(config: Config, table: TableName) -> TableName:
    """The shadow of the source, or of another swapped table."""
    return _name(config, config.names.shadow, Names().shadow, table)


def retired_name(config: Config, table: TableName) -> TableName:
    """What the table is called after the cutover."""
    return _name(config, config.names.retired, Names().retired, table)


def _name(config: Config, pattern: str, default: str, table: TableName) -> TableName:
    """A pattern without {table} is a name for the source alone: another table gets the default one."""
    mine = pattern if "{table}" in pattern or table == config.source.name else default
    return table.renamed(expand(mine, table.name))
