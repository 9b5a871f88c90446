"""Rows of the application's for the trial: up to two of each table with triggers, the newest, and the rows of the source that they
refer to. They are copied into a schema of the trial. The application's tables are read by their keys, for two seconds at most each,
under ACCESS SHARE, which ends with the read: the rows pass through this program, for a lock is kept until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from psycopg import errors, sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.lock_retries import local_timeout
from swap.core.names import TableName
from swap.core.sql_text import Query
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.plan.model import Plan

SAMPLE_MS = 2_000
ROWS = 2
WIDEST = 1 << 23
"""Characters of a row's text. A wider row is no sample."""


@dataclass(frozen=True)
class Samples:
    """Tables in `schema` that hold rows, by the table that they are of. `n` numbers the rows: 1 and 2, then those referred to."""

    schema: str
    tables: dict[TableName, TableName]


def sample_rows(conn: Connection, plan: Plan, remap: SchemaRemap, schema: str, tables: Iterable[Table]) -> Samples:
    """Copy the rows. A table without a row, or that could not be read in time, has no sample."""
    conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    samples = Samples(schema, {})
    row = conn.execute("SELECT current_setting('statement_timeout')").fetchone()
    conn.execute(local_timeout("statement_timeout", SAMPLE_MS))
    source = plan.source_table
    for table in [*(t for t in tables if t.oid != source.oid), source]:  # the source last: the others refer to its rows
        made = TableName(schema, f"rows_{table.oid}")
        if _copied(conn, _select(plan, table, samples), remap.name(table.name), made):
            samples.tables[table.name] = made
    conn.execute("SELECT set_config('statement_timeout', %s, true)", row)
    return samples


def _copied(conn: Connection, rows: Query, like: TableName, made: TableName) -> bool:
    """Whether there is a row in the new table `made`. `like`: the trial's copy of the table, for its columns."""
    read: list[tuple[int, str]] = []
    number = sql.Identifier(NUMBER)
    texts = sql.SQL("SELECT q.{0}, q.swap_row::text FROM ({1}) q WHERE length(q.swap_row::text) <= {2}").format(
        number, rows, sql.Literal(WIDEST)
    )
    create = sql.SQL("CREATE TABLE {} AS SELECT 0::bigint AS {}, r.* FROM {} r LIMIT 0").format(made.sql, number, like.sql)

    def read_texts() -> None:
        with conn.transaction(force_rollback=True):
            read.extend(conn.execute(texts).fetchall())

    try:
        if any(error_in_savepoint(conn, work) for work in (read_texts, partial(conn.execute, create))):
            return False
    except errors.QueryCanceled as e:
        if "statement timeout" not in str(e):
            raise
        return False
    insert = sql.SQL("INSERT INTO {} SELECT %s, (%s::text::{}).*").format(made.sql, like.sql)
    for row in read:
        conn.execute(insert, row)
    return bool(read)


def _select(plan: Plan, table: Table, samples: Samples) -> Query:
    """The newest rows by the primary key; of the source also those that the other samples refer to."""
    key = table.primary_key
    columns = [sql.Identifier(c) for c in (key.key_columns if key else ())]
    order = (
        sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(sql.SQL("r.{} DESC").format(c) for c in columns))
        if columns
        else sql.SQL("")
    )
    newest = sql.SQL("(SELECT r.* FROM {} r{} LIMIT {})").format(table.name.sql, order, sql.Literal(ROWS))
    number = sql.Identifier(NUMBER)
    whole = sql.SQL("SELECT pg_catalog.row_number() OVER () AS {}, r AS swap_row FROM {} r").format(number, newest)
    named = [
        sql.SQL("SELECT r.{} FROM {} r").format(sql.Identifier(ref.column), samples.tables[ref.table].sql)
        for ref in plan.all_references
        if table.name == plan.source and ref.table in samples.tables and not (ref.text or ref.companion)
    ]
    if not named:
        return whole
    others = sql.SQL("SELECT 3, r::text FROM {} r WHERE r.{} IN ({})").format(
        table.name.sql, sql.Identifier(plan.key), sql.SQL(" UNION ").join(named)
    )
    whole = sql.SQL("SELECT q.{0}, q.swap_row::text FROM ({1}) q").format(number, whole)
    return sql.SQL("{} UNION ALL {}").format(whole, others)


NUMBER = "swap_row_number"
