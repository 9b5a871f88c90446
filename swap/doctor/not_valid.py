"""NOT VALID constraints in the way of the backfill: a row that breaks one cannot be updated, by nobody (seen here: 23514
in the middle of `sync`). The application does not notice while it leaves such rows alone; the backfill may not.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.doctor.finding import PACKAGE, Finding, Subject, blocker, bounded, or_ok, qualified, read, warning


def check_not_valid(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """Each such constraint is one scan of its table, bounded by `timeout_ms`, for rows that the backfill has to update."""
    tables = {t.oid: t for t in subject.tables}
    found = []
    for oid, name, expression, not_null in read(conn, "not_valid.sql", oids=list(tables)):
        table = tables[oid]
        if not_null and (table.oid == subject.source.oid or not_null in _references(table, subject)):
            hint = f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {quote(name)}; or drop it."
            detail = "a NOT NULL that is NOT VALID: the uuid's side would be stricter, and fail on the rows that break it"
            found.append(blocker("not-valid", qualified(table.name, name), detail, hint))
        elif (updated := _updated(table, subject)) is not None:
            found += _scan(conn, table, name, verbatim(expression), updated, timeout_ms)
    return or_ok(found, "not-valid", subject.source.name, "no row that the backfill updates breaks a NOT VALID constraint")


def _references(table: Table, subject: Subject) -> set[str]:
    return {r.column for r in subject.references if r.table == table.name}


def _updated(table: Table, subject: Subject) -> Query | None:
    """Which rows the backfill updates; None: none."""
    if table.oid == subject.source.oid:
        identity = table.column(subject.config.identity.column)
        if identity is None:
            return sql.SQL("true")
        return None if identity.not_null else sql.SQL("{} IS NULL").format(sql.Identifier(identity.name))
    conditions = []
    for r in (r for r in subject.references if r.table == table.name):
        empty = sql.SQL(" AND {} IS NULL").format(sql.Identifier(r.uuid_column)) if r.adopted else sql.SQL("")
        conditions.append(sql.SQL("({} IS NOT NULL{})").format(sql.Identifier(r.column), empty))
    return sql.SQL(" OR ").join(conditions)


def _scan(conn: Connection, table: Table, name: str, expression: Query, updated: Query, timeout_ms: int) -> list[Finding]:
    query = load_sql(PACKAGE, "not_valid_rows.sql").format(table=table.name.sql, expression=expression, updated=updated)
    rows = bounded(conn, query, timeout_ms)
    at = qualified(table.name, name)
    hint = f"Correct those rows, or ALTER TABLE {table.name} DROP CONSTRAINT {quote(name)}; and add it again afterwards."
    if isinstance(rows, str):
        return [warning("not-valid", at, f"a row that breaks this NOT VALID constraint would stop the backfill; {rows}", hint)]
    if not rows[0][0]:
        return []
    detail = f"{rows[0][0]:,} rows break this NOT VALID constraint: the backfill could not update them"
    return [blocker("not-valid", at, detail, hint)]
