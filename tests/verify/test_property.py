"""Any schema, any key, any rows: after one change on the maintained side both methods find exactly one difference, without a change none.

The functions of `verify` run in this process, on two tables of one database. An independent oracle says what changed: the text
that PostgreSQL prints of a row.
"""

from __future__ import annotations

import math
import os
import uuid
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from psycopg import sql

from swap.catalog.load import load_tables
from swap.core.connection import Connection
from swap.core.connection import Database as Target
from swap.core.names import TableName
from swap.core.report import Silent
from swap.core.snapshot import Snapshot
from swap.plan.direction import ColumnMapping, Direction, KeyColumn, TableMapping
from swap.plan.lookups import KeyLookups, Lookups
from swap.plan.row_keys import Key
from tests.support.servers import Database
from tests.support.verifying import METHODS
from verify.checksum import row_hash
from verify.context import ComparisonContext
from verify.kept_ranges import KeptRanges
from verify.partial_report import PartialReport
from verify.report import Method
from verify.rows import RowComparison
from verify.settings import VerificationSettings
from verify.snapshots import ExportedSnapshot, PendingKeys, SnapshotSeries, key_numbers
from verify.workers import Workers

ORIGIN, TARGET = TableName("public", "a"), TableName("public", "a_new")
SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'fine');
CREATE TYPE pair AS (amount numeric, label text);
CREATE DOMAIN amount AS numeric;
"""
INTEGERS = ("0", "1", "-1", "32767", "-32768")
NUMERICS = ("0", "0.0", "0.00", "1", "1.0", "1.00", "-1", "NaN", "Infinity", "-Infinity", "1e20", "0.000001")
TEXTS = ("", " ", "a", "a ", "A", "NULL", "ß", "ss", "'", '"', "\\", ",", "(", "\t", "\n", "a,b", "é", "e\u0301")
# Input by type. Among the values are some that are equal for their type but not the same.
VALUES: Mapping[str, tuple[str, ...]] = {
    "smallint": INTEGERS,
    "integer": INTEGERS,
    "bigint": (*INTEGERS, str(2**63 - 1), str(-(2**63))),
    "oid": ("0", "1", str(2**32 - 1)),
    "boolean": ("t", "f"),
    "text": TEXTS,
    "varchar": TEXTS,
    "char(4)": ("", "a", "a ", "ab", "A"),
    "bpchar": ("", " ", "a", "a ", "a  "),
    '"char"': ("", "a", "b"),
    "name": ("", "a", "A", "a "),
    "numeric": NUMERICS,
    "numeric(6,2)": ("0", "1", "1.01", "-1.01", "NaN"),
    "amount": NUMERICS,
    "double precision": ("0", "-0", "NaN", "inf", "-inf", "1", "1.0000000000000002", "5e-324"),
    "real": ("0", "-0", "NaN", "inf", "1", "1.0000001"),
    "money": ("0", "0.01", "-0.01"),
    "bytea": ("\\x", "\\x00", "\\x0000", "\\x01"),
    "bit(2)": ("00", "01", "10"),
    "bit varying": ("", "0", "00", "1"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"),
    "date": ("2020-01-01", "2020-01-02", "infinity", "-infinity"),
    "time": ("00:00", "24:00", "12:00:00.000001"),
    "timetz": ("12:00+00", "13:00+01"),
    "timestamp": ("2020-01-01", "2020-01-01 00:00:00.000001", "infinity"),
    "timestamptz": ("2020-01-01Z", "2020-01-01 00:00:00.000001Z", "-infinity"),
    "interval": ("1 day", "24 hours", "1 month", "30 days", "-1 day"),
    "inet": ("10.0.0.1", "10.0.0.1/24", "::1"),
    "cidr": ("10.0.0.0/8", "10.0.0.0/16"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06"),
    "pg_lsn": ("0/1", "0/2"),
    "json": ("{}", "{ }", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "null"),
    "jsonb": ("{}", "[1]", "[1.0]", "[1.00]", "null", '"a"'),
    "jsonpath": ("$.a", "$.b"),
    "point": ("(0,0)", "(-0,0)", "(0,1e-300)"),
    "lseg": ("[(0,0),(1,1)]", "[(0,0),(1,1.0000001)]"),
    "box": ("(1,1),(0,0)", "(1,1.0000001),(0,0)"),
    "path": ("[(0,0),(1,1)]", "((0,0),(1,1))"),
    "polygon": ("((0,0),(1,1))", "((1,1),(0,0))"),
    "circle": ("<(0,0),1>", "<(0,1),1>"),
    "line": ("{1,1,0}", "{2,2,0}"),
    "tsvector": ("", "'a'", "'a':1", "'a':2"),
    "tsquery": ("'a'", "'a' & 'b'", "'b' & 'a'"),
    "int4range": ("empty", "[1,2)", "[1,3)", "(,)"),
    "numrange": ("[1,2)", "[1.0,2)", "[1,2]", "empty"),
    "tstzrange": ("[2020-01-01Z,)", "(2020-01-01Z,)", "[2020-01-01 00:00:00.000001Z,)"),
    "nummultirange": ("{}", "{[1,2)}", "{[1.0,2)}"),
    "integer[]": ("{}", "{1}", "[0:0]={1}", "{{1}}", "{NULL}"),
    "text[]": ("{}", '{""}', "{NULL}", '{"NULL"}', "{a}", "{A}"),
    "numeric[]": ("{1}", "{1.0}", "{1.00}"),
    "double precision[]": ("{0}", "{-0}"),
    "mood": ("sad", "ok", "fine"),
    "mood[]": ("{sad}", "{ok}", "{}"),
    "pair": ("(1,a)", "(1.0,a)", "(1,)", '(1,"")', "(,)"),
    "pair[]": ('{"(1,a)"}', '{"(1.0,a)"}', "{}"),
}
TYPES: Mapping[str, st.SearchStrategy[str]] = {t: st.sampled_from(v) for t, v in VALUES.items()} | {
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "text": st.text(alphabet="aAbß \t\n'\",(){}[]\\%é", max_size=6),
    "uuid": st.uuids().map(str),
}
KEYS = st.one_of(st.integers(-3, 12), st.sampled_from([-(2**63), 2**63 - 1]))
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Shape:
    """The columns of a key by their types, and their values for a number."""

    types: tuple[str, ...]
    texts: Callable[[int], tuple[str, ...]]

    def key(self, number: int) -> Key:
        return number if self.types == ("bigint",) else self.texts(number)

    @property
    def columns(self) -> list[KeyColumn]:
        return [KeyColumn(f"k{n}", f"k{n}", t) for n, t in enumerate(self.types)]


NO_LOOKUPS = Lookups(
    to_uuid=True, live=ORIGIN, live_key=None, live_value=None, exceptions=ORIGIN, derivation=None, secrets=ORIGIN, tag=0
)  # fmt: skip
SHAPES = {
    "bigint": Shape(("bigint",), lambda n: (str(n),)),
    "uuid": Shape(("uuid",), lambda n: (str(uuid.UUID(int=n % 2**128)),)),
    "text": Shape(("text",), lambda n: (f"{n},'\"\\{{}}é",)),
    "two columns": Shape(("integer", "text"), lambda n: (str(n % 2), f" {n} ")),
    "three columns": Shape(("boolean", "character(24)", "bytea"), lambda n: (str(n > 0).lower(), f"{n}", f"\\x{n % 4:02x}")),
    "an enum and a number": Shape(("public.mood", "numeric(30,2)"), lambda n: ("sad", f"{n}.50")),
}


@dataclass(frozen=True)
class Mutation:
    """`column` None: delete the row, or insert it if there is none."""

    key: int
    column: int | None
    value: str | None
    row: Row


@dataclass(frozen=True)
class Example:
    shape: str
    types: tuple[str, ...]
    rows: Mapping[int, Row]
    order: tuple[int, ...]
    pending: frozenset[int]
    mutation: Mutation | None

    @property
    def keys(self) -> Shape:
        return SHAPES[self.shape]


@st.composite
def examples(draw: st.DrawFn) -> Example:
    types = tuple(draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=6)))
    values = [st.none() | TYPES[t] for t in types]
    row: st.SearchStrategy[Row] = st.tuples(*values)
    rows = draw(st.dictionaries(KEYS, row, max_size=8))
    order = tuple(draw(st.permutations(range(len(types)))))
    pending = frozenset(draw(st.sets(KEYS, max_size=2)))
    mutation = None
    if draw(st.integers(0, 4)):
        known = st.sampled_from(sorted(rows)) if rows else KEYS
        key = draw(known if draw(st.integers(0, 4)) else KEYS)
        column = draw(st.none() | st.integers(0, len(types) - 1)) if key in rows else None
        value = draw(values[column]) if column is not None else None
        mutation = Mutation(key, column, value, draw(row))
    return Example(draw(st.sampled_from(sorted(SHAPES))), types, rows, order, pending, mutation)


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    with closing(Target.from_options(database.superuser, "verify").connect()) as conn:
        conn.execute("SET search_path = public, pg_catalog")
        conn.execute(SETUP)
        yield conn


def test_hashes_and_images_tell_apart_what_prints_apart(conn: Connection) -> None:
    """For each pair of values of each type: 1.0 and 1.00, 0 and -0, '' and NULL, a day and 24 hours, ..."""
    for name, values in VALUES.items():
        conn.execute("DROP TABLE IF EXISTS a")
        conn.execute(sql.SQL("CREATE TABLE a (k bigint, c {})").format(sql.SQL(name)))
        for value in (None, *values):
            conn.execute(sql.SQL("INSERT INTO a VALUES (7, {})").format(sql.Literal(value)))
        (oid,) = conn.execute("SELECT 'a'::regclass::oid::bigint").fetchone() or (0,)
        (table,) = load_tables(conn, [oid])
        hashed = row_hash(sql.Identifier("k"), [table.column("c")], [sql.Identifier("c")])
        one = sql.SQL("SELECT ROW(c)::text AS printed, ROW(c)::record AS image, {} AS hash FROM a").format(hashed)
        wrong = conn.execute(
            sql.SQL(
                "SELECT x.printed, y.printed, x.image *= y.image, x.hash = y.hash FROM ({one}) x, ({one}) y"
                " WHERE (x.printed = y.printed) IS DISTINCT FROM (x.image *= y.image)"
                " OR (x.printed = y.printed) IS DISTINCT FROM (x.hash = y.hash)"
            ).format(one=one)
        ).fetchall()
        assert wrong == [], name


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.timeout(300)
def test_one_change_is_one_finding(database: Database, conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """HAZARDS, Verification: one change is one difference; no change is none."""
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 3)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 3)
    target = Target.from_options(database.superuser, "verify")

    @settings(
        max_examples=200, deadline=None, database=None, derandomize="CI" in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(examples())
    def holds(example: Example) -> None:
        check(target, conn, example)

    holds()


def check(target: Target, conn: Connection, example: Example) -> None:
    make(conn, example)
    before = printed(conn, example)
    if example.mutation is not None:
        apply(conn, example, example.mutation)
    expected = expect(before, printed(conn, example), example)
    event(expected[0][1] if expected else "equal")
    for method in METHODS:
        found = compare(target, conn, example, method)
        assert found.unfinished == [], method
        assert [(f.key, f.kind, f.columns) for f in found.differences] == expected, method
        (table,) = found.tables
        assert table.differences == len(expected), method
        assert table.rows == len(example.rows.keys() - example.pending), method


def make(conn: Connection, example: Example) -> None:
    """Create both tables. The second has the columns in another order, behind a dropped one."""
    conn.execute("DROP TABLE IF EXISTS a, a_new")
    columns = [sql.SQL("c{} {}").format(sql.SQL(str(n)), sql.SQL(t)) for n, t in enumerate(example.types)]
    comma = sql.SQL(", ")
    key = [sql.SQL("{} {}").format(sql.Identifier(k.origin), sql.SQL(k.type)) for k in example.keys.columns]
    primary = sql.SQL("PRIMARY KEY ({})").format(comma.join(sql.Identifier(k.origin) for k in example.keys.columns))
    conn.execute(sql.SQL("CREATE TABLE a ({})").format(comma.join([*key, primary, *columns])))
    ordered = [*(columns[n] for n in example.order), *key, primary]
    conn.execute(sql.SQL("CREATE TABLE a_new (gone text, {})").format(comma.join(ordered)))
    conn.execute("ALTER TABLE a_new DROP COLUMN gone")
    for number, row in example.rows.items():
        insert(conn, "a", example, number, row)
        insert(conn, "a_new", example, number, row)


def insert(conn: Connection, table: str, example: Example, number: int, row: Row) -> None:
    names = [*(sql.Identifier(k.origin) for k in example.keys.columns), *(sql.Identifier(f"c{n}") for n in range(len(row)))]
    values = [sql.Literal(v) for v in (*example.keys.texts(number), *row)]
    comma = sql.SQL(", ")
    conn.execute(sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), comma.join(names), comma.join(values)))


def apply(conn: Connection, example: Example, m: Mutation) -> None:
    if m.column is not None:
        conn.execute(
            sql.SQL("UPDATE a_new SET {} = {} WHERE {}").format(
                sql.Identifier(f"c{m.column}"), sql.Literal(m.value), has_key(example, m.key)
            )
        )
    elif m.key in example.rows:
        conn.execute(sql.SQL("DELETE FROM a_new WHERE {}").format(has_key(example, m.key)))
    else:
        insert(conn, "a_new", example, m.key, m.row)


def has_key(example: Example, number: int) -> sql.Composed:
    texts = example.keys.texts(number)
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(k.origin), sql.Literal(v))
        for k, v in zip(example.keys.columns, texts, strict=True)
    )


Printed = dict[Key, tuple[str, ...]]


def printed(conn: Connection, example: Example) -> Printed:
    """The maintained rows as the output functions of their types print them, which tells NULL from ''."""
    columns = sql.SQL(", ").join(sql.SQL("ROW({})::text").format(sql.Identifier(f"c{n}")) for n in range(len(example.types)))
    key = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(k.origin)) for k in example.keys.columns)
    rows = conn.execute(sql.SQL("SELECT ARRAY[{}], {} FROM a_new").format(key, columns)).fetchall()
    integer = example.shape == "bigint"
    return {int(k[0]) if integer else tuple(k): tuple(row) for k, *row in rows}


def expect(before: Printed, after: Printed, example: Example) -> list[tuple[Key, str, tuple[str, ...]]]:
    out: list[tuple[Key, str, tuple[str, ...]]] = []
    pending = {example.keys.key(n) for n in example.pending}
    for key in sorted(before.keys() | after.keys()):
        if key in pending or before.get(key) == after.get(key):
            continue
        if key not in after:
            out.append((key, "missing", ()))
        elif key not in before:
            out.append((key, "extra", ()))
        else:
            changed = [n for n, (a, b) in enumerate(zip(before[key], after[key], strict=True)) if a != b]
            out.append((key, "different", tuple(f"c{n}" for n in changed)))
    return out


def compare(target: Target, conn: Connection, example: Example, method: Method) -> PartialReport:
    oids = [conn.execute("SELECT %s::regclass::oid::bigint", [str(t)]).fetchone() or (0,) for t in (ORIGIN, TARGET)]
    origin, maintained = load_tables(conn, [oid for (oid,) in oids])
    mapped = tuple(ColumnMapping(c.name, c.name, False, True, c) for c in origin.columns if c.name.startswith("c"))
    d = TableMapping(
        direction=Direction.FORWARD, number=0, origin=ORIGIN, target=TARGET, key=tuple(example.keys.columns), origin_uuid=None,
        target_uuid=None, columns=mapped, lookups_in=NO_LOOKUPS, key_lookups=KeyLookups(NO_LOOKUPS, NO_LOOKUPS, NO_LOOKUPS),
    )  # fmt: skip
    found = PartialReport()
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        (exported,) = conn.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        keys = [example.keys.key(n) for n in example.pending]
        pending = PendingKeys(array("q", sorted(key_numbers(conn, d, keys))))
        snapshot = ExportedSnapshot(name=exported, text="", lsn="", watermark=Snapshot(1), pending={0: pending})
        with Workers(target, 2) as workers:
            snapshots = SnapshotSeries(None, workers, math.inf)  # type: ignore[arg-type]  # there is no run, and no next one
            snapshots.taken.append(snapshot)
            workers.use_snapshot(exported)
            kept = KeptRanges(None, None, False, {})  # type: ignore[arg-type]  # there is no run to keep anything for
            context = ComparisonContext(VerificationSettings(method, 2, limit=100), workers, snapshots, found, kept, Silent())
            RowComparison(context, d, origin, maintained).run()
            found.unfinished += workers.unfinished
    return found
