"""What references hold today (H19): pairs that contradict each other, orphans, what a dual write left out.

Each reference is one scan of its table, or of its partitions, read-only and bounded by a statement timeout; nothing is repaired here.
"""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql, verbatim
from swap.doctor.finding import PACKAGE, Finding, Subject, blocker, bounded, ok, or_ok, qualified, warning
from swap.plan.key_columns import unvouched
from swap.plan.model import RefColumns


def check_data(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    found = []
    for ref in subject.references:
        until = time.monotonic() + timeout_ms / 1000
        for heap in worth_a_scan(ref, subject):
            found += _check(conn, ref, heap, subject, max(1, round(1000 * (until - time.monotonic()))))
    return or_ok(found, "reference-data", subject.source.name, "no reference holds anything but what its foreign key vouches for")


def worth_a_scan(ref: RefColumns, subject: Subject) -> tuple[TableName, ...]:
    """The table, or those of its partitions, whose rows nobody vouches for: a validated foreign key does, for the integers;
    only an adopted uuid column can contradict them."""
    table = subject.catalog.table(ref.table)
    if ref.adopted or ref.where is not None:
        return tuple(t.name for t in table.heaps)
    valid = (f for f in subject.catalog.foreign_keys if f.validated)
    return tuple(t.name for t in unvouched(subject.catalog, table, ref.column, valid))


def _check(conn: Connection, ref: RefColumns, heap: TableName, subject: Subject, timeout_ms: int) -> list[Finding]:
    at = qualified(heap, ref.column)
    ref = replace(ref, table=heap, declared=ref.declared and heap in _bare(ref, subject))
    names = _names(ref, subject)
    try:
        rows = bounded(conn, load_sql(PACKAGE, "reference.sql").format(**names), timeout_ms)
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.InternalError) as e:
        if ref.where is None:
            raise
        return [blocker("reference-where", at, f"`where` does not run: {e.diag.message_primary}", "Correct [[reference]] where.")]
    if isinstance(rows, str):
        hint = "`verify` compares every row before a cutover; orphans and contradictions show there at the latest."
        return [warning("reference-data", at, rows, hint)]
    contradictions, orphans, missing, lonely = rows[0]
    found = []
    if contradictions:
        found.append(_contradictions(conn, ref, subject, contradictions, timeout_ms))
    if orphans:
        found.append(_orphans(ref, subject, orphans))
    if lonely:
        detail = f"{lonely:,} rows have a uuid in {quote(ref.uuid_column)} and no integer"
        hint = f"UPDATE {ref.table} r SET {quote(ref.column)} = s.{quote(subject.config.source.key)} FROM {subject.source.name} s WHERE …"
        found.append(blocker("reference-data", at, detail, f"Set the integer ({hint}), or the uuid to NULL."))
    if ref.adopted and missing and not found:
        return [
            ok(
                "reference-data",
                at,
                f"no contradiction; {missing:,} rows have no uuid yet and get theirs in the backfill",
            )
        ]
    return or_ok(found, "reference-data", at, "every key is known" + (", no uuid contradicts it" if ref.adopted else ""))


def _bare(ref: RefColumns, subject: Subject) -> list[TableName]:
    return [t.name for t in unvouched(subject.catalog, subject.catalog.table(ref.table), ref.column)]


def _contradictions(conn: Connection, ref: RefColumns, subject: Subject, count: int, timeout_ms: int) -> Finding:
    rows = bounded(conn, load_sql(PACKAGE, "contradictions.sql").format(**_names(ref, subject)), timeout_ms)
    shown = "" if isinstance(rows, str) else "; " + ", ".join(
        f"{quote(ref.column)} = {key} has {uuid}, not {right or 'a known uuid'}" for key, uuid, right in rows
    )  # fmt: skip
    detail = f"{count:,} rows hold a uuid that contradicts the integer{shown}"
    hint = f"Decide which side is right and correct it: UPDATE {ref.table} SET {quote(ref.uuid_column)} = NULL … lets the backfill fill it."
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
