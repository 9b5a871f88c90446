"""Security labels are carried over by name. A provider that is not loaded is reported before anything is built (I10, H30)."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.statement import Statement
from swap.ddl.exchange import exchange
from swap.ddl.shadow import create_shadow
from swap.doctor.trial.build import trial_findings
from swap.plan.model import Plan
from swap.plan.planning import read_plan
from tests.support.cycling import Start
from tests.support.migration import install
from tests.support.mode import with_mode
from tests.support.servers import Connect, Database, Execute

DDL = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, boss_id bigint REFERENCES users);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, user_uuid_id uuid);
INSERT INTO users (email) VALUES ('a'), ('b');
INSERT INTO sessions (user_id) SELECT id FROM users;
"""
LABELS = [
    ("users", None, "classified"),
    ("users", "id", "unclassified"),
    ("users", "email", "classified"),
    ("users", "boss_id", "classified"),
    ("sessions", None, "unclassified"),
    ("sessions", "user_id", "classified"),
    ("sessions", "user_uuid_id", "unclassified"),
]
PLANT = """
INSERT INTO pg_seclabel SELECT c.oid, 'pg_class'::regclass, coalesce(a.attnum, 0), 'dummy', %s
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %s WHERE c.oid = to_regclass(%s)
"""
READ = """
SELECT c.relname::text, a.attname::text, l.label FROM pg_seclabel l JOIN pg_class c ON c.oid = l.objoid
LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0
WHERE l.classoid = 'pg_class'::regclass AND c.relname IN ('users', 'sessions') ORDER BY 1, 2
"""


def plant(superuser: psycopg.Connection[tuple[object, ...]]) -> None:
    """Write labels into the catalog, as a provider's SECURITY LABEL does. No provider is needed for that."""
    superuser.execute("SET allow_system_table_mods = on")
    for table, column, label in LABELS:
        superuser.execute(PLANT, [label, column, table])


def plan_of(database: Database, **config: object) -> Plan:
    with closing(Conninfo.from_options(database.owner, "labels").connect()) as conn:
        return read_plan(conn, Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)}))


def labels(statements: list[Statement]) -> list[str]:
    return [
        s.text.replace('"', "").removeprefix("SECURITY LABEL FOR dummy ON ") for s in statements if "SECURITY LABEL" in s.text
    ]


def test_what_is_said_of_a_name_is_said_of_it_afterwards(database: Database, connect: Connect) -> None:
    """The uuid gets the integer's labels with its name, and the integer keeps its own. After the revert they are as before."""
    install(database, DDL)
    plant(connect(database.superuser))
    plan = plan_of(database)
    assert labels(create_shadow(plan, plan.swapped[0])) == [
        "TABLE public.users_new IS 'classified'",
        "COLUMN public.users_new.id IS 'unclassified'",
        "COLUMN public.users_new.email IS 'classified'",
        "COLUMN public.users_new.boss_id IS 'classified'",
        "COLUMN public.users_new.uuid_id IS 'unclassified'",
        "COLUMN public.users_new.boss_uuid_id IS 'classified'",
    ]
    there = exchange(plan)
    assert labels(there) == ["COLUMN public.sessions.user_id IS 'classified'"]
    back = [s.reversed() for s in there if s.undo is not None]
    assert labels(back) == ["COLUMN public.sessions.user_id IS 'unclassified'"]


def test_both_names_keep_their_labels(database: Database, connect: Connect) -> None:
    install(database, DDL)
    plant(connect(database.superuser))
    plan = plan_of(database, names={"compat": True})
    assert labels(exchange(plan)) == [
        "COLUMN public.sessions.user_id IS 'classified'",
        "COLUMN public.sessions.user_uuid_id IS 'unclassified'",
    ]


def test_a_provider_that_is_not_loaded_is_named(database: Database, connect: Connect) -> None:
    """Every object whose label could not be set is listed, and nothing of the trial remains."""
    install(database, DDL)
    plant(connect(database.superuser))
    with closing(Conninfo.from_options(database.owner, "labels").connect()) as conn:
        found = trial_findings(
            conn, read_plan(conn, Config.model_validate({"source": {"table": "public.users"}, **with_mode({})}))
        )
    assert {f.object for f in found if f.status == "blocker"} == {
        "public.users", "public.users.id", "public.users.email", "public.users.boss_id", "public.users.uuid_id",
        "public.users.boss_uuid_id", "public.sessions.user_id",
    }  # fmt: skip
    assert all('provider "dummy" is not loaded' in f.detail and "shared_preload_libraries" in f.hint for f in found)


def test_labels_come_along(database: Database, connect: Connect, admin: Execute, start: Start) -> None:
    """The whole cycle, where the server has PostgreSQL's own test provider."""
    superuser = connect(database.superuser)
    try:
        superuser.execute("LOAD 'dummy_seclabel'")
    except psycopg.errors.UndefinedFile:
        pytest.skip("the server has no dummy_seclabel")
    admin(
        psycopg.sql.SQL("ALTER DATABASE {} SET session_preload_libraries = 'dummy_seclabel'").format(
            psycopg.sql.Identifier(database.dbname)
        )
    )
    install(database, DDL)
    plant(superuser)
    before = superuser.execute(READ).fetchall()
    cycle = start(None)
    cycle.ready()
    cycle.cutover()
    assert set(superuser.execute(READ).fetchall()) == {
        ("users", None, "classified"), ("users", "id", "unclassified"), ("users", "legacy_id", "unclassified"),
        ("users", "email", "classified"), ("users", "boss_id", "classified"), ("users", "boss_legacy_id", "classified"),
        ("sessions", None, "unclassified"), ("sessions", "user_id", "classified"), ("sessions", "user_legacy_id", "classified"),
    }  # fmt: skip
    cycle.revert()
    assert superuser.execute(READ).fetchall() == before
    cycle.abort()
