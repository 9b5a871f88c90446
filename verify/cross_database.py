"""Compares the tables with those of another database: a staging clone, a restored backup.

Two servers cannot join their tables, so the comparison is of digests: for each key range the number of rows, and the sum of 128
bits of each row, the MD5 over every column as the server prints it. That MD5 is the same on any version and platform, which
hash_record_extended is not. Equal tables are called `digest-equal`, never identical.

Each side is read in one snapshot of its own, and the two snapshots are not of the same moment: compare tables that do not change.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal, NamedTuple

from psycopg import sql

from swap.catalog.load import load_tables
from swap.catalog.model import Table
from swap.core.connection import Connection, Database
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql
from swap.plan.model import INTEGERS
from verify.exact import by_index
from verify.ranges import SAMPLED_ROWS_PER_RANGE, KeyRange, fractions, key_ranges, wanted_ranges
from verify.table_files import table_files
from verify.workers import Task, Workers

Verdict = Literal["digest-equal", "different", "incomplete"]
HALF = 2**64 - 1


@dataclass(frozen=True)
class RowsDigest:
    """A number of rows, and the digest over them. The field names are the names in the JSON document."""

    rows: int
    digest: str


@dataclass(frozen=True)
class RangeComparison:
    low: int | None
    high: int | None
    here: RowsDigest
    there: RowsDigest

    @property
    def equal(self) -> bool:
        return self.here == self.there


@dataclass(frozen=True)
class TableComparison:
    """`structure`: the differences that make the tables incomparable."""

    name: str
    structure: tuple[str, ...]
    ranges: tuple[RangeComparison, ...]
    seconds: float

    @property
    def equal(self) -> bool:
        return not self.structure and all(r.equal for r in self.ranges)


@dataclass(frozen=True)
class DatabaseComparison:
    """`unfinished`: every reason why a part was not compared."""

    tables: tuple[TableComparison, ...]
    unfinished: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if self.unfinished or not self.tables:
            return "incomplete"
        return "digest-equal" if all(t.equal for t in self.tables) else "different"


@dataclass(frozen=True)
class _Reader:
    """Reads one database in one snapshot."""

    conn: Connection
    workers: Workers

    def table(self, name: TableName) -> Table | None:
        found = table_files(self.conn, [name])
        return next(iter(load_tables(self.conn, [found[name].oid]))) if found else None


def compare_databases(
    here: Database, there: Database, names: list[TableName], jobs: int, reporter: Reporter
) -> DatabaseComparison:
    """Compare the tables `names`. Takes ACCESS SHARE on one table at a time, for one range. Raises UnreachableError."""
    with ExitStack() as stack:
        readers = [_open(stack, database, jobs) for database in (here, there)]
        tables = tuple(t for name in names if (t := _compare(readers, name, reporter)) is not None)
        unfinished = [reason for reader in readers for reason in reader.workers.unfinished]
    missing = [f"{n} was not compared" for n in names if str(n) not in {t.name for t in tables}]
    return DatabaseComparison(tables=tables, unfinished=(*unfinished, *missing))


def _open(stack: ExitStack, database: Database, jobs: int) -> _Reader:
    conn = stack.enter_context(database.session("snapshot"))
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    (snapshot,) = fetch_values(conn, sql.SQL("SELECT pg_export_snapshot()"))
    workers = stack.enter_context(Workers(database, jobs))
    workers.use_snapshot(snapshot)
    return _Reader(conn, workers)


def _compare(readers: list[_Reader], name: TableName, reporter: Reporter) -> TableComparison | None:
    """None: the comparison did not finish."""
    began = time.monotonic()
    a, b = (reader.table(name) for reader in readers)
    differences = structure_differences(name, a, b)
    if a is None or b is None or differences:
        return TableComparison(name=str(name), structure=tuple(differences), ranges=(), seconds=0.0)
    key = integer_key(a)
    ranges = _ranges(readers[0], a, key)
    tasks = [Task(f"range {r.number} of {name}", partial(digest, table=a, key=key, r=r)) for r in ranges]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda reader: reader.workers.run(tasks), readers))
    compared = tuple(
        RangeComparison(low=r.low, high=r.high, here=x, there=y)
        for r, x, y in zip(ranges, *results, strict=True)
        if x is not None and y is not None
    )
    if len(compared) != len(ranges):
        return None
    rows = sum(r.here.rows for r in compared)
    reporter.progress(f"compare {name}", rows, rows)
    return TableComparison(name=str(name), structure=(), ranges=compared, seconds=round(time.monotonic() - began, 3))


def structure_differences(name: TableName, a: Table | None, b: Table | None) -> list[str]:
    """Compare the columns by name and type. Their order does not count."""
    if a is None or b is None:
        return [f"there is no table {name} {where}" for table, where in ((a, "here"), (b, "there")) if table is None]
    here, there = ({(c.name, c.type) for c in t.columns} for t in (a, b))
    return [
        *(f"{column} {type_} is only here" for column, type_ in sorted(here - there)),
        *(f"{column} {type_} is only there" for column, type_ in sorted(there - here)),
    ]


def integer_key(table: Table) -> str | None:
    """The one integer column of the primary key. The table can be read in ranges of it."""
    columns = table.primary_key.key_columns if table.primary_key else ()
    column = table.column(columns[0]) if len(columns) == 1 else None
    return column.name if column is not None and column.type in INTEGERS else None


def _ranges(reader: _Reader, table: Table, key: str | None) -> tuple[KeyRange, ...]:
    wanted = wanted_ranges(max(table.rows_estimate, 0), "exact", 1)
    if key is None or wanted < 2:
        return key_ranges(())
    percent = min(100.0, 100.0 * wanted * SAMPLED_ROWS_PER_RANGE / max(table.rows_estimate, 1))
    query = sql.SQL(
        "SELECT percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY s.{}::bigint)"
        " FROM {} s TABLESAMPLE SYSTEM ({}) REPEATABLE (0)"
    ).format(fractions(wanted), sql.Identifier(key), table.name.sql, sql.Literal(percent))
    (cuts,) = fetch_values(reader.conn, query)
    return key_ranges(cuts or ())


class _DigestRow(NamedTuple):
    rows: int
    high: Decimal
    low: Decimal


def digest(conn: Connection, table: Table, key: str | None, r: KeyRange) -> RowsDigest:
    """The rows and the digest of one range, in a transaction of its own."""
    by_index(conn, r)
    columns = sql.SQL(", ").join(sql.Identifier("s", name) for name in sorted(c.name for c in table.columns))
    where = r.where(sql.Identifier("s", key)) if key is not None else sql.SQL("true")
    query = load_sql("verify", "cross_database.sql").format(columns=columns, table=table.name.sql, where=where)
    (row,) = fetch(conn, _DigestRow, query)
    return RowsDigest(rows=row.rows, digest=f"{int(row.high) & HALF:016x}{int(row.low) & HALF:016x}")
