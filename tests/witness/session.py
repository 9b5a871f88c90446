"""Runs the application's statements in one session, each in a transaction that is rolled back, and notes everything that the
application can see of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from tests.witness.application import Application, AppTable, Session
from tests.witness.statements import AppStatement

# Times of now() and random uuids are different in each state: only their place and form are compared. random() is not.
TIME = re.compile(rb"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)\.\d+")
UUID = re.compile(rb"\b[0-9a-f]{8}-[0-9a-f]{4}-([1-8])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")

SHOWN = 300  # characters of a value in a message
MARK = b"the witness looks"
LOOK = f"SELECT '{MARK.decode()}'"
SEQUENCES = "SELECT schemaname, sequencename, start_value, last_value FROM pg_sequences WHERE schemaname <> 'swap'"
RESULT_TYPES = "SELECT name, result_types::text FROM pg_prepared_statements ORDER BY name"


class Result(NamedTuple):
    """One result of a statement: its tag, the names and types of its columns, its rows in an order of their own."""

    tag: bytes | None
    columns: tuple[tuple[bytes | None, int], ...] = ()
    rows: tuple[Any, ...] = ()


@dataclass
class Observed:
    """What the application sees of one statement: results or the error; notices; lastval(); what it wrote, as counted by table and
    as the rows are afterwards; the functions that it called."""

    results: list[Result] = field(default_factory=list)
    error: tuple[str | bytes | None, ...] | None = None
    notices: list[bytes] = field(default_factory=list)
    lastval: str = ""
    looked: list[Result] = field(default_factory=list)
    counted: tuple[Any, ...] = ()
    written: list[Result] = field(default_factory=list)
    called: dict[int, int] = field(default_factory=dict)

    def difference(self, later: Observed) -> str:
        """Empty where there is none."""
        mine, other = vars(self), vars(later)
        return "; ".join(f"{name}: {first_difference(mine[name], other[name])}" for name in mine if mine[name] != other[name])


def first_difference(before: object, now: object) -> str:
    """Of two values that are not equal, by what they contain."""
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        if before and now and len(before) == len(now):
            return next(first_difference(b, n) for b, n in zip(before, now, strict=True) if b != n)
        if before and now:
            gone, new = [v for v in before if v not in now], [v for v in now if v not in before]
            return f"{str(gone)[:SHOWN]} before, {str(new)[:SHOWN]} now"
    return f"{str(before)[:SHOWN]} before, {str(now)[:SHOWN]} now"


class AppSession:
    """One session over all states. `tables`: those whose rows are looked at after a write."""

    def __init__(self, conninfo: str, app: Application, tables: list[AppTable]) -> None:
        self.conn: Session = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        self.tables = {t.oid: t for t in tables}
        self.notices: list[str] = []
        self.conn.add_notice_handler(lambda d: self.notices.append(f"{d.severity} {d.sqlstate} {d.message_primary}"))
        self.conn.execute("SET track_functions = 'all'")
        self.counting = (
            sql.SQL(
                "SELECT oid, pg_stat_get_xact_tuples_inserted(oid), pg_stat_get_xact_tuples_updated(oid),"
                " pg_stat_get_xact_tuples_deleted(oid) FROM unnest({}::oid[]) oid;"
                " SELECT oid, pg_stat_get_xact_function_calls(oid) FROM unnest({}::oid[]) oid"
                " WHERE pg_stat_get_xact_function_calls(oid) > 0"
            )
            .format(sql.Literal(sorted(self.tables)), sql.Literal(list(app.functions)))
            .as_string(self.conn)
        )
        self.restoring = "SELECT 1"
        for schema, name, start, last in self.conn.execute(SEQUENCES).fetchall():
            sequence = sql.Literal(sql.Identifier(schema, name).as_string(self.conn))
            back = sql.SQL("; SELECT setval({}, {}, {})").format(sequence, start if last is None else last, last is not None)
            self.restoring += back.as_string(self.conn)

    def close(self) -> None:
        self.conn.close()

    def keep(self, prepared: dict[str, str]) -> None:
        """Prepare what is executed in every state."""
        for text in prepared.values():
            self.conn.execute(text.encode())

    def restore_sequences(self) -> None:
        """As they were when the session began: what is rolled back leaves its numbers taken."""
        self.conn.execute(self.restoring.encode())

    def result_types(self) -> list[Any]:
        """Of the prepared statements, as they are planned now."""
        return self.conn.execute(RESULT_TYPES).fetchall() if self.conn.info.server_version >= 160000 else []

    def run(self, statement: AppStatement) -> Observed:
        seen = Observed()
        self.notices.clear()
        try:
            counts = self._execute(statement, seen)
            self._written(statement, seen, counts)
        except psycopg.Error as e:
            d = e.diag
            found = (d.sqlstate, d.message_primary, d.message_detail, d.message_hint, d.constraint_name, d.table_name)
            seen = Observed(error=tuple(_masked(text) for text in found))
        self.conn.execute("ROLLBACK; SELECT pg_stat_force_next_flush()")
        try:
            seen.lastval = str(self.conn.execute("SELECT lastval()").fetchone())
        except psycopg.Error as e:
            seen.lastval = str(e.diag.sqlstate)
        seen.notices = sorted(_masked(n) or b"" for n in self.notices)
        return seen

    def _execute(self, statement: AppStatement, seen: Observed) -> list[tuple[int, ...]]:
        """Fills in what the statement returned; returns the rows that were inserted, updated and deleted, by table."""
        settings = "".join(f"SET LOCAL {name} = '1';" for name in statement.settings)
        role = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(statement.role)).as_string(self.conn)
        begin = f"BEGIN; DISCARD SEQUENCES; SELECT setseed(0.5); {statement.setup} {settings} {role}; {LOOK};"
        end = (
            f"{LOOK}; RESET ROLE; SET CONSTRAINTS ALL IMMEDIATE; {LOOK}; {statement.look or 'SELECT 1'}; {LOOK}; {self.counting}"
        )
        if statement.text.startswith("COPY"):
            self._results(begin)
            copied = self._copy(statement)
            _, _, _, looked, counted = self._results(f"{LOOK}; {end}")
            seen.results = [copied]
        else:
            _, seen.results, _, looked, counted = self._results(f"{begin} {statement.text}; {end}")
        seen.looked = looked if statement.look else []
        seen.called = {int(oid): int(calls) for oid, calls in counted[1].rows}
        return [tuple(map(int, row)) for row in counted[0].rows]

    def _written(self, statement: AppStatement, seen: Observed, counts: list[tuple[int, ...]]) -> None:
        seen.counted = tuple((str(self.tables[oid]), *values) for oid, *values in counts if any(values))
        oids = [oid for oid, *values in counts if any(values)]
        if statement.kind == "truncate":  # it does not count rows
            left = [sql.SQL("(SELECT count(*) FROM ONLY {})").format(t.sql) for t in self.tables.values()]
            seen.written = self._results(sql.SQL("SELECT {}").format(sql.SQL(", ").join(left)).as_string(self.conn))[0]
        elif oids:
            rows = (sql.SQL("SELECT t::text FROM ONLY {} t").format(self.tables[oid].sql) for oid in oids)
            seen.written = self._results(sql.SQL("; ").join(rows).as_string(self.conn))[0]

    def _results(self, text: str) -> list[list[Result]]:
        """The results of several statements, parted by the marks among them."""
        parts: list[list[Result]] = [[]]
        cursor = self.conn.execute(text.encode())
        while True:
            found = cursor.pgresult
            assert found is not None
            columns = tuple((found.fname(c), found.ftype(c)) for c in range(found.nfields))
            values = [[_mask(found.get_value(r, c)) for c in range(found.nfields)] for r in range(found.ntuples)]
            if values == [[MARK]]:
                parts.append([])
            else:
                rows = sorted((tuple(row) for row in values), key=repr)
                parts[-1].append(Result(found.command_status, columns, tuple(rows)))
            if not cursor.nextset():
                return parts

    def _copy(self, statement: AppStatement) -> Result:
        with self.conn.cursor() as cursor:
            with cursor.copy(statement.text.encode()) as copy:
                if statement.data is None:
                    lines = b"".join(bytes(block) for block in copy).splitlines()
                    return Result(None, rows=tuple(sorted(_mask(line) or b"" for line in lines)))
                copy.write(statement.data)
            return Result(cursor.pgresult.command_status if cursor.pgresult else None)


def _mask(value: bytes | None) -> bytes | None:
    return value if value is None else UUID.sub(rb"<uuid version \1>", TIME.sub(rb"<time>", value))


def _masked(text: str | None) -> bytes | None:
    return _mask(text.encode()) if text is not None else None
