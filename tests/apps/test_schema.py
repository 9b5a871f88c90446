"""What an application's test database is made of after `finalize` (docs/frameworks.md, "Test databases")."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.support.cycling import Start
from tests.support.servers import Database, DatabaseServer

pytestmark = [pytest.mark.apps, pytest.mark.trigger_only("a schema has no mode")]
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL);
CREATE TABLE notes (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
INSERT INTO users (email) VALUES ('a');
INSERT INTO notes (user_id) SELECT id FROM users;
"""
WRITE = (
    "SET ROLE swap_owner; WITH u AS (INSERT INTO public.users (email) VALUES ('new') RETURNING id) SELECT id FROM u;"
    " INSERT INTO public.notes (user_id) SELECT id FROM public.users"
)
# A statement of a trigger in a dump of pg_dump: one line each.
TRIGGERS = re.compile(r"^(CREATE TRIGGER|ALTER TABLE .* ENABLE ALWAYS TRIGGER) .*$", re.MULTILINE)
NULLABLE = "; ALTER TABLE public.users ALTER COLUMN legacy_id DROP NOT NULL"


def dump(server: DatabaseServer, db: Database, *arguments: str) -> str:
    argv: list[Any] = [server.bindir / "pg_dump", "--schema-only", *arguments, db.superuser]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def test_a_test_database_after_finalize(
    start: Start, server: DatabaseServer, database: Database, new_database: Callable[[str], Database]
) -> None:
    """A whole dump takes rows. One without the schema `swap` cannot be restored; a format without triggers lacks what fills legacy_id,
    until that may be NULL. After --drop-legacy nothing is needed."""

    def write(schema: str) -> None:
        with closing(psycopg.connect(new_database("template0").superuser, autocommit=True)) as conn:
            if "CREATE SCHEMA public" in schema:
                conn.execute("DROP SCHEMA public")
            conn.execute(schema.encode())
            conn.execute("GRANT USAGE ON SCHEMA public TO swap_owner")
            conn.execute(WRITE.encode())

    cycle = start(SCHEMA)
    cycle.ready()
    cycle.cutover()
    cycle.m.finalize()
    write(dump(server, database))
    write(dump(server, database, "--schema=public", "--schema=swap"))
    public = dump(server, database, "--schema=public")
    with pytest.raises(errors.InvalidSchemaName, match='schema "swap" does not exist'):
        write(public)
    bare = TRIGGERS.sub("", public)
    with pytest.raises(errors.NotNullViolation, match='"legacy_id"'):
        write(bare)
    write(bare + NULLABLE)
    cycle.m.finalize(drop_legacy=True)
    write(dump(server, database, "--schema=public"))
