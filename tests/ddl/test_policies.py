"""Policies are carried over and still compare the integer (H29, I9, I10)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError, UsageError
from swap.doctor.trial.build import trial_findings
from swap.plan.planning import read_plan
from tests.support.cycling import Cycle, doctor
from tests.support.migration import install
from tests.support.mode import with_mode
from tests.support.servers import Database, DatabaseServer

SCHEMA = """
CREATE TABLE users (
    id bigserial PRIMARY KEY, email text NOT NULL, team int NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE TABLE logins (user_id bigint REFERENCES users, at timestamptz);
CREATE TABLE notes (id bigserial PRIMARY KEY, author bigint NOT NULL);
CREATE TABLE audits (id bigserial PRIMARY KEY, session_id bigint NOT NULL);
INSERT INTO users (email, team) SELECT 'user' || n, n % 3 FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
INSERT INTO logins (user_id) SELECT id FROM users WHERE id <> 7;
INSERT INTO notes (author) SELECT id FROM users;
INSERT INTO audits (session_id) SELECT id FROM sessions;
"""
ME = "current_setting('app.user', true)::bigint"
POLICIES = f"""
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE audits ENABLE ROW LEVEL SECURITY;
CREATE POLICY "my team's" ON users TO app USING (team = (SELECT u.team FROM users_of({ME}) u));
COMMENT ON POLICY "my team's" ON users IS 'a comment';
CREATE POLICY me ON users FOR UPDATE TO app USING (id = {ME}) WITH CHECK (id = {ME} AND team < 3);
CREATE POLICY active ON users AS RESTRICTIVE TO app, swap_owner
    USING (EXISTS (SELECT FROM logins l WHERE l.user_id = users.id) AND uuid_id IS NOT NULL);
CREATE POLICY own ON sessions TO app USING (user_id = {ME});
CREATE POLICY known ON sessions AS RESTRICTIVE TO app USING (EXISTS (SELECT FROM users u WHERE u.id = sessions.user_id AND u.team > 0));
CREATE POLICY written ON notes TO app
    USING (author IN (SELECT u.id FROM users u WHERE u.id = {ME} AND u.uuid_id IS NOT NULL)) WITH CHECK (author = {ME});
COMMENT ON POLICY written ON notes IS 'reads the users';
CREATE POLICY seen ON audits TO app USING (EXISTS (SELECT FROM sessions s WHERE s.id = session_id AND s.user_id = {ME}));
"""
# A SECURITY DEFINER function with a string body binds by name, so a policy of users can read users through it.
FUNCTION = """
CREATE FUNCTION users_of(key bigint) RETURNS TABLE (team int) LANGUAGE plpgsql STABLE SECURITY DEFINER SET row_security = on
    AS 'BEGIN RETURN QUERY EXECUTE format(''SELECT u.team FROM public.users u WHERE to_jsonb(u)->>%L = $1::text'',
        CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = ''public.users''::regclass AND attname = ''legacy_id'')
             THEN ''legacy_id'' ELSE ''id'' END) USING key; END';
"""


def seen(db: Database) -> dict[str, Any]:
    """The rows of each table that the application's role sees, for each setting of its session."""
    out: dict[str, Any] = {}
    with closing(psycopg.connect(db.app, autocommit=True)) as conn:
        for me in range(1, 10):
            conn.execute("SELECT set_config('app.user', %s, false)", [str(me)])
            out[f"users {me}"] = conn.execute("SELECT email FROM users ORDER BY email").fetchall()
            for table in ("sessions", "notes", "audits"):
                out[f"{table} {me}"] = conn.execute(
                    sql.SQL("SELECT id FROM {} ORDER BY id").format(sql.Identifier(table))
                ).fetchall()
    return out


@pytest.fixture
def cycle(server: DatabaseServer, database: Database) -> Iterator[Cycle]:
    made = Cycle(server, database, SCHEMA + FUNCTION + POLICIES)
    yield made
    made.m.conn.close()


def test_policies_go_on_meaning_the_same(cycle: Cycle) -> None:
    """H29, I9: the visible rows do not change at any moment: for policies of the source (over itself, over its references), of a
    reference (over the source), and of tables outside the run."""
    db = cycle.db
    before = seen(db)
    assert {k: v for k, v in before.items() if k.endswith(" 4")} == {
        "users 4": [("user1",), ("user4",)], "sessions 4": [(4,)], "notes 4": [(4,)], "audits 4": [(4,)],
    }  # fmt: skip
    assert before["sessions 3"] == []
    cycle.ready()
    assert seen(db) == before
    cycle.cutover()
    assert seen(db) == before
    retired = {"users_old", "sessions_old"}  # they keep their policies until `finalize`
    assert bound_tables(db) == {"users", "logins", "sessions", "notes", "audits"} | retired
    cycle.revert()
    assert seen(db) == before
    cycle.abort()


def bound_tables(db: Database) -> set[str]:
    """Every table to which a policy of a table in use is bound. The retired table must not be one of them."""
    query = """SELECT DISTINCT d.refobjid::regclass::text FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass
        AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass WHERE p.polrelid <> 'users_old'::regclass"""
    with closing(psycopg.connect(db.superuser)) as conn:
        return {r[0] for r in conn.execute(query)}


def test_a_check_sees_the_integer_that_the_guard_filled_in(cycle: Cycle) -> None:
    """H29: after the cutover the application writes uuids, and WITH CHECK still compares the integer of its session."""
    cycle.ready()
    cycle.cutover()
    with closing(psycopg.connect(cycle.db.app, autocommit=True)) as conn:
        keys = {}
        for me in ("5", "4"):
            conn.execute("SELECT set_config('app.user', %s, false)", [me])
            keys[me] = conn.execute("SELECT id FROM users WHERE email = %s", [f"user{me}"]).fetchone()
        insert = "INSERT INTO sessions (user_id) VALUES (%s)"
        conn.execute(insert, keys["4"])  # the setting of the session is still 4
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(insert, keys["5"])


