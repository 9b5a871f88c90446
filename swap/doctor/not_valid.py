"""NOT VALID constraints that would stop the backfill. The server refuses every UPDATE of a row that breaks one (seen: 23514 in the
middle of `sync`). The application does not notice while it never updates such a row. The backfill has to update it.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.doctor.finding import PACKAGE, Count, Finding, NotChecked, Subject, blocker, or_ok, qualified, read, scan, warning


class Constraint(NamedTuple):
    """A constraint that is NOT VALID. `not_null_column`: set where it is a NOT NULL."""

    table_oid: int
    name: str
    expression: str
    not_null_column: str | None


def check_not_valid(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """Each such constraint is one scan of its table for rows that the backfill has to update: `timeout_ms` at most, under ACCESS
    SHARE."""
    tables = {t.oid: t for t in subject.tables}
    found = []
    for c in read(conn, Constraint, "not_valid.sql", oids=list(tables)):
        table = tables[c.table_oid]
        column = c.not_null_column
        if column and (table in subject.rebuilt or column in _references(table, subject)):
            hint = _validated(conn, table, c, timeout_ms)
            detail = "a NOT NULL that is NOT VALID: the uuid's side would be stricter, and fail on the rows that break it"
            found.append(blocker("not-valid", qualified(table.name, c.name), detail, hint))
        elif (updated := _updated(table, subject)) is not None:
            found += _scan(conn, table, c, updated, timeout_ms)
    return or_ok(found, "not-valid", subject.source.name, "no row that the backfill updates breaks a NOT VALID constraint")


def _validated(conn: Connection, table: Table, c: Constraint, timeout_ms: int) -> str:
    """How a NOT NULL becomes valid: rows that break it come first."""
    validate = f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {quote(c.name)};"
    drop = f"ALTER TABLE {table.name} DROP CONSTRAINT {quote(c.name)};"
    query = load_sql(PACKAGE, "not_valid_rows.sql")
    all_rows = query.format(table=table.name.sql, expression=verbatim(c.expression), updated=sql.SQL("true"))
    counts = scan(conn, Count, all_rows, timeout_ms)
    if isinstance(counts, NotChecked) or not counts[0].rows:
        return f"{validate} or {drop}"
    return f"Give its {counts[0].rows:,} rows without a value one and validate it, or {drop} and add it again afterwards."


def _references(table: Table, subject: Subject) -> set[str]:
    return {r.column for r in subject.references if r.table == table.name}


def _updated(table: Table, subject: Subject) -> Query | None:
    """The condition of the rows that the backfill updates; None: it updates none."""
    if table in subject.rebuilt:
        if subject.derived or table.oid != subject.source.oid:
            return None
        identity = table.column(subject.config.identity.column)
        if identity is None:
            return sql.SQL("true")
        return None if identity.not_null else sql.SQL("{} IS NULL").format(sql.Identifier(identity.name))
    conditions = []
    for r in (r for r in subject.references if r.table == table.name):
        empty = sql.SQL(" AND {} IS NULL").format(sql.Identifier(r.uuid_column)) if r.adopted else sql.SQL("")
        conditions.append(sql.SQL("({} IS NOT NULL{})").format(sql.Identifier(r.column), empty))
    return sql.SQL(" OR ").join(conditions)


def _scan(conn: Connection, table: Table, c: Constraint, updated: Query, timeout_ms: int) -> list[Finding]:
    query = load_sql(PACKAGE, "not_valid_rows.sql").format(
        table=table.name.sql, expression=verbatim(c.expression), updated=updated
    )
    counts = scan(conn, Count, query, timeout_ms)
    at = qualified(table.name, c.name)
    hint = f"Correct those rows, or ALTER TABLE {table.name} DROP CONSTRAINT {quote(c.name)}; and add it again afterwards."
    if isinstance(counts, NotChecked):
        detail = f"a row that breaks this NOT VALID constraint would stop the backfill; {counts.reason}"
        return [warning("not-valid", at, detail, hint)]
    (broken,) = counts
    if not broken.rows:
        return []
    detail = f"{broken.rows:,} rows break this NOT VALID constraint: the backfill could not update them"
    return [blocker("not-valid", at, detail, hint)]
