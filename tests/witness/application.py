"""What the application has, as the server lists it before `prepare`: the statements of the witness are made of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

Session = psycopg.Connection[Any]

# Everything outside the system's schemas and the tool's own. Each query below begins with it.
OURS = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT IN ('information_schema', 'swap') AND nspname !~ '^pg_'
)
"""

# A column is unique where an index that refuses rows contains it, as a key, in an expression or in a predicate.
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typcategory::text, t.typname, a.attgenerated::text, a.attidentity::text,
    a.attnotnull, a.atthasdef,
    EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND (i.indisunique OR i.indisexclusion) AND (
            a.attnum = ANY (i.indkey) OR EXISTS (
                SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum))
    ),
    EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

TABLES = (
    OURS
    + """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, (SELECT min(inhparent) FROM pg_inherits WHERE inhrelid = c.oid),
    pg_get_userbyid(c.relowner),
    ARRAY(
        SELECT DISTINCT coalesce(r.rolname, 'app') FROM (
            SELECT acl.grantee FROM aclexplode(c.relacl) acl
            UNION SELECT acl.grantee FROM pg_attribute a, aclexplode(a.attacl) acl WHERE a.attrelid = c.oid AND a.attnum > 0
        ) g LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE g.grantee <> c.relowner ORDER BY 1
    )
FROM pg_class c JOIN ours n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') ORDER BY n.nspname, c.relname
"""
)

TRIGGERS = """
SELECT t.tgname, t.tgfoid FROM pg_trigger t
WHERE t.tgrelid = %s AND NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1
"""

# A write to the second table may write to the first.
ACTIONS = "SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f' AND (confupdtype IN ('c', 'n', 'd') OR confdeltype IN ('c', 'n', 'd'))"

# The server looks at them in TRUNCATE only where the table has a trigger, of whatever kind.
NOT_ENFORCED = "SELECT confrelid FROM pg_constraint k WHERE contype = 'f' AND to_jsonb(k) ->> 'conenforced' = 'false'"

# Functions that can be called with a small integer, or with nothing.
FUNCTIONS = (
    OURS
    + """
SELECT p.oid, n.nspname, p.proname, p.pronargs, p.prorettype = 'trigger'::regtype, p.prosrc
FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace WHERE p.prokind = 'f' ORDER BY 2, 3, p.oid
"""
)
CALLABLE = """
SELECT 1 FROM pg_proc p WHERE p.oid = %s AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    AND (p.pronargs = 0 OR p.proargtypes::text IN ('20', '21', '23'))
"""
# What policies and functions ask of the session.
SETTINGS = (
    OURS
    + """
SELECT DISTINCT m[1] FROM (
    SELECT pg_get_expr(polqual, polrelid) FROM pg_policy UNION ALL SELECT pg_get_expr(polwithcheck, polrelid) FROM pg_policy
    UNION ALL SELECT p.prosrc FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace
) x (text), regexp_matches(text, 'current_setting\\(''(\\w+\\.\\w+)''', 'g') m ORDER BY 1
"""
)


@dataclass(frozen=True)
class AppColumn:
    name: str
    type: str
    category: str  # pg_type.typcategory
    type_name: str
    generated: str
    identity: str
    not_null: bool
    has_default: bool
    unique: bool
    foreign: bool

    @property
    def ident(self) -> sql.Identifier:
        return sql.Identifier(self.name)


@dataclass(frozen=True)
class AppTable:
    """A table or a view. `roles`: who was granted something on it or on a column of it, the owner apart."""

    oid: int
    schema: str
    name: str
    kind: str
    parent: int | None
    owner: str
    roles: tuple[str, ...]
    columns: tuple[AppColumn, ...]
    triggers: tuple[tuple[str, int], ...]

    @property
    def sql(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def written(self) -> tuple[AppColumn, ...]:
        """The columns that a row's writer gives a value."""
        return tuple(c for c in self.columns if not c.generated)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Function:
    oid: int
    schema: str
    name: str
    arguments: int


@dataclass(frozen=True)
class Application:
    """`tables`: tables and partitions. `views`: plain and materialized. `calls`: functions that the witness can call."""

    tables: tuple[AppTable, ...]
    views: tuple[AppTable, ...]
    functions: tuple[int, ...]
    calls: tuple[Function, ...]
    settings: tuple[str, ...]
    actions: tuple[tuple[int, int], ...]
    not_enforced: frozenset[int]

    def untouched(self, broken: Collection[str]) -> list[AppTable]:
        """The tables that are not among `broken`, nor parts of them."""
        by_oid = {t.oid: t for t in self.tables}

        def whole(t: AppTable) -> bool:
            above = by_oid.get(t.parent or 0)
            return str(t) not in broken and (above is None or whole(above))

        return [t for t in self.tables if whole(t)]

    def reaching(self, tables: Collection[AppTable]) -> frozenset[int]:
        """Those of `tables` from which a foreign key's action leads to a table outside them."""
        kept = {t.oid for t in tables}
        found = {t.oid for t in self.tables} - kept
        while more := {target for holder, target in self.actions if holder in found} - found:
            found |= more
        return frozenset(found & kept)


def read_application(conn: Session) -> Application:
    """Everything outside the schema `swap`, as it is now."""
    found = [
        AppTable(
            oid, schema, name, kind, parent, owner, tuple(roles),
            tuple(AppColumn(*c) for c in conn.execute(COLUMNS, [oid])),
            tuple((n, f) for n, f in conn.execute(TRIGGERS, [oid])),
        )
        for oid, schema, name, kind, parent, owner, roles in conn.execute(TABLES).fetchall()
    ]  # fmt: skip
    functions = conn.execute(FUNCTIONS).fetchall()
    return Application(
        tuple(t for t in found if t.kind in "rp"),
        tuple(t for t in found if t.kind in "vm"),
        tuple(f[0] for f in functions),
        tuple(Function(*f[:4]) for f in functions if conn.execute(CALLABLE, [f[0]]).fetchone()),
        tuple(r[0] for r in conn.execute(SETTINGS)),
        tuple((holder, target) for holder, target in conn.execute(ACTIONS)),
        frozenset(r[0] for r in conn.execute(NOT_ENFORCED)),
    )
