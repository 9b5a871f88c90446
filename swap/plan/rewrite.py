"""Indexes and statistics over the uuid columns, as the server prints them (swap.catalog.scratch).

A scratch table has the columns by their names *after* the cutover. swap creates the index there by the application's own
text, and renames the columns to their names *before* the cutover. The server then prints the text that builds the
equivalent beside the old index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from swap.catalog.model import Catalog, Index, Statistics, Table
from swap.catalog.scratch import CannotBuildError, ScratchColumn, like, scratch_table
from swap.core.connection import Connection
from swap.core.names import TableName, derive
from swap.plan.model import TABLE, ColumnPair, RefColumns, is_identity_index


@dataclass(frozen=True)
class RewriteFailure:
    """An index, or a statistics object, whose definition cannot hold the new type."""

    table: TableName
    index: str
    reason: str
    kind: str = "index"


@dataclass(frozen=True)
class Rewritten:
    """`definitions`: the text of every index that contains a reference or the key, by table and name.

    `statistics`: the objects that must be built, over the uuid columns. `failures`: what cannot hold a uuid. `beside`: the text over
    the uuid columns of every index that contains the integer of a companion, where there is one. The index itself stays.
    """

    definitions: dict[tuple[TableName, str], str]
    statistics: tuple[Statistics, ...]
    failures: tuple[RewriteFailure, ...]
    beside: dict[tuple[TableName, str], str] = field(default_factory=dict)


def rewrite(conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair) -> Rewritten:
    """Rewrite every index and statistics object that contains a key. Locks nothing: it reads the catalog only."""
    definitions, failures = _indexes(conn, catalog, references, key)
    statistics, more = _statistics(conn, catalog, references, key)
    return Rewritten(definitions, statistics, (*failures, *more), _beside(conn, catalog, references, key))


def _pairs(catalog: Catalog, table: TableName, references: Sequence[RefColumns], key: ColumnPair) -> list[ColumnPair]:
    """The pairs of a table; the source's begin with the key."""
    own = [key] if table == catalog.source.name else []
    return [*own, *(r.pair for r in references if r.table == table and not r.companion)]


def _rebuilt(catalog: Catalog, references: Sequence[RefColumns]) -> set[TableName]:
    """The tables that get a shadow."""
    return {catalog.source.name, *(r.table for r in references if r.strategy == TABLE)}


def _indexes(
    conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair
) -> tuple[dict[tuple[TableName, str], str], list[RewriteFailure]]:
    definitions: dict[tuple[TableName, str], str] = {}
    failures: list[RewriteFailure] = []
    rebuilt = _rebuilt(catalog, references)
    known: dict[tuple[object, ...], str] = {}  # partitions are alike: to rewrite three hundred one by one took seconds
    for root, table in ((t, x) for t in catalog.tables for x in (t, *t.partitions)):
        pairs = _pairs(catalog, root.name, references, key)
        for index in _to_rewrite(table, pairs, key.uuid, rebuilt=root.name in rebuilt):
            alike = (root.name, table.columns, index.recipe, index.unique, index.constraint_type, table.kind)
            try:
                text = known.get(alike) or _index(conn, table, index, pairs)
            except CannotBuildError as e:
                failures.append(RewriteFailure(table.name, index.name, str(e)))
            else:
                known[alike] = definitions[table.name, index.name] = text
    return definitions, failures


def _beside(
    conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair
) -> dict[tuple[TableName, str], str]:
    """As if the uuid took the integer's name. A text that cannot hold a uuid has no equivalent: nothing depends on one."""
    found: dict[tuple[TableName, str], str] = {}
    for name in dict.fromkeys(r.table for r in references if r.companion):
        root = catalog.table(name)
        companions = [r for r in references if r.table == name and r.companion]
        integers = {r.column for r in companions}
        taken = [ColumnPair(r.column, r.uuid_column, derive(r.column, "_swap")) for r in companions]
        pairs = [*_pairs(catalog, name, references, key), *taken]
        for table in (root, *root.partitions):
            for index in table.indexes:
                if index.valid and not index.exclusion and integers.intersection(index.columns):
                    with suppress(CannotBuildError):
                        found[table.name, index.name] = _index(conn, table, index, pairs, constraints=False)
    return found


def _to_rewrite(table: Table, pairs: list[ColumnPair], identity: str, *, rebuilt: bool) -> Iterator[Index]:
    """The indexes of a table that contain an integer and need an equivalent over the uuid."""
    integers, uuids = {p.integer for p in pairs}, {p.uuid for p in pairs}
    for index in table.indexes:
        if not index.valid or not integers.intersection(index.columns) or is_identity_index(index, identity):
            continue
        if uuids.intersection(index.columns):
            continue  # over the uuid column itself: it follows the rename by number
        if index.exclusion and not rebuilt:
            continue  # it stays on the integer: it cannot be built beside writers
        yield index


def _index(conn: Connection, table: Table, index: Index, pairs: list[ColumnPair], *, constraints: bool = True) -> str:
    with scratch_table(conn, _columns(table, pairs)) as scratch:
        scratch.add_index(index.recipe, unique=index.unique, as_constraint=index.exclusion, path=index.meaning.path)
        as_constraint = constraints and table.kind == "p" and index.constraint_type in ("p", "u")
        if as_constraint:
            scratch.make_constraint(primary=index.primary)
        for r in reversed([r for p in pairs for r in p.renames]):
            scratch.rename(r.after, r.before)
        made = scratch.index
        return made.constraint_definition if as_constraint else made.recipe


def _statistics(
    conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair
) -> tuple[tuple[Statistics, ...], list[RewriteFailure]]:
    built: list[Statistics] = []
    failures: list[RewriteFailure] = []
    for s in catalog.statistics:
        pairs = _pairs(catalog, s.table, references, key)
        integers, uuids = {p.integer for p in pairs}, {p.uuid for p in pairs}
        if not integers.intersection(s.columns) or uuids.intersection(s.columns):
            # On a reference, an object that names no integer follows by number.
            built += [s] if s.table in _rebuilt(catalog, references) else []
            continue
        table = catalog.table(s.table)
        try:
            with scratch_table(conn, _columns(table, pairs)) as scratch:
                scratch.add_statistics(s)
                for r in reversed([r for p in pairs for r in p.renames]):
                    scratch.rename(r.after, r.before)
                built.append(replace(s, body=scratch.statistics))
        except CannotBuildError as e:
            failures.append(RewriteFailure(table.name, str(s.name), str(e), "statistics"))
    return tuple(built), failures


def _columns(table: Table, pairs: list[ColumnPair]) -> list[ScratchColumn]:
    """The table's columns by their names after the cutover, with the uuid's type where a uuid takes an integer's name."""
    after = {r.before: r.after for p in pairs for r in p.renames}
    types = {p.integer: p.type for p in pairs}  # of the names that uuids take
    named = {after.get(c.name, c.name): like(c) for c in table.columns}
    columns = [ScratchColumn(n, types.get(n, c.type), c.collation) for n, c in named.items()]
    return [*columns, *(ScratchColumn(u, types[u]) for u in sorted(types.keys() - set(named)))]
