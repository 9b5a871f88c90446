"""Columns and expressions that remember a table by its oid, its row type or its name (H56).

The cutover gives the name of the source to another table. A regclass or an oid that is stored goes on meaning the old one: it prints
as the retired table, and as a number once that is dropped. A name that is stored means the new one, and so does the key beside it.
A constant in an expression ('users'::regclass) is an oid too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Table, View
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.names import TableName, expand, quote
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Count, Finding, NotChecked, Subject, blocker, or_ok, qualified, read, scan, warning

SCAN_MS, ALL_S = 2000, 30.0
SAMPLE_ROWS = 100_000  # of a text column; an oid is looked for in every row
TEXT = ("name", "digits")


class Column(NamedTuple):
    """A column that may hold a table. `kind`: oid | type | name | digits (an oid as a number or text); `many`: an array."""

    schema: str
    relation: str
    column: str
    kind: str
    many: bool
    rows_estimate: int

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.relation)

    @property
    def label(self) -> str:
        return qualified(self.table, self.column)


class Expression(NamedTuple):
    """An object whose expression holds a table as a constant. `by_default`: it is a default or a generated column."""

    object: str
    by_default: bool
    table_oid: int


def check_table_mentions(conn: Connection, subject: Subject) -> list[Finding]:
    """A warning, with the count, for each column that holds a table that is rebuilt, or a view that is made again, and is not in
    `ignore`. Each scan takes SCAN_MS at most, under ACCESS SHARE; all of them ALL_S. Names in text are looked for of the source alone."""
    made_again: tuple[Table | View, ...] = (*subject.rebuilt, *subject.catalog.views)
    until, found = time.monotonic() + ALL_S, list(_expressions(conn, subject))
    for c in read(conn, Column, "table_mentions_columns.sql", state_schema=subject.config.names.state_schema):
        if {c.label, f"{c.schema}.{c.relation}.{c.column}"} & set(subject.config.ignore):
            continue
        for table in subject.rebuilt[:1] if c.kind in TEXT else made_again:
            late = time.monotonic() > until
            rows = NotChecked("not checked: there are too many") if late else scan(conn, Count, _statement(c, table), SCAN_MS)
            if isinstance(rows, NotChecked):
                detail = f"holds tables; whether {table.name} is one was {rows.reason}"
                found += [warning("table-mention", c.label, detail, "Look for it.")] if c.kind not in TEXT else []
            elif rows[0].rows:
                found.append(_finding(c, rows[0].rows, table, subject.config))
    return or_ok(found, "table-mention", subject.source.name, "no column holds it by its oid or its name")


def _expressions(conn: Connection, subject: Subject) -> Iterator[Finding]:
    tables = {t.oid: t.name for t in subject.rebuilt}
    for e in read(conn, Expression, "table_mentions_expressions.sql", oids=list(tables)):
        table = tables[e.table_oid]
        retired = table.renamed(expand(subject.config.names.retired, table.name))
        hint = "Drop it before the cutover and make it again after it, or compare the name (x::text)."
        if e.by_default:
            hint = f"Say to_regclass('{table}') in its place: that asks for the name, each time."
        detail = f"its expression holds {table} by its oid: after the cutover it would mean {retired}"
        yield blocker("table-mention", e.object, detail, hint, acceptable=True)


def _finding(c: Column, rows: int, held: Table | View, config: Config) -> Finding:
    table = held.name
    if c.kind == "name":
        detail = f"holds the name of {table} in {rows:,} rows. The name goes on meaning the live table"
        hint = "If a column beside it holds keys of that table, the application converts them. Then list this one in `ignore`."
        return warning("table-mention", c.label, detail, hint)
    is_view = isinstance(held, View)
    retired = "the view that is set aside" if is_view else table.renamed(expand(config.names.retired, table.name))
    detail = f"holds {table} by its oid in {rows:,} rows: after the cutover they mean {retired}, and after `finalize` nothing"
    if c.many or c.kind != "oid" or is_view:
        hint = f"Bring them to the new {table} after the cutover, and back after a revert; or list the column in `ignore`."
    else:
        name = quote(c.column)
        hint = (
            f"After the cutover: UPDATE {c.table} SET {name} = '{table}'::regclass WHERE {name} = '{retired}'::regclass; (after a revert"
            " the same with the shadow's name), or list the column in `ignore`."
        )
    return warning("table-mention", c.label, detail, hint)


def _statement(c: Column, held: Table | View) -> sql.Composed:
    table, relation = held.name, sql.SQL("{}::oid").format(sql.Literal(held.oid))
    row_type = sql.SQL("(SELECT t.reltype FROM pg_class t WHERE t.oid = {})").format(relation)
    names = sorted({table.name, str(table), f"{table.schema}.{table.name}", quote(table.name)})
    holds = {
        ("oid", False): sql.SQL("s.v::oid = {}").format(relation),
        ("oid", True): sql.SQL("{} = ANY (s.v::oid[])").format(relation),
        ("type", False): sql.SQL("s.v::oid = {}").format(row_type),
        ("digits", False): sql.SQL("s.v::text = {}").format(sql.Literal(str(held.oid))),
        ("name", False): sql.SQL("s.v::text = ANY ({})").format(sql.Literal(names)),
    }[c.kind, c.many]
    large = c.kind in TEXT and c.rows_estimate > SAMPLE_ROWS
    percent = max(100 * SAMPLE_ROWS / max(c.rows_estimate, 1), 0.001)
    return load_sql(PACKAGE, "table_mentions_values.sql").format(
        column=sql.Identifier(c.column),
        table=c.table.sql,
        sample=sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(round(percent, 3))) if large else sql.SQL(""),
        limit=sql.Literal(SAMPLE_ROWS) if c.kind in TEXT else sql.SQL("ALL"),
        holds=holds,
    )
