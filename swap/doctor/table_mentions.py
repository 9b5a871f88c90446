"""Columns that remember a table by its oid, its row type or its name (H56).

The cutover gives the name of the source to another table. A regclass or an oid that is stored goes on meaning the old one: it prints
as the retired table, and as a number once that is dropped. A name that is stored means the new one, and so does the key beside it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.names import TableName, expand, quote
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Count, Finding, NotChecked, Subject, or_ok, qualified, read, scan, warning

SCAN_MS, ALL_S = 2000, 30.0
SAMPLE_ROWS = 100_000  # of a text column; an oid is looked for in every row


class Column(NamedTuple):
    """A column that may hold a table. `kind`: oid | type | name; `many`: an array."""

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


def check_table_mentions(conn: Connection, subject: Subject) -> list[Finding]:
    """A warning, with the count, for each column that holds a table that is rebuilt, and is not in `ignore`. Each scan takes SCAN_MS at
    most, under ACCESS SHARE; all of them ALL_S. Names in text are looked for of the source alone."""
    until, found = time.monotonic() + ALL_S, list[Finding]()
    for c in read(conn, Column, "table_mentions_columns.sql", state_schema=subject.config.names.state_schema):
        if {c.label, f"{c.schema}.{c.relation}.{c.column}"} & set(subject.config.ignore):
            continue
        for table in subject.rebuilt[:1] if c.kind == "name" else subject.rebuilt:
            late = time.monotonic() > until
            rows = (
                NotChecked("not checked: there are too many") if late else scan(conn, Count, _statement(c, table.name), SCAN_MS)
            )
            if isinstance(rows, NotChecked):
                detail = f"holds tables; whether {table.name} is one was {rows.reason}"
                found += [warning("table-mention", c.label, detail, "Look for it.")] if c.kind != "name" else []
            elif rows[0].rows:
                found.append(_finding(c, rows[0].rows, table.name, subject.config))
    return or_ok(found, "table-mention", subject.source.name, "no column holds it by its oid or its name")


def _finding(c: Column, rows: int, table: TableName, config: Config) -> Finding:
    if c.kind == "name":
        detail = f"holds the name of {table} in {rows:,} rows. The name goes on meaning the live table"
        hint = "If a column beside it holds keys of that table, the application converts them. Then list this one in `ignore`."
        return warning("table-mention", c.label, detail, hint)
    retired = table.renamed(expand(config.names.retired, table.name))
    detail = f"holds {table} by its oid in {rows:,} rows: after the cutover they mean {retired}, and after `finalize` nothing"
    if c.many or c.kind == "type":
        hint = f"Bring them to the new {table} after the cutover, and back after a revert; or list the column in `ignore`."
    else:
        name = quote(c.column)
        hint = (
            f"After the cutover: UPDATE {c.table} SET {name} = '{table}'::regclass WHERE {name} = '{retired}'::regclass; (after a revert"
            " the same with the shadow's name), or list the column in `ignore`."
        )
    return warning("table-mention", c.label, detail, hint)


def _statement(c: Column, table: TableName) -> sql.Composed:
    relation = sql.SQL("{}::regclass::oid").format(sql.Literal(str(table)))
    row_type = sql.SQL("(SELECT t.reltype FROM pg_class t WHERE t.oid = {})").format(relation)
    names = sorted({table.name, str(table), f"{table.schema}.{table.name}", quote(table.name)})
    holds = {
        ("oid", False): sql.SQL("s.v::oid = {}").format(relation),
        ("oid", True): sql.SQL("{} = ANY (s.v::oid[])").format(relation),
        ("type", False): sql.SQL("s.v::oid = {}").format(row_type),
        ("name", False): sql.SQL("s.v::text = ANY ({})").format(sql.Literal(names)),
    }[c.kind, c.many]
    large = c.kind == "name" and c.rows_estimate > SAMPLE_ROWS
    percent = max(100 * SAMPLE_ROWS / max(c.rows_estimate, 1), 0.001)
    return load_sql(PACKAGE, "table_mentions_values.sql").format(
        column=sql.Identifier(c.column),
        table=c.table.sql,
        sample=sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(round(percent, 3))) if large else sql.SQL(""),
        limit=sql.Literal(SAMPLE_ROWS) if c.kind == "name" else sql.SQL("ALL"),
        holds=holds,
    )
