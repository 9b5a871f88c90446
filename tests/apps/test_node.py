"""Node's libraries through a whole migration, on connections of their own: what breaks at each exchange (docs/frameworks.md)."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from tests.apps.running import ENVIRONMENT, Journey, need_applications
from tests.support.commands import ROOT
from tests.support.migration import install
from tests.support.pooling import Pooled, pgbouncer
from tests.support.servers import Database

__all__ = ["pgbouncer"]
pytestmark = [pytest.mark.apps, pytest.mark.trigger_only("the applications are run once")]
SOURCES = ROOT / "tests" / "apps" / "node"
MODULES = ENVIRONMENT / "node"
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE);
CREATE TABLE notes (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, text text NOT NULL);
CREATE INDEX ON notes (user_id);
INSERT INTO users (email) SELECT 'stays' || n || '@example.org' FROM generate_series(1, 50) n;
"""
SETTINGS = '[source]\ntable = "public.users"\n[names]\ncompat = true\n'
CONNECTIONS = 3
IN_FLIGHT = {"22P02", "42883"}  # invalid input syntax for type uuid: "47"; operator does not exist: uuid = bigint


@pytest.fixture
def users(database: Database) -> Database:
    need_applications()
    if shutil.which("node") is None or not (MODULES / "node_modules").exists():
        pytest.skip("the Node packages are not installed: npm, then make test-apps")
    for source in SOURCES.glob("*.mjs"):
        shutil.copy(source, MODULES)  # where they find their packages
    install(database, SCHEMA)
    return database


def journey_of(journeys: Any, library: str, dsn: str, name: str, **more: str) -> Journey:
    argv = [str(shutil.which("node")), str(MODULES / "app.mjs"), library]
    env = {"DSN": dsn, "PATH": os.environ["PATH"], **more}
    made: Journey = journeys(name, {r: (argv, {**env, "RELEASE": r}) for r in ("integer", "compat", "uuid")})
    return made


@pytest.mark.parametrize("library", ["pg", "knex", "typeorm"])
def test_three_releases_behind_pgbouncer(journeys: Any, users: Database, pgbouncer: Pooled, library: str) -> None:
    """Paused for the exchange: nothing breaks. A named statement needs PgBouncer 1.21, so there is none here."""
    pooler = pgbouncer(users)
    journey = journey_of(journeys, library, pooler.conninfo("app"), library, UNNAMED="1")
    journey.configure(SETTINGS, pooler)
    journey.whole_cycle()
    journey.publish()
    assert journey.errors() == {}, journey.report()


@pytest.mark.parametrize("library", ["pg", "knex", "typeorm"])
def test_connections_that_live_on(journeys: Any, users: Database, library: str) -> None:
    """A named statement with the key among its results fails once for each connection at each change of the table: the pool makes
    a new one. Statements without a name never do. An integer that a process holds over the cutover is no uuid."""
    journey = journey_of(journeys, library, users.app, f"{library}, no pooler")
    journey.configure(SETTINGS)
    journey.whole_cycle(unready=True)
    journey.publish()
    for seen in journey.table():
        codes = {error.split(": ")[1] for error in seen.errors}
        ready = {"0A000"} if library == "pg" else set()
        assert codes <= (ready if seen.release != "integer" else ready | IN_FLIGHT), journey.report()
        assert sum(seen.errors.values()) <= 2 * CONNECTIONS, journey.report()
