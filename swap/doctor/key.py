"""The key that becomes a uuid, and the column that holds the uuids. Pure, except two scans of the source with a time limit."""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Table
from swap.core.config import Config
from swap.core.connection import Connection
from swap.core.names import derive, quote
from swap.core.sql_text import load_sql
from swap.doctor.finding import (
    PACKAGE,
    Count,
    Finding,
    NotChecked,
    Subject,
    blocker,
    ok,
    or_ok,
    qualified,
    scan,
    warning,
)
from swap.plan.model import DERIVED, INTEGERS, is_identity_index, unique_index_of


class Duplicate(NamedTuple):
    """A uuid that several rows hold."""

    value: str
    rows: int


def check_key(source: Table, config: Config) -> list[Finding]:
    """The key must be an integer, be the primary key or a part of it that is unique by itself, and have a default: after the cutover a
    new row gets its legacy key from it."""
    key, name = config.source.key, source.name
    where = qualified(name, key)
    primary = source.primary_key
    column = source.column(key)
    if primary is None:
        hint = f"ALTER TABLE {name} ADD PRIMARY KEY (…); an application without one cannot be migrated safely."
        return [blocker("key", name, "the table has no primary key", hint)]
    composite = len(primary.key_columns) > 1
    columns = ", ".join(quote(c) for c in primary.key_columns)
    if composite and key not in primary.key_columns:
        hint = "[source] key: name the one of these columns that identifies a row by itself."
        return [blocker("key", name, f"the primary key is composite ({columns}), without {quote(key)}", hint)]
    if composite and unique_index_of(source, key) is None:
        detail = f"the primary key is composite ({columns}), and {quote(key)} is not unique by itself: a legacy key has to name one row"
        index = quote(derive(f"{name.name}_{key}", "_key"))
        return [blocker("key", name, detail, f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {name} ({quote(key)});")]
    if column is None:
        hint = f"[source] key = {quote(primary.key_columns[0])} is the primary key."
        return [blocker("key", where, "there is no such column", hint)]
    if not composite and primary.key_columns != (key,):
        hint = f"[source] key: name the primary key's column, {quote(primary.key_columns[0])}."
        return [blocker("key", where, "this column is not the primary key", hint)]
    if column.type not in INTEGERS:
        detail = f"the key is {column.type}, not smallint, integer or bigint"
        if column.type == "uuid":
            detail = "the key is a uuid already"
        return [blocker("key", where, detail, "Only integer keys are migrated.")]
    return or_ok(_default(source, config), "key", where, f"{column.type}, primary key {quote(primary.name)}")


def _default(source: Table, config: Config) -> list[Finding]:
    column = source.column(config.source.key)
    assert column is not None
    where = qualified(source.name, column.name)
    if column.identity:
        return []
    if column.generated:
        return [blocker("key", where, "the key is a generated column", "Only stored keys are migrated.")]
    if column.default is None:
        detail = "the key has no default: a row born after the cutover would have no legacy key, and a revert no place for it"
        hint = f"CREATE SEQUENCE …; ALTER TABLE {source.name} ALTER COLUMN {quote(column.name)} SET DEFAULT nextval('…');"
        return [blocker("key", where, detail, hint)]
    if "nextval(" not in column.default:
        detail = f"the default is {column.default}, not a sequence: rows born after the cutover get their legacy key from it"
        return [warning("key", where, detail, "Make sure that it never gives a key twice.")]
    return []


def check_identity(source: Table, config: Config) -> list[Finding]:
    """The identity column is adopted where it is a plain uuid column. Where it does not exist, `prepare` adds it."""
    column = source.column(config.identity.column)
    where = qualified(source.name, config.identity.column)
    if config.identity.column == config.source.key:
        return [blocker("identity", where, "the identity column is the key itself", "[identity] column: name another one.")]
    if column is None and config.identity.existing == DERIVED:
        return [ok("identity", where, "does not exist and is not added: the uuids are derived from the integers")]
    if column is None:
        return [ok("identity", where, f"does not exist: `prepare` adds it ({config.identity.generate})")]
    if column.type != "uuid":
        hint = "[identity] column: name a uuid column, or a name that is free."
        return [blocker("identity", where, f"exists and is {column.type}, not uuid", hint)]
    if column.generated:
        hint = "[identity] column: name another one."
        return [blocker("identity", where, "is a generated column: it cannot become a key", hint)]
    return [ok("identity", where, "is adopted" + ("" if column.not_null else "; NULLs are filled"))]


def has_unique_identity(source: Table, column: str) -> bool:
    return any(i.valid and is_identity_index(i, column) for i in source.indexes)


def check_identity_data(conn: Connection, subject: Subject, timeout_ms: int) -> list[Finding]:
    """NULLs in the identity column are counted: the backfill fills them. A duplicate is a blocker. Each scan takes `timeout_ms` at
    most, under ACCESS SHARE."""
    source, name = subject.source, subject.config.identity.column
    column = source.column(name)
    where = qualified(source.name, name)
    if column is None or column.type != "uuid":
        return []
    found: list[Finding] = []
    if not column.not_null:
        found += _nulls(conn, subject, where, timeout_ms)
    if not has_unique_identity(source, name):
        found += _duplicates(conn, subject, where, timeout_ms)
    return or_ok(found, "identity-data", where, "NOT NULL and unique")


def _nulls(conn: Connection, subject: Subject, where: str, timeout_ms: int) -> list[Finding]:
    counts = scan(conn, Count, load_sql(PACKAGE, "identity_nulls.sql").format(**_names(subject)), timeout_ms)
    hint = "Nothing to do: the backfill fills them."
    if isinstance(counts, NotChecked):
        return [warning("identity-data", where, f"may be NULL; how often was {counts.reason}", hint)]
    (nulls,) = counts
    return [warning("identity-data", where, f"is NULL in {nulls.rows:,} rows", hint)] if nulls.rows else []


def _duplicates(conn: Connection, subject: Subject, where: str, timeout_ms: int) -> list[Finding]:
    found = scan(conn, Duplicate, load_sql(PACKAGE, "identity_duplicates.sql").format(**_names(subject)), timeout_ms)
    if isinstance(found, NotChecked):
        detail = f"has no unique index, and duplicates were {found.reason}; `sync` builds one"
        return [warning("identity-data", where, detail, "A duplicate would stop the build: look for one yourself.")]
    if not found:
        detail = "has no unique index; no value is there twice"
        return [warning("identity-data", where, detail, "Nothing to do: `sync` builds one.")]
    shown = ", ".join(f"{d.value} ({d.rows} rows)" for d in found)
    hint = "Give all but one of those rows a new uuid."
    return [blocker("identity-data", where, f"holds values more than once: {shown}", hint)]


def _names(subject: Subject) -> dict[str, sql.Composable]:
    return {"table": subject.source.name.sql, "column": sql.Identifier(subject.config.identity.column)}
