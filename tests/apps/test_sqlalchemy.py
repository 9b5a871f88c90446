"""A SQLAlchemy application through a whole migration, behind PgBouncer: no request fails (docs/frameworks.md)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from tests.apps.running import PYTHON, Journey, need_applications
from tests.support.commands import ROOT
from tests.support.migration import install
from tests.support.pooling import Pooled, pgbouncer
from tests.support.servers import Database

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


def test_three_releases_behind_pgbouncer(journeys: Any, shop: Database, pgbouncer: Pooled) -> None:
    pooler = pgbouncer(shop)
    journey: Journey = journeys("SQLAlchemy", commands(pooler.conninfo("app")))
    journey.configure(SETTINGS, pooler)
    journey.whole_cycle()
    journey.publish()
    unexpected = [s for s in journey.table() if s.errors]
    assert unexpected == [], journey.report()


def test_connections_that_live_on(journeys: Any, shop: Database) -> None:
    """psycopg prepares what it has run five times; the pool's ROLLBACK after each use makes it prepare again. So the compat release
    meets an exchange as any transaction does, once for each connection at most; the integer release fails until it is replaced."""
    journey: Journey = journeys("SQLAlchemy, no pooler", commands(shop.app, PREPARED="yes"))
    journey.configure(SETTINGS)
    journey.whole_cycle(unready=True)
    journey.publish()
