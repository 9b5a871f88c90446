"""Columns that hold keys of several types (`where`): how many rows each type has, and whether a uuid may take the integer's place.

With `as = "companion"` the rows of other types lose nothing: their integer stays. With `as = "uuid"` the column becomes a uuid, so
there must be no other row, and the server must allow none.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import quote
from swap.core.rows import fetch_values
from swap.core.sql_text import verbatim
from swap.doctor.finding import Finding, NotChecked, Subject, blocker, ok, qualified, scan, warning
from swap.plan.model import RefColumns

SHOWN = 6


class Type(NamedTuple):
    """The rows of one value of the discriminator. `applies`: `where` holds for them."""

    value: str
    applies: bool
    rows: int


def check_types(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """A finding for each reference with a `where`. Holds ACCESS SHARE on its table for `timeout_ms` at most."""
    return [_check(conn, subject, ref, timeout_ms) for ref in subject.references if ref.where is not None and ref.types]


def _check(conn: Connection, subject: Subject, ref: RefColumns, timeout_ms: int) -> Finding:
    at = qualified(ref.table, ref.column)
    found = scan(conn, Type, _count(ref), timeout_ms)
    if isinstance(found, NotChecked):
        return warning("reference-types", at, found.reason, "`verify` compares every row before a cutover.")
    others = [t for t in found if not t.applies]
    said = f"rows that refer to {subject.source.name}: {_listed([t for t in found if t.applies])}; others: {_listed(others)}"
    if ref.companion or ref.text or not ref.declared:
        kept = "; the others keep their values" if others and (ref.companion or ref.text) else ""
        return ok("reference-types", at, said + kept)
    if others or not _only(conn, subject, ref):
        why = "others are there" if others else "no CHECK of the table excludes others"
        companion = 'rite as = "companion" in this [[reference]]: the integer stays, and the uuid stands beside it.'
        hint = f"W{companion}" if others else f"{_exclude(subject, ref)} Or w{companion}"
        return blocker("reference-types", at, f'cannot become a uuid (as = "uuid"): {why}; {said}', hint)
    return ok("reference-types", at, f"{said}; the table allows no others")


def _exclude(subject: Subject, ref: RefColumns) -> str:
    columns = subject.catalog.table(ref.table).columns
    required = [f"ALTER COLUMN {quote(c.name)} SET NOT NULL" for c in columns if c.name in ref.types and not c.not_null]
    return f"ALTER TABLE {ref.table} {', '.join([f'ADD CHECK ({ref.where})', *required])};"


def _listed(types: list[Type]) -> str:
    more = f", {len(types) - SHOWN:,} more" if len(types) > SHOWN else ""
    return ", ".join(f"{t.value} {t.rows:,}" for t in types[:SHOWN]) + more if types else "none"


def _count(ref: RefColumns) -> sql.Composed:
    value = sql.SQL(" || ', ' || ").join(sql.SQL("coalesce({}::text, 'NULL')").format(sql.Identifier(c)) for c in ref.types)
    return sql.SQL(
        "SELECT {} AS value, ({}) IS TRUE AS applies, count(*) AS rows FROM {} WHERE {} IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1"
    ).format(value, verbatim(ref.where or "true"), ref.table.sql, sql.Identifier(ref.column))


def _only(conn: Connection, subject: Subject, ref: RefColumns) -> bool:
    """Whether the server proves that `where` holds for every row: it plans a scan for the others as one that returns nothing."""
    table = subject.catalog.table(ref.table)
    if not all(c.not_null for c in table.columns if c.name in ref.types):
        return False
    query = sql.SQL("EXPLAIN (COSTS OFF) SELECT FROM {} WHERE NOT ({})").format(ref.table.sql, verbatim(ref.where or "true"))
    with conn.transaction(force_rollback=True):
        conn.execute("SET LOCAL constraint_exclusion = on")
        lines = fetch_values(conn, query)
    return any("One-Time Filter: false" in line for line in lines)
