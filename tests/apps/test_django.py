"""A Django application through a whole migration, behind PgBouncer: no request fails (docs/frameworks.md)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.apps.running import PYTHON, Journey, need_applications
from tests.support.commands import ROOT
from tests.support.migration import install
from tests.support.pooling import Pooled, pgbouncer
from tests.support.servers import Database

__all__ = ["pgbouncer"]
pytestmark = [pytest.mark.apps, pytest.mark.trigger_only("the applications are run once")]
RELEASES = ("integer", "compat", "uuid")
SETTINGS = """
[source]
table = "public.auth_user"

[names]
compat = true
resolver_roles = ["app"]
"""
# Keys of several types in one text column: those of users, by the type's row.
TEXTS = (("django_admin_log", "object_id"), ("guardian_userobjectpermission", "object_pk"))
TEXT = """
[[reference]]
table = "public.{}"
column = "{}"
where = "content_type_id = {}"
as = "text"
"""
# A text column has one name, so what it holds is found by the uuid from a cutover on: not by the compat release before it, nor while
# its command runs.
BEFORE = ("deploy compat (both)", "compat, before the cutover", "verify", "cutover", "revert", "cutover again")
UNKNOWN_BY_UUID = [("history: AssertionError: not found by the uuid", step) for step in BEFORE]


def site(command: str, kept: Path) -> list[str]:
    return [str(PYTHON), "-m", "tests.apps.django_site.site", command, str(kept)]


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> Path:
    """The site's tables as the integer release makes them, and what its users keep: cookies, tokens, links."""
    need_applications()
    install(database, "SELECT 1")
    path = tmp_path / "kept.json"
    subprocess.run(site("create", path), cwd=ROOT, env={"DSN": database.owner, "RELEASE": "integer"}, check=True)
    install(database, "SELECT 1")
    return path


def settings(database: Database) -> str:
    with closing(psycopg.connect(database.superuser)) as conn:
        row = conn.execute("SELECT id FROM django_content_type WHERE (app_label, model) = ('accounts', 'user')").fetchone()
    assert row is not None
    return SETTINGS + "".join(TEXT.format(*names, row[0]) for names in TEXTS)


def test_three_releases_behind_pgbouncer(journeys: Any, database: Database, kept: Path, pgbouncer: Pooled) -> None:
    pooler = pgbouncer(database)
    commands: dict[str, tuple[list[str], Mapping[str, str]]] = {
        r: (site("serve", kept), {"DSN": pooler.conninfo("app"), "RELEASE": r}) for r in RELEASES
    }
    journey: Journey = journeys("Django", commands)
    journey.configure(settings(database), pooler)
    journey.whole_cycle()
    journey.publish()
    unexpected = [s for s in journey.table() for e in s.errors if (e, s.step) not in UNKNOWN_BY_UUID]
    assert unexpected == [], journey.report()


def test_a_database_of_the_uuid_release(database: Database, tmp_path: Path) -> None:
    """A test database: the migrations, with the key edited in the first one, make uuids throughout, and the models agree with them."""
    need_applications()
    install(database, "SELECT 1")
    env = {"DSN": database.owner, "RELEASE": "uuid"}
    subprocess.run(site("create", tmp_path / "kept.json"), cwd=ROOT, env=env, check=True)
    check = [str(PYTHON), "-m", "django", "makemigrations", "--check", "--dry-run", "accounts"]
    subprocess.run(check, cwd=ROOT, env=env | {"DJANGO_SETTINGS_MODULE": "tests.apps.django_site.settings"}, check=True)
    with closing(psycopg.connect(database.superuser)) as conn:
        columns = conn.execute(
            "SELECT k.conrelid::regclass::text, a.atttypid::regtype::text FROM pg_constraint k JOIN pg_attribute a"
            " ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.confrelid = 'auth_user'::regclass"
        ).fetchall()
    assert len(columns) == 10
    assert {kind for _, kind in columns} == {"uuid"}
