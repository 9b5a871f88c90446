"""Columns that remember a table by its oid, its row type or its name (H56).

The cutover gives the name of the source to another table. A regclass or an oid that is stored goes on meaning the old one: it prints
as the retired table, and as a number once that is dropped. A name that is stored means the new one, and so does the key beside it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from psycopg import sql

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
    """A warning, with the count, for each column that holds the source and is not in `ignore`. Each scan takes SCAN_MS at most, under
    ACCESS SHARE."""
    source, until = subject.source.name, time.monotonic() + ALL_S
    plain = ".".join
    found = []
    for c in read(conn, Column, "table_mentions_columns.sql", state_schema=subject.config.names.state_schema):
        if {c.label, plain((c.schema, c.relation, c.column))} & set(subject.config.ignore):
            continue
        rows = (
            scan(conn, Count, _statement(c, subject), SCAN_MS)
            if time.monotonic() < until
            else NotChecked("not checked: too many")
        )
        if isinstance(rows, NotChecked):
            if c.kind != "name":
                found.append(
                    warning("table-mention", c.label, f"holds tables; whether {source} is one was {rows.reason}", "Look for it.")
                )
        elif rows[0].rows:
            found.append(_finding(c, rows[0].rows, subject))
    return or_ok(found, "table-mention", source, "no column holds it by its oid or its name")


def _finding(c: Column, rows: int, subject: Subject) -> Finding:
    source = subject.source.name
    if c.kind == "name":
        detail = f"holds the name of {source} in {rows:,} rows. The name goes on meaning the live table"
        hint = "If a column beside it holds keys of that table, the application converts them. Then list this one in `ignore`."
        return warning("table-mention", c.label, detail, hint)
    retired = source.renamed(expand(subject.config.names.retired, source.name))
    detail = f"holds {source} by its oid in {rows:,} rows: after the cutover they mean {retired}, and after `finalize` nothing"
    if c.many or c.kind == "type":
        hint = f"Bring them to the new {source} after the cutover, and back after a revert; or list the column in `ignore`."
    else:
        name, table = quote(c.column), c.table
        hint = (
            f"After the cutover: UPDATE {table} SET {name} = '{source}'::regclass WHERE {name} = '{retired}'::regclass; (after a revert"
            " the same with the shadow's name), or list the column in `ignore`."
        )
    return warning("table-mention", c.label, detail, hint)


def _statement(c: Column, subject: Subject) -> sql.Composed:
    source = subject.source.name
    relation = sql.SQL("{}::regclass::oid").format(sql.Literal(str(source)))
    row_type = sql.SQL("(SELECT t.reltype FROM pg_class t WHERE t.oid = {})").format(relation)
    names = [source.name, str(source), f"{source.schema}.{source.name}", quote(source.name)]
    holds = {
        ("oid", False): sql.SQL("s.v::oid = {}").format(relation),
        ("oid", True): sql.SQL("{} = ANY (s.v::oid[])").format(relation),
        ("type", False): sql.SQL("s.v::oid = {}").format(row_type),
        ("name", False): sql.SQL("s.v::text = ANY ({})").format(sql.Literal(sorted(set(names)))),
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
