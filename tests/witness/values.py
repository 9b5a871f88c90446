"""Values for the witness' writes: of one row, and other ones for each column of it. Chosen before `prepare`, so that every state
runs the same text."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from tests.witness.application import AppColumn, AppTable, Session

A_UUID = "11111111-1111-4111-8111-111111111111"
NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
TEXTS = {"text", "varchar", "bpchar", "citext"}
TIMES = {"date": "1", "timestamp": "interval '1 day'", "timestamptz": "interval '1 day'"}
CONSTANTS = {"uuid": f"'{A_UUID}'", "json": "'{\"w\": 1}'", "jsonb": "'{\"w\": 1}'"}
EMPTY = {"N": "1", "S": "w", "B": "true", "D": "2020-01-01"}  # by pg_type.typcategory, for a table without rows

FIRST = sql.SQL("(tableoid, ctid) = (SELECT f.tableoid, f.ctid FROM {} f ORDER BY 1, 2 LIMIT 1)")


def first_row(t: AppTable) -> sql.Composed:
    """The condition that holds for the first row alone, of those that the role sees."""
    return FIRST.format(t.sql)


def other_value(t: AppTable, c: AppColumn) -> sql.Composable:
    """An expression for another value than the row has. A key of another table's stays one that is there."""
    name = c.ident
    if c.foreign:
        return sql.SQL("(SELECT max(m.{}) FROM {} m)").format(name, t.sql)
    if c.type_name in NUMBERS:
        return sql.SQL("coalesce({}, 0) + 1000").format(name)
    if c.type_name in TEXTS:
        return sql.SQL("coalesce({}, '') || 'w'").format(name)
    if c.type_name in TIMES:
        return sql.SQL("coalesce({}, '2020-01-01') + {}").format(name, sql.SQL(TIMES[c.type_name]))
    if c.type_name == "bool":
        return sql.SQL("NOT coalesce({}, false)").format(name)
    if c.category == "E":
        return sql.SQL("enum_last({})").format(name)
    if c.type_name == "bytea":
        return sql.SQL("{} || '\\x77'").format(name)
    if c.type_name in CONSTANTS:
        return sql.SQL(CONSTANTS[c.type_name])
    return name


@dataclass(frozen=True)
class RowValues:
    """The first row of a table as texts, one for each written column: as it is, and `fresh`, with other values wherever an index
    could refuse it. None is NULL."""

    table: AppTable
    first: tuple[str | None, ...]
    fresh: tuple[str | None, ...]

    def literals(self, values: tuple[str | None, ...]) -> sql.Composed:
        """For VALUES without a column list: DEFAULT where the server gives the value."""
        given = dict(zip((c.name for c in self.table.written), values, strict=True))
        return sql.SQL(", ").join(
            sql.SQL("DEFAULT") if c.generated or c.identity == "a" else _literal(given[c.name]) for c in self.table.columns
        )

    def assigned(self, values: tuple[str | None, ...], *, defaults: bool) -> tuple[sql.Composed, sql.Composed]:
        """A column list and its values. `defaults`: without those that the server gives a value."""
        chosen = [
            (c.ident, _literal(v))
            for c, v in zip(self.table.written, values, strict=True)
            if not (defaults and (c.has_default or c.identity))
        ]
        comma = sql.SQL(", ")
        return comma.join([n for n, _ in chosen]), comma.join([v for _, v in chosen])

    def copied(self, values: tuple[str | None, ...]) -> bytes:
        """One line of COPY's text format."""
        line = "\t".join("\\N" if v is None else _escaped(v) for v in values)
        return f"{line}\n".encode()


def _literal(value: str | None) -> sql.Composable:
    return sql.SQL("NULL") if value is None else sql.Literal(value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def row_values(conn: Session, t: AppTable) -> RowValues:
    """Reads the table as it is now."""
    comma = sql.SQL(", ")
    as_text = sql.SQL("({})::text")
    first = comma.join([as_text.format(c.ident) for c in t.written])
    computed = any(c.generated and c.unique for c in t.columns)  # out of any column
    changed = [other_value(t, c) if (c.unique or computed) and not c.foreign else c.ident for c in t.written]
    fresh = comma.join([as_text.format(c) for c in changed])
    query = sql.SQL("SELECT {} FROM {} WHERE {}")
    if not t.written:
        return RowValues(t, (), ())
    one = conn.execute(query.format(first, t.sql, first_row(t))).fetchone()
    other = conn.execute(query.format(fresh, t.sql, first_row(t))).fetchone()
    if one is None or other is None:
        empty = tuple(A_UUID if c.type_name == "uuid" else EMPTY.get(c.category) for c in t.written)
        return RowValues(t, empty, empty)
    return RowValues(t, tuple(one), tuple(other))
