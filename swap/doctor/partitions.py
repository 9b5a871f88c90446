"""Partitioned tables with a reference (H23): what is refused by name.

A change of columns, guards, NOT NULL or grants of the partitioned table reaches its partitions. A change of indexes and foreign
keys does not: they have modules of their own (`swap.ddl`, `swap.sync.partition_keys`). An object that a partition has of its own
over the reference would not be carried over, so it is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from swap.catalog.model import ForeignKey, Table
from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.doctor.finding import Finding, Subject, blocker, in_schema, qualified, read
from swap.plan.model import RefColumns

WITHOUT = "Migrate without this reference, or make it an ordinary table first."


class OfItsOwn(NamedTuple):
    """A partition of the table `table_oid`, and what it has of its own (`detail`)."""

    table_oid: int
    schema: str
    relation: str
    detail: str


def check_partitions(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    tables = [t for t in subject.tables if t.kind == "p" and t.name != subject.source.name]
    refs = [(t, r) for t in tables for r in subject.others if r.table == t.name]
    if not refs:
        return []
    columns = [(t.oid, name) for t, r in refs if not r.companion for name in (r.column, r.uuid_column)]
    found = []
    for r in of_their_own(conn, columns, [t.oid for t in subject.catalog.tables]):
        hint = WITHOUT if "partition key" in r.detail else "Give it to the whole table, drop it, or detach this partition."
        above = next(t.name for t in tables if t.oid == r.table_oid)
        at = in_schema(above, r.relation) if r.schema == above.schema else f"{r.schema}.{r.relation}"
        found.append(blocker("partition", at, r.detail, hint))
    for t, ref in refs:
        found += _reference(subject, t, ref)
    for name in dict.fromkeys(t.name for t, _ in refs):
        found += _foreign_keys(subject, [fk for fk in subject.catalog.foreign_keys if fk.holder == name])
    return found


def of_their_own(conn: Connection, columns: list[tuple[int, str]], targets: list[int]) -> list[OfItsOwn]:
    """What partitions have of their own that is not carried over. `columns`: those of references, by the oid of the partitioned table.
    `targets`: the oids of the run's tables. Reads the catalog only."""
    tables, names = [c[0] for c in columns], [c[1] for c in columns]
    return read(conn, OfItsOwn, "partitions.sql", tables=tables, columns=names, targets=targets)


def _same(one: ForeignKey, other: ForeignKey, names: dict[tuple[TableName, str], str]) -> bool:
    """Whether two foreign keys say the same, where the columns in `names` have other names."""

    def said(fk: ForeignKey) -> tuple[object, ...]:
        columns = tuple(names.get((fk.holder, c), c) for c in fk.columns)
        return columns, fk.target, tuple(names.get((fk.target, c), c) for c in fk.target_columns)

    return said(one) == said(other)


def _foreign_keys(subject: Subject, mine: list[ForeignKey]) -> list[Finding]:
    """`mine`: the foreign keys of one partitioned table and of its partitions. The own key of a partition that holds rows is like any
    other table's."""
    found = []
    names = {
        (r.table, r.uuid_column): r.uuid_after for r in subject.references
    }  # to find keys that say the same after the cutover
    names[subject.source.name, subject.config.identity.column] = subject.config.source.key
    for fk in mine:
        at, drop = qualified(fk.table, fk.name), f"ALTER TABLE {fk.table} DROP CONSTRAINT {quote(fk.name)};"
        if subject.catalog.table(fk.table).kind == "p" and not fk.validated:
            detail = "is not validated, or not enforced: of a partitioned table it could not be made again so"
            found.append(blocker("partition", at, detail, "VALIDATE CONSTRAINT, or drop it."))
        elif fk.root and subject.catalog.table(fk.table).kind == "p" and not fk.parts:
            detail = "stands on a partition that is divided again and has no partition: there is nothing to build it of"
            found.append(blocker("partition", at, detail, f"Give {fk.table} a partition first, or {drop}"))
        for above in (x for x in mine if x != fk and x.parts and set(fk.heaps) <= set(x.heaps)):
            now = _same(above, fk, {})
            if now or (above.table != fk.table and _same(above, fk, names)):
                # The server joins a key with the first part that it finds, so which of the two keeps its name is chance.
                detail = (
                    f"says of this partition what {qualified(above.table, above.name)} says of the whole: two keys, one too many"
                )
                found.append(blocker("partition", at, detail, drop))
                break
    return found


def _reference(subject: Subject, table: Table, ref: RefColumns) -> list[Finding]:
    at, found, column = qualified(table.name, ref.column), [], table.column(ref.column)
    assert column is not None
    if not table.heaps:
        detail = "the partitioned table has no partition: there is nothing to build a foreign key or an index of"
        found.append(blocker("partition", at, detail, "Give it a partition first."))
    if ref.companion:
        return found
    if (primary := table.primary_key) and primary.exclusion and ref.column in primary.columns:
        names = {(p.name, c.not_null_name) for p in (table, *table.partitions) if (c := p.column(ref.column)) is not None}
        for name in sorted(p for p, constraint in names if constraint != column.not_null_name):
            detail = "its NOT NULL has a name of its own, and stays in a primary key WITHOUT OVERLAPS: it cannot be renamed"
            found.append(blocker("partition", qualified(name, ref.column), detail, WITHOUT))
    for t in (table, *(p for p in table.partitions if p.kind == "p")):
        for i in (x for x in t.indexes if x.constraint_definition and ref.column in x.columns):
            if i.tablespace or " WITH (" in i.definition:
                detail = (
                    f"is a constraint over {ref.column} with options or a tablespace for partitions to come: not carried over"
                )
                hint = f"ALTER TABLE {t.name} DROP CONSTRAINT {quote(i.name)}; and add it without them, or: {WITHOUT}"
                found.append(blocker("partition", in_schema(t.name, i.name), detail, hint))
    for s in subject.catalog.statistics:
        if s.table == table.name and ref.column in s.columns:
            detail = f"holds {ref.column} of a partitioned table: not carried over"
            found.append(blocker("partition", str(s.name), detail, f"DROP STATISTICS {s.name};"))
    return found