def test_a_policy_changed_elsewhere_is_drift(cycle: Cycle) -> None:
    """H38: the exchange would replace it by the text that `prepare` read."""
    cycle.ready()
    with closing(psycopg.connect(cycle.db.owner, autocommit=True)) as conn:
        conn.execute("ALTER POLICY written ON notes USING (author IN (SELECT u.id FROM users u))")
    with pytest.raises(RefusedError, match="written"):
        cycle.exchange("cutover")


UUID = "current_setting('app.uuid', true)::uuid"
REPLACED = [
    {"table": "public.users", "name": "me", "using": f"id = {UUID} -- the key", "check": f"id = {UUID} AND team < 3"},
    {"table": "public.sessions", "name": "own", "using": f"user_id = {UUID}"},
    {"table": "public.notes", "name": "written", "check": "true",
     "using": f"author IN (SELECT u.legacy_id FROM public.users u WHERE u.id = {UUID})"},
    {"table": "public.audits", "name": "seen",
     "using": f"EXISTS (SELECT FROM public.sessions s WHERE s.id = session_id AND s.user_id = {UUID})"},
]  # fmt: skip


def test_a_policy_is_replaced_at_the_cutover_and_comes_back(server: DatabaseServer, database: Database) -> None:
    """[[policy]]: of the source, of a reference, of other tables. The dumps after the revert are compared (H46)."""
    cycle = Cycle(server, database, SCHEMA + FUNCTION + POLICIES, policy=REPLACED)
    before = seen(database)
    cycle.ready()
    assert seen(database) == before
    cycle.cutover()
    with closing(psycopg.connect(database.app, autocommit=True)) as conn:
        conn.execute("SELECT set_config('app.user', '4', false)")
        (uuid,) = conn.execute("SELECT id FROM users WHERE email = 'user4'").fetchone() or (None,)
        ids = sql.SQL("SELECT id FROM {}")
        for table in ("sessions", "notes", "audits"):
            assert conn.execute(ids.format(sql.Identifier(table))).fetchall() == [], f"{table} still asks for the integer"
        conn.execute("SELECT set_config('app.uuid', %s, false)", [str(uuid)])
        for table in ("sessions", "notes", "audits"):
            assert conn.execute(ids.format(sql.Identifier(table))).fetchall() == [(4,)]
    comment = "SELECT obj_description(oid, 'pg_policy') FROM pg_policy WHERE polname = 'written'"
    assert cycle.m.conn.execute(comment).fetchall() == [("reads the users",)]
    cycle.caught_up()
    cycle.revert()
    assert seen(database) == before
    cycle.abort()
    cycle.m.conn.close()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "nobody", "using": "true"}, r"names no policy .* those of public.users are .*me"),
        ({"name": "me", "using": "true"}, "has a WITH CHECK expression"),
        ({"name": "me", "check": "true"}, "has a USING expression"),
        ({"table": "public.audits", "name": "seen", "using": "true", "check": "true"}, None),
        ({"table": "public.other", "name": "x", "using": "true"}, "names no policy"),
    ],
)
def test_an_entry_that_fits_no_policy_is_refused(database: Database, entry: dict[str, str], said: str | None) -> None:
    install(database, SCHEMA + FUNCTION + POLICIES)
    entries = [{"table": "public.users", **entry}]
    blockers = [f.detail for f in doctor(database, policy=entries) if f.status == "blocker"]
    with closing(Conninfo.from_options(database.owner, "test").connect()) as conn:
        config = Config.model_validate({"source": {"table": "public.users"}, **with_mode({"policy": entries})})
        if said is None:
            assert blockers == []
            read_plan(conn, config)
            return
        assert len(blockers) == 1
        assert re.search(said, blockers[0])
        with pytest.raises(UsageError, match=said):
            read_plan(conn, config)


def test_doctor_is_content(cycle: Cycle) -> None:
    assert doctor(cycle.db)[-1].status in {"ok", "warning"}
    assert not [f for f in cycle.findings if f.status == "blocker"]


@pytest.mark.parametrize(
    ("entry", "object_", "said"),
    [
        ({"table": "public.users", "name": "active", "using": "id = 4"}, "public.users.active", "operator does not exist: uuid = integer"),
        ({"table": "public.sessions", "name": "own", "using": "nope = 1"}, "public.sessions.own", 'column "nope" does not exist'),
        (
            {"table": "public.audits", "name": "seen", "using": "session_id IN (SELECT s.user_id FROM public.sessions s)"},
            "public.audits.seen", "operator does not exist: bigint = uuid",
        ),
    ],
)  # fmt: skip
def test_an_expression_that_does_not_fit_is_found_before_anything_is_built(
    database: Database, entry: dict[str, str], object_: str, said: str
) -> None:
    """H29: on tables of the run, and on another table whose policy reads a column that becomes a uuid."""
    install(database, SCHEMA + FUNCTION + POLICIES)
    config = Config.model_validate({"source": {"table": "public.users"}, **with_mode({"policy": [entry]})})
    with closing(Conninfo.from_options(database.owner, "test").connect()) as conn:
        found = [f for f in trial_findings(conn, read_plan(conn, config)) if f.status == "blocker"]
    assert [f.object for f in found] == [object_]
    assert said in found[0].detail
