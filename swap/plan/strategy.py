"""Which tables are rebuilt beside (TABLE), which get a uuid column in place (COLUMN), and where the source's uuids come from. Pure.

Rebuilt beside, a table of the application's is only read until the cutover. In place, `prepare` adds a column to it and fills
it. One table has one strategy, whatever the number of its references.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from swap.catalog.model import Catalog, Column, Table
from swap.core.config import Config
from swap.core.errors import UsageError
from swap.core.names import TableName, parse_table
from swap.plan.model import ADDED, ADOPTED, COLUMN, DERIVED, TABLE, RefColumns

DEFAULT = TABLE
KEY_TYPES = frozenset(
    [
        "int2",
        "int4",
        "int8",
        "uuid",
        "text",
        "varchar",
        "bpchar",
        "char",
        "name",
        "date",
        "timestamp",
        "timestamptz",
        "time",
        "bytea",
        "numeric",
        "oid",
        "inet",
        "macaddr",
        "bool",
    ]
)  # pg_type.typname, all of pg_catalog


@dataclass(frozen=True)
class Strategy:
    """The strategy of one table. `why_not`: why it cannot be rebuilt beside; empty where it can."""

    table: TableName
    name: str
    why_not: str = ""


def strategies(catalog: Catalog, config: Config, references: Iterable[RefColumns]) -> tuple[Strategy, ...]:
    """The strategy of each table with a reference, the source apart, ordered by name.

    Raises UsageError for two strategies of one table, and for a table that cannot be rebuilt beside and is to be.
    """
    wanted = _configured(config)
    by_table: dict[TableName, list[RefColumns]] = {}
    for ref in references:
        if not ref.own:
            by_table.setdefault(ref.table, []).append(ref)
    return tuple(_strategy(catalog, config, t, refs, wanted.get(t)) for t, refs in sorted(by_table.items()))


def _configured(config: Config) -> dict[TableName, str]:
    wanted: dict[TableName, str] = {}
    for entry in config.reference:
        if entry.strategy is None:
            continue
        table = parse_table(entry.table)
        if wanted.setdefault(table, entry.strategy) != entry.strategy:
            raise UsageError(
                f"The references of {table} have two strategies.", hint="Give all references of one table the same `strategy`."
            )
    return wanted


def _strategy(catalog: Catalog, config: Config, name: TableName, refs: list[RefColumns], wanted: str | None) -> Strategy:
    why_not = _why_not(catalog.table(name), config, refs)
    if wanted == TABLE and why_not:
        raise UsageError(
            f'{name} cannot have strategy = "table": {why_not}.',
            hint=f'Write strategy = "column" for the references of {name}.',
        )
    return Strategy(name, COLUMN if why_not else wanted or DEFAULT, why_not)


def _why_not(table: Table, config: Config, refs: list[RefColumns]) -> str:
    """Why the table has to keep its place; empty where it can be rebuilt beside."""
    primary = table.primary_key
    if table.kind != "r" or table.parent is not None or table.has_children or table.is_child:
        return "it is partitioned or has inheritance children"
    if table.has_rules:
        return "it has rules"
    if config.names.compat:
        return "[names] compat gives its uuid column a second name"
    if any(r.adopted for r in refs):
        return "the application has its uuid column"
    if any(r.where for r in refs):
        return "its reference has a `where`"
    if primary is None:
        return "it has no primary key"
    if odd := [c.name for c in table.columns if c.name in primary.columns and not _ordinary(c)]:
        return f"its primary key's column {odd[0]} has a type that a search_path may give another equality"
    if primary.deferrable:
        return "its primary key is deferrable"
    if config.sync.mode == "logical" and table.replident != "d":
        return "logical capture needs its primary key as the replica identity"
    columns = {r.column for r in refs}
    if excluded := [i.name for i in table.indexes if i.exclusion and columns.intersection(i.columns)]:
        return f"the exclusion constraint {excluded[0]} contains its reference, and goes on over the integer"
    return ""


def _ordinary(column: Column) -> bool:
    return column.base_kind == "e" or (column.base_kind == "b" and column.base_type in KEY_TYPES and column.deterministic)


def with_strategies(references: tuple[RefColumns, ...], chosen: Iterable[Strategy]) -> tuple[RefColumns, ...]:
    """The references, each with the strategy of its table; those of the source have TABLE."""
    names = {s.table: s.name for s in chosen}
    return tuple(replace(r, strategy=TABLE if r.own else names[r.table]) for r in references)


def existing(catalog: Catalog, config: Config, references: Iterable[RefColumns]) -> str:
    """Where the source's uuids come from. Raises UsageError where the configuration wants what cannot be.

    Uuids are derived where no table gets a column in place: a guard would have to compute them in the application's sessions.
    """
    column = catalog.source.column(config.identity.column)
    in_place = sorted({str(r.table) for r in references if r.strategy == COLUMN})
    wanted = config.identity.existing
    if wanted is None:
        if column is not None:
            return ADOPTED
        return DERIVED if DEFAULT == TABLE and not in_place and not config.names.compat else ADDED
    if wanted == ADOPTED and column is None:
        raise UsageError(
            f"[identity] existing is adopted, and {catalog.source.name} has no column {config.identity.column}.",
            hint='Name the application\'s uuid column in [identity] column, or write existing = "derived".',
        )
    if wanted != ADOPTED and column is not None:
        raise UsageError(
            f"[identity] existing is {wanted}, and {catalog.source.name} has a column {column.name}.",
            hint='Write existing = "adopted", or another name in [identity] column.',
        )
    if wanted == DERIVED and (in_place or config.names.compat):
        why = f"{', '.join(in_place)} get a uuid column in place" if in_place else "[names] compat needs a column"
        raise UsageError(
            f"[identity] existing is derived, and {why}.", hint='Write existing = "column", or remove what needs a column.'
        )
    return wanted
