"""What takes a statement of a hint back, from the catalog as it is before the statement runs. Reads the catalog only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from swap.core.connection import Connection
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql

ID = r'(?:[^\s".]+|"(?:[^"]|"")+")'
AT = rf"{ID}(?:\.{ID})?"
ALTER = rf"ALTER TABLE (?P<table>{AT}) "

# Reversed by its own words: no catalog is needed.
BY_WORDS: tuple[tuple[str, str], ...] = (
    (r"GRANT (?P<what>.+) ON (?P<on>.+) TO (?P<role>.+);", "REVOKE {what} ON {on} FROM {role};"),
    (rf"GRANT (?P<what>.+?) TO (?P<role>{ID}(?:, {ID})*)(?: WITH .*)?;", "REVOKE {what} FROM {role};"),
    (rf"ALTER ROLE (?P<role>{ID}) (?P<what>BYPASSRLS|REPLICATION);", "ALTER ROLE {role} NO{what};"),
    (ALTER + rf"NO INHERIT (?P<parent>{AT});", "ALTER TABLE {table} INHERIT {parent};"),
    (ALTER + rf"ALTER COLUMN (?P<column>{ID}) DROP NOT NULL;", "ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;"),
    (ALTER + rf"ALTER COLUMN (?P<column>{ID}) ADD GENERATED .*;", "ALTER TABLE {table} ALTER COLUMN {column} DROP IDENTITY;"),
    (ALTER + r"SET LOGGED;", "ALTER TABLE {table} SET UNLOGGED;"),
    (ALTER + r"NO FORCE ROW LEVEL SECURITY;", "ALTER TABLE {table} FORCE ROW LEVEL SECURITY;"),
    (rf"CREATE UNIQUE INDEX CONCURRENTLY (?P<index>{ID}) ON (?P<schema>{ID})\..*;", "DROP INDEX CONCURRENTLY {schema}.{index};"),
    (rf"ALTER TRIGGER (?P<old>{ID}) ON (?P<table>{AT}) RENAME TO (?P<new>{ID});", "ALTER TRIGGER {new} ON {table} RENAME TO {old};"),
    (rf"ALTER EVENT TRIGGER (?P<name>{ID}) DISABLE;", "ALTER EVENT TRIGGER {name} ENABLE;"),
    (rf"ALTER SUBSCRIPTION (?P<name>{ID}) DISABLE;", "ALTER SUBSCRIPTION {name} ENABLE;"),
)  # fmt: skip

# From the catalog: each is a query in undo.sql, by its kind, over what the statement names.
FROM_CATALOG: tuple[tuple[str, str], ...] = (
    (rf"DROP INDEX (?P<name>{AT});", "index"),
    (rf"DROP STATISTICS (?P<name>{AT});", "statistics"),
    (rf"DROP TRIGGER (?P<part>{ID}) ON (?P<name>{AT});", "trigger"),
    (rf"DROP RULE (?P<part>{ID}) ON (?P<name>{AT});", "rule"),
    (r"DROP ROUTINE (?P<part>.+);", "routine"),
    (ALTER.replace("table", "name") + rf"DROP CONSTRAINT (?P<part>{ID});", "constraint"),
    (ALTER.replace("table", "name") + rf"ALTER COLUMN (?P<part>{ID}) DROP DEFAULT;", "default"),
    (ALTER.replace("table", "name") + r"NOT OF;", "type"),
    (ALTER.replace("table", "name") + r"REPLICA IDENTITY DEFAULT;", "identity"),
    (ALTER.replace("table", "name") + rf"DETACH PARTITION (?P<part>{AT});", "partition"),
    (rf"ALTER (?:TABLE|SEQUENCE|VIEW|MATERIALIZED VIEW) (?P<name>{AT}) OWNER TO .*;", "owner"),
    (rf"ALTER PUBLICATION (?P<part>{ID}) OWNER TO .*;", "publication owner"),
    (rf"ALTER PUBLICATION (?P<part>{ID}) DROP TABLE (?P<name>{AT});", "publication"),
)  # fmt: skip


def undo_of(conn: Connection, statements: Iterable[str]) -> dict[str, str]:
    """The statement that takes each back; without an entry where there is none: rows that were changed, a check that was made."""
    found = {s: _undo(lambda kind, name, part: _read(conn, kind, name, part), s) for s in statements}
    return {s: undo for s, undo in found.items() if undo}


def _undo(read: Callable[[str, str, str], str], statement: str) -> str:
    for pattern, text in BY_WORDS:
        if m := re.fullmatch(pattern, statement):
            return text.format(**m.groupdict())
    for pattern, kind in FROM_CATALOG:
        if m := re.fullmatch(pattern, statement):
            named = m.groupdict()
            return read(kind, named.get("name", ""), named.get("part", ""))
    return ""


def _read(conn: Connection, kind: str, name: str, part: str) -> str:
    rows = fetch_values(conn, load_sql("swap.doctor", "undo.sql"), {"kind": kind, "name": name, "part": part})
    return str(rows[0]) if rows and rows[0] else ""
