"""A cutover and its way back, emulated without the tool: the columns change names in place.

What the application can tell is the same: the types and names of columns, and guard triggers that fill what a
statement omits. The view `keys` binds columns by number, so it means the same before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors, sql

from swap.demo.shape import REFERENCE_COLUMNS

Connection = psycopg.Connection[Any]

GUARD: LiteralString = """
CREATE SCHEMA emulation;
CREATE VIEW emulation.keys AS SELECT id AS legacy, uuid_id AS uuid FROM public.users;
CREATE FUNCTION emulation.guard() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    i bigint := to_jsonb(NEW)->>TG_ARGV[0];
    u uuid := to_jsonb(NEW)->>TG_ARGV[1];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF i IS DISTINCT FROM (to_jsonb(OLD)->>TG_ARGV[0])::bigint THEN
            IF u IS NOT DISTINCT FROM (to_jsonb(OLD)->>TG_ARGV[1])::uuid THEN u := NULL; END IF;
        ELSIF u IS DISTINCT FROM (to_jsonb(OLD)->>TG_ARGV[1])::uuid THEN i := NULL; END IF;
    END IF;
    IF i IS NULL THEN SELECT legacy INTO i FROM emulation.keys WHERE uuid = u;
    ELSIF u IS NULL THEN SELECT uuid INTO u FROM emulation.keys WHERE legacy = i; END IF;
    IF EXISTS (SELECT FROM emulation.keys WHERE legacy = i AND uuid <> u) THEN
        RAISE EXCEPTION 'contradiction: % and %', i, u;
    END IF;
    RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], i, TG_ARGV[1], u));
END
$$;
"""


class Emulation:
    """Moves the tables from shape to shape as `swap` does, as far as the application can tell."""

    def __init__(self, conn: Connection, undeclared: str | None) -> None:
        self.conn = conn
        self.references = {table: base for table, base in REFERENCE_COLUMNS.items() if table != undeclared}

    def prepare(self) -> None:
        with self._locked():
            self._run("ALTER TABLE users ADD COLUMN IF NOT EXISTS uuid_id uuid NOT NULL DEFAULT gen_random_uuid()")
            self._run("CREATE UNIQUE INDEX IF NOT EXISTS index_users_on_uuid_id ON users (uuid_id)")
            self.conn.execute(GUARD)
            for table, base in self.references.items():
                self._run("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {uuid} uuid", table, base)
            self._guard(("base", "uuid"))
            self._run("SET LOCAL session_replication_role = replica")  # no updated_at
            for table, base in self.references.items():
                self._run(
                    "UPDATE {table} t SET {uuid} = k.uuid FROM emulation.keys k WHERE k.legacy = t.{base}",
                    table,
                    base,
                )

    def cut_over(self) -> None:
        with self._locked():
            self._run("ALTER TABLE users RENAME id TO legacy_id")
            self._run("ALTER TABLE users RENAME uuid_id TO id")
            for table, base in self.references.items():
                self._run("ALTER TABLE {table} RENAME {base} TO {legacy}", table, base)
                self._run("ALTER TABLE {table} RENAME {uuid} TO {base}", table, base)
            self._guard(("legacy", "base"))

    def revert(self) -> None:
        with self._locked():
            self._run("ALTER TABLE users RENAME id TO uuid_id")
            self._run("ALTER TABLE users RENAME legacy_id TO id")
            for table, base in self.references.items():
                self._run("ALTER TABLE {table} RENAME {base} TO {uuid}", table, base)
                self._run("ALTER TABLE {table} RENAME {legacy} TO {base}", table, base)
            self._guard(("base", "uuid"))

    def _guard(self, columns: tuple[str, str]) -> None:
        for table, base in self.references.items():
            names = {
                "base": base,
                "uuid": f"{base.removesuffix('_id')}_uuid_id",
                "legacy": f"{base.removesuffix('_id')}_legacy_id",
            }
            self._run("DROP TRIGGER IF EXISTS guard ON {table}", table, base)
            self.conn.execute(
                sql.SQL(
                    "CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION emulation.guard({}, {})"
                ).format(sql.Identifier(table), *(sql.Literal(names[column]) for column in columns))
            )

    def _run(self, statement: LiteralString, table: str = "", base: str = "") -> None:
        stem = base.removesuffix("_id")
        self.conn.execute(
            sql.SQL(statement).format(
                table=sql.Identifier(table),
                base=sql.Identifier(base),
                uuid=sql.Identifier(f"{stem}_uuid_id"),
                legacy=sql.Identifier(f"{stem}_legacy_id"),
            )
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One transaction with every table locked; attempts are short, as the tool's are."""
        # users first, as the application's transactions do: the other order meets them half-way, each time.
        tables = sql.SQL(", ").join(sql.Identifier(table) for table in reversed(list(REFERENCE_COLUMNS)))
        for _ in range(500):
            try:
                self.conn.execute("BEGIN; SET LOCAL lock_timeout = '100ms'")
                self.conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables))
                break
            except errors.LockNotAvailable:
                self.conn.execute("ROLLBACK")
        else:
            pytest.fail("the tables were never free")
        yield
        self.conn.execute("COMMIT")
