"""Active Record (Rails) through a whole migration: behind PgBouncer, and on connections of its own (docs/frameworks.md)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.apps.running import Journey, need_applications
from tests.apps.test_node import CONNECTIONS, SCHEMA, SETTINGS
from tests.support.commands import ROOT
from tests.support.migration import install
from tests.support.pooling import Pooled, pgbouncer
from tests.support.servers import Database

__all__ = ["pgbouncer"]
pytestmark = [pytest.mark.apps, pytest.mark.trigger_only("the applications are run once")]
PROGRAM = ROOT / "tests" / "apps" / "ruby" / "app.rb"


@pytest.fixture
def users(database: Database) -> Database:
    need_applications()
    ruby = shutil.which("ruby")
    if (
        ruby is None
        or subprocess.run([ruby, "-e", "require 'active_record'; require 'pg'"], capture_output=True, check=False).returncode
    ):
        pytest.skip("Active Record is not installed (Debian: ruby-activerecord, ruby-pg)")
    install(database, SCHEMA)
    return database


def journey_of(journeys: Any, dsn: str, name: str, **more: str) -> Journey:
    argv, env = [str(shutil.which("ruby")), str(PROGRAM)], {"DSN": dsn, "PATH": os.environ["PATH"], **more}
    made: Journey = journeys(name, {r: (argv, {**env, "RELEASE": r}) for r in ("integer", "compat", "uuid")})
    return made


def test_three_releases_behind_pgbouncer(journeys: Any, users: Database, pgbouncer: Pooled) -> None:
    pooler = pgbouncer(users)
    journey = journey_of(journeys, pooler.conninfo("app"), "Active Record", PREPARED="no")
    journey.configure(SETTINGS, pooler)
    journey.whole_cycle()
    journey.publish()
    assert journey.errors() == {}, journey.report()


def test_connections_that_live_on(journeys: Any, users: Database) -> None:
    """Active Record prepares anew by itself, but for a statement in a transaction: that fails once for each connection. The integer
    release casts a uuid to an integer, as `to_i` does, and fails until it is replaced."""
    journey = journey_of(journeys, users.app, "Active Record, no pooler")
    journey.configure(SETTINGS)
    journey.whole_cycle(unready=True)
    journey.publish()
    for seen in journey.table():
        kinds = {re.sub(r"^\w+: (ActiveRecord::StatementInvalid: )?([\w:]+): .*", r"\2", error) for error in seen.errors}
        cast = (
            {"PG::InvalidTextRepresentation", "PG::UndefinedFunction"}
            if (seen.release, seen.step) == ("integer", "cutover")
            else set()
        )
        assert kinds <= {"ActiveRecord::PreparedStatementCacheExpired"} | cast, journey.report()
        assert cast or sum(seen.errors.values()) <= 2 * CONNECTIONS, journey.report()
