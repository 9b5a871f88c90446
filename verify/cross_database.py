"""Comparing the tables with those of another database: a staging clone, a restored backup.

Nothing can be joined between two servers, so it is digests that are compared: per key range the number of rows, and the
sum of 128 bits of each, its MD5 over every column as the server prints it. That is the same on any version and platform,
which hash_record_extended is not. What is equal is called `digest-equal`, never identical. Each side is read in one
snapshot of its own, and those are not of the same moment: compare what does not change.
"""

from __future__ import annotations

import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal

from psycopg import sql

from swap.catalog.load import load_tables
from swap.catalog.model import Table
from swap.core.connection import Connection, Database
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.sql_text import load_sql
from swap.plan.model import INTEGERS
from verify.exact import by_index
from verify.ranges import SAMPLE_PER_RANGE, Range, key_ranges, wanted_ranges
from verify.table_files import table_files
from verify.workers import Task, Workers

Verdict = Literal["digest-equal", "different", "incomplete"]
HALF = 2**64 - 1


@dataclass(frozen=True)
class Digest:
    rows: int
    digest: str


@dataclass(frozen=True)
class RangeComparison:
    low: int | None
    high: int | None
    here: Digest
    there: Digest

    @property
    def equal(self) -> bool:
        return self.here == self.there


@dataclass(frozen=True)
class TableComparison:
    """`structure`: what makes the tables incomparable, if anything."""

    name: str
    structure: tuple[str, ...]
    ranges: tuple[RangeComparison, ...]
    seconds: float

    @property
    def equal(self) -> bool:
        return not self.structure and all(r.equal for r in self.ranges)


@dataclass(frozen=True)
class DatabaseComparison:
    """`unfinished`: every reason why something was not compared."""

    tables: tuple[TableComparison, ...]
    unfinished: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if self.unfinished or not self.tables:
            return "incomplete"
        return "digest-equal" if all(t.equal for t in self.tables) else "different"


@dataclass(frozen=True)
class _Side:
    """One database in one snapshot."""

    conn: Connection
    workers: Workers

    def table(self, name: TableName) -> Table | None:
        found = table_files(self.conn, [name])
        return next(iter(load_tables(self.conn, [found[name][0]]))) if found else None


def compare_databases(
    here: Database, there: Database, names: list[TableName], jobs: int, reporter: Reporter
) -> DatabaseComparison:
    """Compare the tables `names`, ACCESS SHARE on one at a time for one range. Raises UnreachableError."""
    with ExitStack() as stack:
        sides = [_open(stack, database, jobs) for database in (here, there)]
        tables = tuple(t for name in names if (t := _compare(sides, name, reporter)) is not None)
        unfinished = [reason for side in sides for reason in side.workers.unfinished]
    missing = [f"{n} was not compared" for n in names if str(n) not in {t.name for t in tables}]
    return DatabaseComparison(tables, tuple(unfinished + missing))


def _open(stack: ExitStack, database: Database, jobs: int) -> _Side:
    conn = stack.enter_context(database.session("snapshot"))
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = conn.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    workers = stack.enter_context(Workers(database, jobs))
    workers.use(row[0])
    return _Side(conn, workers)


def _compare(sides: list[_Side], name: TableName, reporter: Reporter) -> TableComparison | None:
    began = time.monotonic()
    a, b = (side.table(name) for side in sides)
    problems = structure(name, a, b)
    if a is None or b is None or problems:
        return TableComparison(str(name), tuple(problems), (), 0.0)
    key = integer_key(a)
    ranges = _ranges(sides[0], a, key)
    tasks = [Task(f"range {r.number} of {name}", partial(digest, table=a, key=key, r=r)) for r in ranges]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda side: side.workers.run(tasks), sides))
    compared = [
        RangeComparison(r.low, r.high, x, y) for r, x, y in zip(ranges, *results, strict=True) if x is not None and y is not None
    ]
    if len(compared) != len(ranges):
        return None
    rows = sum(r.here.rows for r in compared)
    reporter.progress(f"compare {name}", rows, rows)
    return TableComparison(str(name), (), tuple(compared), round(time.monotonic() - began, 3))


def structure(name: TableName, a: Table | None, b: Table | None) -> list[str]:
    """Columns by name and type; their order does not count."""
    if a is None or b is None:
        return [f"there is no table {name} {where}" for table, where in ((a, "here"), (b, "there")) if table is None]
    here, there = ({(c.name, c.type) for c in t.columns} for t in (a, b))
    return [f"{n} {t} is only here" for n, t in sorted(here - there)] + [
        f"{n} {t} is only there" for n, t in sorted(there - here)
    ]


def integer_key(table: Table) -> str | None:
    """The one integer column of the primary key, by which the table can be read in ranges."""
    columns = table.primary_key.key_columns if table.primary_key else ()
    column = table.column(columns[0]) if len(columns) == 1 else None
    return column.name if column is not None and column.type in INTEGERS else None


def _ranges(side: _Side, table: Table, key: str | None) -> tuple[Range, ...]:
    wanted = wanted_ranges(max(table.rows_estimate, 0), "exact", 1)
    if key is None or wanted < 2:
        return key_ranges(())
    percent = min(100.0, 100.0 * wanted * SAMPLE_PER_RANGE / max(table.rows_estimate, 1))
    fractions = "{" + ",".join(f"{n / wanted:.9f}" for n in range(1, wanted)) + "}"
    query = sql.SQL(
        "SELECT percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY s.{}::bigint) FROM {} s TABLESAMPLE SYSTEM ({}) REPEATABLE (0)"
    ).format(sql.Literal(fractions), sql.Identifier(key), table.name.sql, sql.Literal(percent))
    row = side.conn.execute(query).fetchone()
    return key_ranges(array("q", row[0]) if row and row[0] else ())


def digest(conn: Connection, table: Table, key: str | None, r: Range) -> Digest:
    """Rows and digest of one range, in a transaction of its own."""
    by_index(conn, r)
    columns = sql.SQL(", ").join(sql.Identifier("s", name) for name in sorted(c.name for c in table.columns))
    where = r.where(sql.Identifier("s", key)) if key is not None else sql.SQL("true")
    row = conn.execute(
        load_sql("verify", "cross_database.sql").format(columns=columns, table=table.name.sql, where=where)
    ).fetchone()
    assert row is not None
    return Digest(row[0], f"{int(row[1]) & HALF:016x}{int(row[2]) & HALF:016x}")
