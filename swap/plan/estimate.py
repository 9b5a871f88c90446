"""What a migration costs, in rows, bytes and minutes: from the catalog alone, for both strategies of each table with a reference.

The rates are coarse on purpose. They come from runs on small servers with ordinary disks, and say "about": a rehearsal on a clone
tells the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swap.catalog.model import Catalog, Table
from swap.core.names import TableName
from swap.plan.model import COLUMN, TABLE, RefColumns

UUID_BYTES = 16
COPY_BYTES_PER_S = 40_000_000  # INSERT … SELECT by one session
INDEX_BYTES_PER_S = 25_000_000  # CREATE INDEX
FILL_ROWS_PER_S = 25_000  # an UPDATE of a row in place, with its indexes
QUEUE_SHARE = 10  # of the change tables: a backlog of a tenth of the source is large
WAL_SHARE = 1.1  # WAL for each byte of new heap and index


@dataclass(frozen=True)
class Cost:
    """What one table costs. `bytes`: new heap and indexes, or new versions of rows and new indexes. `wal_bytes`: the WAL of that."""

    table: TableName
    strategy: str
    rows: int
    bytes: int
    wal_bytes: int
    seconds: float

    @property
    def minutes(self) -> float:
        return round(self.seconds / 60, 1)


def rebuilt(table: Table, uuids: int) -> Cost:
    """The table is copied with all its indexes, and gets `uuids` more columns."""
    indexes = sum(i.size_bytes for i in table.indexes)
    heap = table.heap_bytes + table.rows_estimate * UUID_BYTES * uuids
    seconds = heap / COPY_BYTES_PER_S + indexes / INDEX_BYTES_PER_S
    return Cost(table.name, TABLE, table.rows_estimate, heap + indexes, int((heap + indexes) * WAL_SHARE), seconds)


def filled(table: Table, columns: set[str]) -> Cost:
    """Every row gets a new version with `columns` more uuids, and each index over one of the `columns` is built again."""
    indexes = sum(i.size_bytes for i in table.indexes if columns.intersection(i.columns))
    heap = table.heap_bytes + table.rows_estimate * UUID_BYTES * len(columns)
    # A new version of a row is in every index of the table too.
    versions = heap + sum(i.size_bytes for i in table.indexes)
    seconds = table.rows_estimate / FILL_ROWS_PER_S + indexes / INDEX_BYTES_PER_S
    return Cost(table.name, COLUMN, table.rows_estimate, versions + indexes, int((versions + indexes) * 2 * WAL_SHARE), seconds)


def costs(catalog: Catalog, references: Iterable[RefColumns]) -> list[Cost]:
    """What is chosen, table by table, the source first."""
    by_table: dict[TableName, list[RefColumns]] = {}
    for r in references:
        by_table.setdefault(r.table, []).append(r)
    source = catalog.source
    out = [rebuilt(source, 1 + len(by_table.pop(source.name, [])))]
    for name, refs in sorted(by_table.items()):
        table = catalog.table(name)
        in_place = refs[0].strategy == COLUMN
        out.append(filled(table, {r.column for r in refs}) if in_place else rebuilt(table, len(refs)))
    return out


def both(table: Table, references: list[RefColumns]) -> tuple[Cost, Cost]:
    """What a table with references costs rebuilt beside, and in place."""
    return rebuilt(table, len(references)), filled(table, {r.column for r in references})


def needed_bytes(catalog: Catalog, references: Iterable[RefColumns]) -> int:
    """Bytes on disk for everything that is built, its WAL, and the change tables."""
    return sum(c.bytes + c.wal_bytes for c in costs(catalog, references)) + catalog.source.total_bytes // QUEUE_SHARE
