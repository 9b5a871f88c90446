"""A partitioned source: what of it, or of one of its partitions, is refused by name.

The shadow is partitioned as the source is. Its partitions are made as the server makes those of any table, so whatever a partition has
beside that (a trigger, an index, a default of its own) would not be there after the cutover.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Column, Table
from swap.core.connection import Connection
from swap.core.names import derive, quote
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Finding, NotChecked, Subject, blocker, or_ok, qualified, read, scan, warning
from swap.doctor.key import Duplicate
from swap.plan.model import DERIVED
from swap.plan.partitioned import divided_by, is_by_key
from swap.plan.strategy import existing

NAME = "partitioned-source"
DETACH = "Give it to the whole table, or take it away from this partition."
HASH = "HASH"


class OfItsOwn(NamedTuple):
    """A partition, and an object that is its own."""

    oid: int
    detail: str


def check_partitioned_source(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    source = subject.source
    if source.kind != "p":
        return []
    found = [
        *_run(subject),
        *check_division(source, subject.config.source.key),
        *_without_shadow(source),
        *(f for p in source.partitions for f in _partition(source, p)),
    ]
    names = {p.oid: p.name for p in source.partitions}
    for own in read(conn, OfItsOwn, "partitioned_source.sql", oids=list(names)):
        found.append(blocker(NAME, names[own.oid], f"is no part of what the whole table has: {own.detail}", DETACH))
    return or_ok(found, NAME, source.name, f"{len(source.partitions)} partitions, each made as the server makes one")


def _run(subject: Subject) -> Iterator[Finding]:
    source, config = subject.source, subject.config
    if config.sync.mode == "logical":
        detail = (
            "logical capture needs the key alone as replica identity, and that of a partitioned table has the partition key too"
        )
        yield blocker(NAME, source.name, detail, 'Write mode = "trigger" in [sync].')
    if existing(subject.catalog, config, subject.references) != DERIVED:
        detail = "its uuids are derived from the integers, and the configuration or the schema has them in a column"
        hint = (
            "Name a column that does not exist in [identity] column, leave [names] compat off, and let every reference be rebuilt"
            ' (strategy = "table").'
        )
        yield blocker(NAME, source.name, detail, hint)


def check_division(source: Table, key: str) -> Iterator[Finding]:
    """A blocker for the table, and for each of its partitions, that is divided by the key in a way that a uuid cannot be."""
    for t in (source, *(p for p in source.partitions if p.kind == "p")):
        how, by = divided_by(t)
        if is_by_key(t, key) and (how != HASH or quote(key) not in by):
            detail = f"is divided by {how} of the key: no uuid lies in the range or list of its integer"
            yield blocker(NAME, t.name, detail, "Divide it by another column, or by HASH of the key alone, before.")


def _without_shadow(source: Table) -> Iterator[Finding]:
    if not source.heaps:
        yield blocker(NAME, source.name, "has no partition that holds rows", "Give it a partition first.")
    for i in (i for i in source.indexes if i.exclusion):
        detail = (
            f"has the exclusion constraint {quote(i.name)}: of a partitioned table it cannot be built from its partitions' parts"
        )
        yield blocker(NAME, source.name, detail, f"ALTER TABLE {source.name} DROP CONSTRAINT {quote(i.name)};")
    for c in (c for c in source.columns if c.generated == "v"):
        detail = "is a VIRTUAL column: of a partitioned table no check would tell for which row it fails"
        yield blocker(NAME, qualified(source.name, c.name), detail, f"ALTER TABLE {source.name} DROP COLUMN {quote(c.name)};")


def _partition(source: Table, p: Table) -> Iterator[Finding]:
    said = [
        (p.kind not in "rp", "is no ordinary table"),
        (p.persistence != "p", "is not logged"),
        (p.owner != source.owner, f"belongs to {p.owner}, and the table to {source.owner}"),
        (p.has_rules, "has rules"),
        (p.rls or p.force_rls, "has row security of its own"),
        (p.kind == "r" and p.replident != "d", "has a replica identity of its own"),
        (any(i.clustered for i in p.indexes), "has an index that CLUSTER uses"),
        (any(not i.valid for i in p.indexes), "has an index that is not valid"),
        ([c.name for c in p.columns] != [c.name for c in source.columns], "has its columns in another order than the table"),
        (any(g.column for g in p.grants), "has grants on columns of its own"),
    ]
    for found, detail in said:
        if found:
            yield blocker(NAME, p.name, detail, DETACH)
    for c in p.columns:
        above = source.column(c.name)
        if above is not None and (what := _unlike(c, above)):
            yield blocker(NAME, qualified(p.name, c.name), f"has {what} of its own", DETACH)


def _unlike(c: Column, above: Column) -> str:
    """What a partition's column has of its own; nothing where it is as the table's."""
    compared = (
        ("a default", c.default, above.default),
        ("a NOT NULL", c.not_null, above.not_null),
        ("a storage", c.storage, above.storage),
        ("a compression", c.compression, above.compression),
        ("a statistics target", c.statistics, above.statistics),
        ("options", c.options, ()),
        ("a comment", c.comment, None),
    )
    return ", ".join(what for what, mine, its in compared if mine != its)


def key_index(source: Table, key: str) -> bool:
    """Whether an index begins with the key: rows are found by it on both sides."""
    return any(i.valid and not i.partial and i.key_columns[:1] == (key,) and i.columns for i in source.indexes)


def check_key_index(source: Table, key: str) -> list[Finding]:
    """A part of `check_key`. Such an index cannot be built CONCURRENTLY on the whole table, but on each partition, and be joined."""
    if key_index(source, key):
        return []
    index = derive(f"{source.name.name}_{key}", "_idx")
    each = []
    for n, p in enumerate(source.heaps):
        name = derive(f"{source.name.name}_{n}_{key}", "_idx")
        each.append(f"CREATE INDEX CONCURRENTLY {quote(name)} ON {p.name} ({quote(key)});")
    whole = f"CREATE INDEX {quote(index)} ON {source.name} ({quote(key)});"
    detail = f"no index begins with {quote(key)}: rows are found by it alone"
    return [blocker("key", qualified(source.name, key), detail, " ".join([*each, whole]))]


def check_key_twice(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """No index of a partitioned table makes the key unique by itself. A scan of at most `timeout_ms`, under ACCESS SHARE."""
    source, key = subject.source, subject.config.source.key
    primary = source.primary_key
    if source.kind != "p" or (primary is not None and primary.key_columns == (key,)):
        return []
    where = qualified(source.name, key)
    query = load_sql(PACKAGE, "identity_duplicates.sql").format(table=source.name.sql, column=sql.Identifier(key))
    found = scan(conn, Duplicate, query, timeout_ms)
    if isinstance(found, NotChecked):
        detail = f"is unique by no index, and whether a value is there twice was {found.reason}; `verify` compares the rows"
        return [warning("key", where, detail, "Look for one yourself: two rows of one integer would have one uuid.")]
    if not found:
        return []
    shown = ", ".join(f"{d.value} ({d.rows} rows)" for d in found)
    return [blocker("key", where, f"is in several rows: {shown}", "Give all but one of those rows another key.")]
