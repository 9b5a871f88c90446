"""The values of references (H19): pairs of integer and uuid that contradict each other, orphans, uuids that a dual write left out.

Each reference is one read-only scan of its table, or of its partitions, limited by a statement timeout. Nothing is repaired here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql, verbatim
from swap.doctor.finding import PACKAGE, Finding, NotChecked, Subject, blocker, ok, or_ok, qualified, scan, warning
from swap.plan.key_columns import unvouched
from swap.plan.model import RefColumns


class Counts(NamedTuple):
    """How many rows of a reference hold a wrong uuid, an integer of no row, no uuid yet, a uuid without an integer."""

    contradictions: int
    orphans: int
    missing: int
    without_integer: int


class Contradiction(NamedTuple):
    """One row whose uuid is not the `expected` one: that of the row which its integer names."""

    key: str
    uuid: str
    expected: str | None


def check_data(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """`timeout_ms`: for each reference. Holds ACCESS SHARE on its table meanwhile."""
    found = []
    for ref in subject.references:
        until = time.monotonic() + timeout_ms / 1000
        for heap in worth_a_scan(ref, subject):
            found += _check(conn, ref, heap, subject, max(1, round(1000 * (until - time.monotonic()))))
    return or_ok(found, "reference-data", subject.source.name, "no reference holds anything but what its foreign key vouches for")


def worth_a_scan(ref: RefColumns, subject: Subject) -> tuple[TableName, ...]:
    """The table, or those of its partitions, whose rows have to be read. A validated foreign key guarantees the integers, and only
    an adopted uuid column can contradict them."""
    table = subject.catalog.table(ref.table)
    if ref.text:  # a text that names nobody stays a text
        return ()
    if ref.adopted or ref.where is not None:
        return tuple(t.name for t in table.heaps)
    valid = (f for f in subject.catalog.foreign_keys if f.validated)
    return tuple(t.name for t in unvouched(subject.catalog, table, ref.column, valid))


def _check(conn: Connection, ref: RefColumns, heap: TableName, subject: Subject, timeout_ms: int) -> list[Finding]:
    at = qualified(heap, ref.column)
    ref = replace(ref, table=heap, declared=ref.declared and heap in _bare(ref, subject))
    names = _names(ref, subject)
    try:
        rows = scan(conn, Counts, load_sql(PACKAGE, "reference.sql").format(**names), timeout_ms)
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.InternalError) as e:
        if ref.where is None:
            raise
        return [blocker("reference-where", at, f"`where` does not run: {e.diag.message_primary}", "Correct [[reference]] where.")]
    if isinstance(rows, NotChecked):
        hint = "`verify` compares every row before a cutover; orphans and contradictions show there at the latest."
        return [warning("reference-data", at, rows.reason, hint)]
    (counts,) = rows
    found = []
    if counts.contradictions:
        found.append(_contradictions(conn, ref, subject, counts.contradictions, timeout_ms))
    if counts.orphans:
        found.append(_orphans(ref, subject, counts.orphans))
    if counts.without_integer:
        detail = f"{counts.without_integer:,} rows have a uuid in {quote(ref.uuid_column)} and no integer"
        key, uuid = quote(subject.config.source.key), quote(subject.config.identity.column)
        here = f"r.{quote(ref.column)} IS NULL" + (f" AND ({ref.where})" if ref.where else "")
        hint = (
            f"UPDATE {ref.table} r SET {quote(ref.column)} = s.{key} FROM {subject.source.name} s WHERE s.{uuid} ="
            f" r.{quote(ref.uuid_column)} AND {here}; and set the uuid to NULL in rows where it is no row's."
        )
        found.append(blocker("reference-data", at, detail, hint))
    if ref.adopted and counts.missing and not found:
        detail = f"no contradiction; {counts.missing:,} rows have no uuid yet and get theirs in the backfill"
        return [ok("reference-data", at, detail)]
    return or_ok(found, "reference-data", at, "every key is known" + (", no uuid contradicts it" if ref.adopted else ""))


def _bare(ref: RefColumns, subject: Subject) -> list[TableName]:
    return [t.name for t in unvouched(subject.catalog, subject.catalog.table(ref.table), ref.column)]


def _contradictions(conn: Connection, ref: RefColumns, subject: Subject, count: int, timeout_ms: int) -> Finding:
    rows = scan(conn, Contradiction, load_sql(PACKAGE, "contradictions.sql").format(**_names(ref, subject)), timeout_ms)
    shown = "" if isinstance(rows, NotChecked) else "; " + ", ".join(
        f"{quote(ref.column)} = {r.key} has {r.uuid}, not {r.expected or 'a known uuid'}" for r in rows
    )  # fmt: skip
    detail = f"{count:,} rows hold a uuid that contradicts the integer{shown}"
    key, uuid = quote(subject.config.source.key), quote(subject.config.identity.column)
    hint = (
        f"Where the integer is right: UPDATE {ref.table} r SET {quote(ref.uuid_column)} = NULL FROM {subject.source.name} s WHERE s.{key} ="
        f" r.{quote(ref.column)} AND s.{uuid} <> r.{quote(ref.uuid_column)}; the backfill fills it. Where the uuid is right, correct the integer."
    )
    return blocker("reference-data", qualified(ref.table, ref.column), detail, hint)


def _orphans(ref: RefColumns, subject: Subject, count: int) -> Finding:
    at = qualified(ref.table, ref.column)
    detail = f"{count:,} rows refer to a key that {subject.source.name} does not have"
    if ref.not_null and ref.where is None:
        hint = f"Delete or correct them: a NOT NULL reference needs a uuid in every row. Or ALTER COLUMN {quote(ref.column)} DROP NOT NULL."
        return blocker("reference-data", at, detail, hint)
    if not ref.declared:
        hint = f"Delete them or set {quote(ref.column)} to NULL: `verify` fails on an orphan of a foreign key, and the cutover stays closed."
        return blocker("reference-data", at, detail, hint)
    return warning("reference-data", at, f"{detail}: they keep the integer and get no uuid", "Nothing has to be done.")


def _names(ref: RefColumns, subject: Subject) -> dict[str, sql.Composable]:
    identity = subject.source.column(subject.config.identity.column)
    null = sql.SQL("NULL::uuid")
    return {
        "key": sql.Identifier(subject.config.source.key),
        "identity": sql.Identifier("s", identity.name) if identity else null,
        "column": sql.Identifier(ref.column),
        "uuid": sql.Identifier(ref.uuid_column) if ref.adopted else null,
        "table": ref.table.sql,
        "where": verbatim(ref.where or "true"),
        "source": subject.source.name.sql,
    }
