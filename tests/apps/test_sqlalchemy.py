"""A SQLAlchemy application through a whole migration, behind PgBouncer: no request fails (docs/frameworks.md)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.apps.running import PYTHON, Journey, need_applications
from tests.support.commands import ROOT
from tests.support.migration import install
from tests.support.pooling import Pooled, pgbouncer
from tests.support.servers import Database, DatabaseServer

__all__ = ["pgbouncer"]
pytestmark = [pytest.mark.apps, pytest.mark.trigger_only("the applications are run once")]
SHOP = [str(PYTHON), "-m", "tests.apps.sqlalchemy_shop.shop"]
RELEASES = ("integer", "compat", "uuid")
SETTINGS = """
[source]
table = "public.customers"

[names]
compat = true
resolver_roles = ["app"]
"""
# The revert gives a primary key with the reference its old index back; the unique index over the uuid is built again right after it.
NO_INDEX = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
NO_INDEX_YET = (f"join_team: ProgrammingError: (psycopg.errors.InvalidColumnReference) {NO_INDEX}", "revert")
# A statement of a trigger in a dump of pg_dump: one line each.
TRIGGERS = re.compile(r"^(CREATE TRIGGER|ALTER TABLE .* ENABLE ALWAYS TRIGGER) .*$", re.MULTILINE)
NULLABLE = "; ALTER TABLE public.customers ALTER COLUMN legacy_id DROP NOT NULL"


def dump(server: DatabaseServer, db: Database, *arguments: str) -> str:
    argv: list[Any] = [server.bindir / "pg_dump", "--schema-only", "--no-privileges", *arguments, db.superuser]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def fails_on(server: DatabaseServer, new_database: Callable[[str], Database], schema: str) -> str:
    """What the uuid release says when it makes its first rows in a new database with this schema; nothing if it can."""
    made = new_database("template0")
    with closing(psycopg.connect(made.superuser, autocommit=True)) as conn:
        conn.execute("DROP SCHEMA public" if "CREATE SCHEMA public" in schema else "SELECT 1")
        conn.execute(schema.encode())
    done = subprocess.run(
        [*SHOP, "create"], cwd=ROOT, env={"DSN": made.owner, "RELEASE": "uuid"}, capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


def commands(dsn: str, **more: str) -> dict[str, tuple[list[str], Mapping[str, str]]]:
    return {r: ([*SHOP, "serve"], {"DSN": dsn, "RELEASE": r, **more}) for r in RELEASES}


@pytest.fixture
def shop(database: Database) -> Database:
    """A database with the shop's tables as the integer release makes them."""
    need_applications()
    install(database, "SELECT 1")
    subprocess.run([*SHOP, "create"], cwd=ROOT, env={"DSN": database.owner, "RELEASE": "integer"}, check=True)
    install(database, "SELECT 1")
    return database


def test_three_releases_behind_pgbouncer(
    journeys: Any, shop: Database, pgbouncer: Pooled, server: DatabaseServer, new_database: Callable[[str], Database]
) -> None:
    pooler = pgbouncer(shop)
    journey: Journey = journeys("SQLAlchemy", commands(pooler.conninfo("app")))
    journey.configure(SETTINGS, pooler)
    journey.whole_cycle()
    journey.publish()
    unexpected = [s for s in journey.table() for e in s.errors if (e, s.step) != NO_INDEX_YET]
    assert unexpected == [], journey.report()
    # The schema for a test database. What knows no triggers, as schema.rb, needs legacy_id nullable.
    assert fails_on(server, new_database, dump(server, shop)) == ""
    bare = TRIGGERS.sub("", dump(server, shop, "--schema=public"))
    assert 'null value in column "legacy_id"' in fails_on(server, new_database, bare)
    assert fails_on(server, new_database, bare + NULLABLE) == ""
    journey.swap("finalize", "--drop-legacy", "--yes")
    assert fails_on(server, new_database, dump(server, shop)) == ""


def test_connections_that_live_on(journeys: Any, shop: Database) -> None:
    """psycopg prepares what it has run five times; the pool's ROLLBACK after each use makes it prepare again. So the compat release
    meets an exchange as any transaction does, once for each connection at most; the integer release fails until it is replaced."""
    journey: Journey = journeys("SQLAlchemy, no pooler", commands(shop.app, PREPARED="yes"))
    journey.configure(SETTINGS)
    journey.whole_cycle(unready=True)
    journey.publish()
