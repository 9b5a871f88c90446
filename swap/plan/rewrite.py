"""Indexes and statistics over the uuid columns, as the server prints them (swap.catalog.scratch).

A scratch table has the columns by their names *after* the cutover. swap creates the index there by the application's own
text, and renames the columns to their names *before* the cutover. The server then prints the text that builds the
equivalent beside the old index.

A text that cannot hold a uuid stays over the integer, as CHECKs and policies do, where that loses nothing (swap.plan.over_integers).
[[index]] gives another text, over the columns of after the cutover.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from swap.catalog.model import Catalog, Index, Statistics, Table
from swap.catalog.scratch import CannotBuildError, ScratchColumn, like, scratch_table
from swap.core.connection import Connection
from swap.core.names import TableName, derive, quote
from swap.plan.model import TABLE, ColumnPair, RefColumns, is_identity_index
from swap.plan.over_integers import index_may_stay, when_may_stay
from swap.plan.texts import INDEX, NewText


@dataclass(frozen=True)
class RewriteFailure:
    """An index, or a statistics object, whose definition cannot hold the new type. `remedy`: a text for [[index]] that can."""

    table: TableName
    index: str
    reason: str
    kind: str = "index"
    remedy: str = ""


@dataclass(frozen=True)
class Rewritten:
    """`definitions`: the text of every index that contains a reference or the key, by table and name.

    `statistics`: the objects that must be built, over the uuid columns. `failures`: what cannot hold a uuid. `beside`: the text over
    the uuid columns of every index that contains the integer of a companion, where there is one. The index itself stays. `whens`: the
    triggers, by table and name, whose WHEN stays over the integers.
    """

    definitions: dict[tuple[TableName, str], str]
    statistics: tuple[Statistics, ...]
    failures: tuple[RewriteFailure, ...]
    beside: dict[tuple[TableName, str], str] = field(default_factory=dict)
    whens: tuple[tuple[TableName, str], ...] = ()


NIL = "'00000000-0000-0000-0000-000000000000'::uuid"
CONSTANT = r"\(*'?-?\d+'?(?:\)?::[a-z]+)*"  # as the server prints an integer: 0, (0)::bigint, ('-1'::integer)::bigint
NOTHING = Rewritten({}, (), ())
Texts = Mapping[tuple[TableName, str], NewText]


def rewrite(
    conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair, texts: Sequence[NewText] = ()
) -> Rewritten:
    """Rewrite every index and statistics object that contains a key. Locks nothing: it reads the catalog only. `texts`: of the
    configuration."""
    given = {(t.table, t.name): t for t in texts if t.kind == INDEX}
    definitions, failures = _indexes(conn, catalog, references, key, given)
    statistics, more = _statistics(conn, catalog, references, key)
    beside, whens = _beside(conn, catalog, references, key), _whens(conn, catalog, references, key)
    return Rewritten(definitions, statistics, (*failures, *more), beside, tuple(whens))


def _pairs(catalog: Catalog, table: TableName, references: Sequence[RefColumns], key: ColumnPair) -> list[ColumnPair]:
    """The pairs of a table; the source's begin with the key."""
    own = [key] if table == catalog.source.name else []
    return [*own, *(r.pair for r in references if r.table == table and not r.companion)]


def _rebuilt(catalog: Catalog, references: Sequence[RefColumns]) -> set[TableName]:
    """The tables that get a shadow."""
    return {catalog.source.name, *(r.table for r in references if r.strategy == TABLE)}


def _indexes(
    conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair, texts: Texts
) -> tuple[dict[tuple[TableName, str], str], list[RewriteFailure]]:
    definitions: dict[tuple[TableName, str], str] = {}
    failures: list[RewriteFailure] = []
    rebuilt = _rebuilt(catalog, references)
    known: dict[tuple[object, ...], str] = {}  # partitions are alike: to rewrite three hundred one by one took seconds
    for root, table in ((t, x) for t in catalog.tables for x in (t, *t.partitions)):
        pairs = _pairs(catalog, root.name, references, key)
        named = {name for on, name in texts if on == table.name}
        for old in _to_rewrite(table, pairs, key.uuid, named, rebuilt=root.name in rebuilt):
            text = texts.get((table.name, old.name))
            index = old if text is None else _with_text(old, text)
            alike = (root.name, table.columns, index.recipe, index.unique, index.constraint_type, table.kind)
            try:
                made = known.get(alike) or _index(conn, table, index, pairs)
            except CannotBuildError as e:
                if text is not None or root.kind == "p" or not index_may_stay(index, pairs, key):
                    remedy = "" if text or root.kind == "p" else _with_another_sentinel(conn, table, index, pairs)
                    failures.append(RewriteFailure(table.name, index.name, str(e), remedy=remedy))
            else:
                known[alike] = definitions[table.name, index.name] = made
    return definitions, failures


def _with_text(index: Index, text: NewText) -> Index:
    """The index as [[index]] gives it, on the scratch table."""
    whole, meaning = f"{text.definition}\n", text.meaning
    if index.exclusion:
        return replace(index, exclusion_definition=whole, meaning=meaning)
    return replace(index, definition=whole, meaning=meaning)


def _with_another_sentinel(conn: Connection, table: Table, index: Index, pairs: list[ColumnPair]) -> str:
    """The text with the nil uuid where an integer stands for `nobody`: COALESCE(user_id, 0). Empty where that does not serve."""
    text = index.recipe
    for pair in pairs:
        text = re.sub(
            rf"COALESCE\({re.escape(quote(pair.integer))}, {CONSTANT}\)", f"COALESCE({quote(pair.integer)}, {NIL})", text
        )
    if text == index.recipe or index.exclusion:
        return ""
    try:
        _index(conn, table, replace(index, definition=text), pairs)
    except CannotBuildError:
        return ""
    return text


def _whens(
    conn: Connection, catalog: Catalog, references: Sequence[RefColumns], key: ColumnPair
) -> Iterator[tuple[TableName, str]]:
    """The triggers whose WHEN compares an integer as no uuid can be compared, and fires as before over the integer."""
    for table in catalog.tables:
        pairs = _pairs(catalog, table.name, references, key)
        integers = {p.integer for p in pairs}
        for trigger in table.triggers:
            if trigger.when and integers.intersection(trigger.columns) and when_may_stay(trigger, pairs):
                with scratch_table(conn, _columns(table, pairs)) as scratch:
                    try:
                        scratch.add_trigger(trigger)
                    except CannotBuildError:
                        yield table.name, trigger.name


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


def _to_rewrite(table: Table, pairs: list[ColumnPair], identity: str, named: Container[str], *, rebuilt: bool) -> Iterator[Index]:
    """The indexes of a table that contain an integer and need an equivalent over the uuid, and those that [[index]] names."""
    integers, uuids = {p.integer for p in pairs}, {p.uuid for p in pairs}
    for index in table.indexes:
        if index.name in named and index.valid:
            yield index
            continue
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
