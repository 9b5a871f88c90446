"""Empty copies of the tables involved, as they are before `prepare`, for the trial. Pure: from the catalog."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from swap.catalog.meaning import together
from swap.catalog.model import Column, Index, Table
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Kind, Statement, Verb, part
from swap.ddl.columns import column_definition, not_null_constraint
from swap.plan.model import Plan


def copies(plan: Plan, others: tuple[Table, ...]) -> tuple[list[Statement], list[Statement]]:
    """Copy the source, the references and `others` (what the source refers to): tables first, then everything on them.

    Leaves out foreign keys: the exchange itself adds those that touch the source, and no other one matters here.
    """
    parts = {p.name for t in plan.catalog.tables for p in t.partitions}  # `doctor` refuses one by itself
    tables = tuple(t for t in (*plan.catalog.tables, *others) if t.name not in parts)
    made = [s for t in tables for s in _copy(t, plan.catalog.server_version)]
    # A constraint trigger may be FROM another table: the tables come first.
    triggers = [_made(t, verbatim(g.definition), Kind.TRIGGER, g.name, path=g.meaning.path) for t in tables for g in t.triggers]
    created = [s for s in made if s.kind is Kind.TABLE and s.verb is Verb.CREATE]
    return created, [*(s for s in made if s not in created), *triggers]


def _copy(table: Table, version: int) -> Iterator[Statement]:
    """A table with its partitions.

    When a partition is attached, the server finds each of its indexes and constraints that is a part of one of the table's.
    """
    for partition in table.partitions:
        yield from _copy(partition, version)
    columns = sql.SQL(", ").join(_column(c, version) for c in table.columns)
    create = sql.SQL("CREATE TABLE {} ({})").format(table.name.sql, columns)
    if _divided(table):
        create += verbatim(f" PARTITION BY {table.partition_key}")
    yield _made(table, create, Kind.TABLE, path=together(c.meaning for c in table.columns).path)
    for check in table.checks:
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(table.name.sql, sql.Identifier(check.name))
        yield _made(table, add + verbatim(check.definition), Kind.CONSTRAINT, check.name, path=check.meaning.path)
    for index in table.indexes:
        if index.valid:
            yield from (_made(table, s, kind, index.name, path=index.meaning.path) for s, kind in _index(table, index))
    for partition in reversed(table.partitions):
        if partition.parent:
            attach = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} ").format(partition.parent.sql, partition.name.sql)
            yield _made(partition, attach + verbatim(partition.bound), Kind.TABLE, verb=Verb.ALTER)


def _divided(table: Table) -> bool:
    """Whether the copy is partitioned. A table that only the source refers to has no partitions here, and needs none."""
    return bool(table.partition_key and (table.partitions or table.parent))


def _made(
    table: Table, text: Query, kind: Kind, name: str = "", verb: Verb = Verb.CREATE, path: tuple[str, ...] = ()
) -> Statement:  # fmt: skip
    label = part(table.name, name) if name else ""
    return Statement(text, "an empty copy", table.name, kind=kind, verb=verb, object=label, path=path)


def _column(c: Column, version: int) -> Query:
    """The column as it is, by its own default and NOT NULL."""
    default = verbatim(c.default) if c.default else None
    not_null = not_null_constraint(version, c.not_null_name) if c.not_null else None
    return column_definition(c.name, c.type, collation=c.collation, generated=c.generated, default=default, not_null=not_null)


def _index(table: Table, index: Index) -> Iterator[tuple[Query, Kind]]:
    name = sql.Identifier(index.name)
    if index.exclusion:
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(table.name.sql, name)
        yield add + verbatim(index.recipe), Kind.CONSTRAINT
        return
    timing = " DEFERRABLE" if index.deferrable else ""
    timing += " INITIALLY DEFERRED" if index.deferred else ""
    if _divided(table) and index.constraint_definition:
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(table.name.sql, name)
        yield add + verbatim(index.constraint_definition + timing), Kind.CONSTRAINT
        return
    unique = sql.SQL("UNIQUE " if index.unique else "")
    create = sql.SQL("CREATE {}INDEX {} ON {} ").format(unique, name, table.name.sql)
    yield create + verbatim(index.definition), Kind.INDEX
    if index.constraint and index.constraint_type in ("p", "u"):
        kind = "PRIMARY KEY" if index.constraint_type == "p" else "UNIQUE"
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(table.name.sql, sql.Identifier(index.constraint))
        yield add + verbatim(kind) + sql.SQL(" USING INDEX {}").format(name) + verbatim(timing), Kind.CONSTRAINT
