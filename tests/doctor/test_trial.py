"""The trial build: the target schema is really built and rolled back, everything that cannot be is reported (H25, H27),
and no application statement waits for it (I1, I2)."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from swap.core.config import Config
from swap.core.connection import Database as Conninfo
from swap.core.names import TableName
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.trial import build as module
from swap.doctor.trial.build import run_trial, trial_findings
from swap.doctor.trial.builder import Trial
from swap.doctor.trial.remap import SchemaRemap
from swap.plan.planning import read_plan
from tests.support.commands import Cli
from tests.support.dump import schema_dump
from tests.support.migration import install
from tests.support.mode import toml_with_mode, with_mode
from tests.support.servers import Connect, Database, DatabaseServer, ExampleFactory

BASE = """
CREATE TABLE orgs (id bigserial PRIMARY KEY);
CREATE TABLE users (
    id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, org_id bigint REFERENCES orgs, boss_id bigint REFERENCES users,
    CHECK (coalesce(boss_id, 0) >= 0));
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, CHECK (user_id > 0));
CREATE INDEX ON sessions (user_id);
CREATE TABLE untouched (id bigint);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users USING (id = coalesce(nullif(current_setting('app.user', true), '')::bigint, 0));
CREATE FUNCTION twice(k bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT k * 2';
CREATE FUNCTION label(k bigint) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''user '' || k';
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 20) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""

BAD_VIEWS = """
CREATE VIEW active AS SELECT s.id, COALESCE(s.user_id, 0) AS who FROM sessions s;
CREATE VIEW above AS SELECT who FROM active;
CREATE VIEW higher AS SELECT max(id) AS top FROM users;
CREATE VIEW sentinel AS SELECT id FROM users WHERE boss_id = 0;
CREATE VIEW called AS SELECT label(id) AS label FROM users;
CREATE VIEW arithmetic AS SELECT user_id + 1 AS next FROM sessions;
CREATE VIEW ranged AS SELECT int8range(user_id, user_id, '[]') AS r FROM sessions;
CREATE VIEW fine AS SELECT u.id, u.email, count(*) FROM users u JOIN sessions s ON s.user_id = u.id GROUP BY u.id;
"""


def configured(**config: Any) -> Config:
    return Config.model_validate({"source": {"table": "public.users"}, **with_mode(config)})


def trial_of(db: Database, **config: Any) -> Trial:
    with closing(Conninfo.from_options(db.owner, "trial").connect()) as conn:
        return run_trial(conn, read_plan(conn, configured(**config)))


def by_object(findings: list[Finding]) -> dict[str, str]:
    return {f.object: f.detail for f in findings if f.status != "ok"}


@pytest.mark.parametrize("variant", ["adopt", "fresh"])
def test_the_example_is_built_whole(variant: Any, example: ExampleFactory, server: DatabaseServer) -> None:
    """Every statement of `prepare`, the build and the exchange that builds something runs, nothing of it stays, and the
    server's log does not fill with errors."""
    db = example(variant, users=50)
    before, logged = schema_dump(server, db.dbname), server.log_tail(1_000_000).count("swap_trial_")
    found = trial_of(db)
    assert server.log_tail(1_000_000).count("swap_trial_") == logged
    assert found.left_out == []
    assert by_object(found.findings) == {}
    assert found.built > 100
    assert schema_dump(server, db.dbname) == before


def test_all_that_cannot_hold_a_uuid_is_reported(database: Database) -> None:
    """H25: not the first error, all of them; what binds by number (checks, policies) goes on with integers."""
    install(database, BASE + BAD_VIEWS)
    found = trial_of(database)
    assert found.left_out == []
    assert by_object(found.findings) == {
        "public.active": "cannot be built over a uuid: COALESCE types uuid and bigint cannot be matched",
        "public.above": "needs public.active, which cannot be built over a uuid",
        "public.higher": "cannot be built over a uuid: function max(uuid) does not exist",
        "public.sentinel": "cannot be built over a uuid: operator does not exist: uuid = integer",
        "public.called": "cannot be built over a uuid: function public.label(uuid) does not exist",
        "public.arithmetic": "cannot be built over a uuid: operator does not exist: uuid + integer",
        "public.ranged": "cannot be built over a uuid: function int8range(uuid, uuid, text) does not exist",
    }
    assert all(f.status == "blocker" and f.hint and not f.acceptable for f in found.findings)


def test_triggers_created_by_their_text(database: Database) -> None:
    """H25, H28: a WHEN over the key is created by name and so means the uuid, or stays over the integer where it fires as before: not
    ahead of the guard that fills it. A check that was never validated stays as well."""
    install(
        database,
        BASE
        + """CREATE TRIGGER odd BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.id % 2 = 1) EXECUTE FUNCTION note();
                 CREATE TRIGGER even AFTER UPDATE ON users FOR EACH ROW WHEN (NEW.id % 2 = 0) EXECUTE FUNCTION note();
             ALTER TABLE users ADD CONSTRAINT "Positive id" CHECK (id > 0) NOT VALID;""",
    )
    assert by_object(trial_of(database).findings) == {
        "public.users.odd": "cannot be built over a uuid: operator does not exist: uuid % bigint",
    }


def test_equal_names_in_several_schemas(database: Database) -> None:
    """Each schema has its twin: tables of one name are not mixed up, quoted or not."""
    install(
        database,
        BASE
        + """
        CREATE SCHEMA "Audit Log"; CREATE SCHEMA tenant;
        CREATE TABLE "Audit Log".sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES public.users);
        CREATE TABLE tenant.users (id bigint PRIMARY KEY, "User" bigint REFERENCES public.users);
        CREATE VIEW tenant.both AS
            SELECT user_id, id FROM public.sessions UNION ALL SELECT user_id, id FROM "Audit Log".sessions;
        CREATE VIEW tenant.own AS SELECT t.id + 1 AS next, t."User" FROM tenant.users t JOIN public.users u ON u.id = t."User";
        CREATE VIEW tenant.bad AS SELECT t."User" + 1 AS next FROM tenant.users t;
        GRANT USAGE, CREATE ON SCHEMA tenant, "Audit Log" TO app;
        """,
    )
    found = trial_of(database)
    assert found.left_out == []
    assert by_object(found.findings) == {"tenant.bad": "cannot be built over a uuid: operator does not exist: uuid + integer"}


def test_no_application_statement_waits(database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """I1, I2: while everything is built and nothing rolled back yet, the application writes every table involved."""
    install(database, BASE + BAD_VIEWS + "CREATE VIEW wide AS SELECT u.id FROM users u, untouched t WHERE t.id = 1;")
    built, go_on = threading.Event(), threading.Event()

    def pause(*args: Any) -> list[Finding]:
        built.set()
        assert go_on.wait(30)
        return []

    monkeypatch.setattr(module, "review", pause)
    thread = threading.Thread(target=trial_of, args=(database,))
    thread.start()
    try:
        assert built.wait(30)
        app, superuser = connect(database.app), connect(database.superuser)
        app.execute("SET lock_timeout = '100ms'; SET app.\"user\" = 0")
        superuser.execute("SET lock_timeout = '100ms'")
        for table in ("users", "sessions", "untouched", "orgs"):
            superuser.execute(sql.SQL("BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE; COMMIT").format(sql.Identifier(table)))
        superuser.execute("INSERT INTO users (email) VALUES ('new'); UPDATE sessions SET user_id = 1; DELETE FROM untouched")
        superuser.execute("INSERT INTO orgs DEFAULT VALUES; SELECT nextval('users_id_seq')")
        app.execute("SELECT * FROM fine")
        locks = superuser.execute(
            "SELECT DISTINCT mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND l.pid <> pg_backend_pid()"
        ).fetchall()
        assert locks == [("AccessShareLock",)]
    finally:
        go_on.set()
        thread.join(30)
    rest = connect(database.superuser).execute("SELECT nspname FROM pg_namespace WHERE nspname ~ 'trial'").fetchall()
    assert rest == []


def test_a_locked_table_is_a_lock_error_not_a_finding(database: Database, connect: Connect) -> None:
    """I2: a view over a table that somebody alters: the trial gives up, it does not call the view impossible."""
    install(database, BASE + "CREATE VIEW wide AS SELECT u.id FROM users u, untouched t WHERE t.id = 1;")
    other = connect(database.superuser, autocommit=False)
    with closing(Conninfo.from_options(database.owner, "trial").connect()) as conn:
        plan = read_plan(conn, configured())
        other.execute("LOCK TABLE untouched IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(errors.LockNotAvailable):
            trial_findings(conn, plan)


def test_without_the_right_to_create_schemas(database: Database, connect: Connect) -> None:
    install(database, BASE)
    revoke = sql.SQL("REVOKE CREATE ON DATABASE {} FROM swap_owner").format(sql.Identifier(database.dbname))
    connect(database.superuser).execute(revoke)
    (finding,) = trial_of(database).findings
    assert (finding.status, finding.object, finding.acceptable) == ("blocker", "public.users", True)
    assert "GRANT CREATE ON DATABASE" in finding.hint


FUNCTIONS = """
CREATE FUNCTION find(wanted bigint) RETURNS text LANGUAGE sql AS 'SELECT email FROM users WHERE id = wanted';
CREATE FUNCTION mails() RETURNS SETOF text LANGUAGE sql SET search_path = public AS 'SELECT email FROM public.users';
CREATE FUNCTION newest() RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM "public"."users" ORDER BY id DESC LIMIT 1 $$;
CREATE FUNCTION later() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
SET check_function_bodies = off;
CREATE FUNCTION dreams() RETURNS bigint LANGUAGE sql AS 'SELECT x FROM users_of_tomorrow JOIN users USING (id)';
CREATE FUNCTION proc(who bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found_id bigint; mail text;
BEGIN
    SELECT email INTO mail FROM users WHERE id = who;
    SELECT user_id INTO found_id FROM public.sessions LIMIT 1;
    RETURN mail;
END $$;
CREATE FUNCTION harmless() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM users); END';
CREATE FUNCTION other() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM untouched); END';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.user_id > 1000 THEN RAISE NOTICE 'new'; END IF;
    RETURN NEW;
END $$;
CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO app;
CREATE FUNCTION other.harmless() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(id) FROM users); END';
CREATE TRIGGER touched AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION touched();
"""


def test_functions_with_bodies_of_text(database: Database) -> None:
    """H27: bodies in SQL are parsed over the target; those in PL/pgSQL are listed where plpgsql_check is missing."""
    install(database, BASE + FUNCTIONS)
    findings = {f.object: f for f in trial_of(database).findings}
    assert set(findings) == {
        "public.find(bigint)", "public.newest()", "public.dreams()", "public.proc(bigint)", "public.harmless()", "public.touched()",
        "other.harmless()",
    }  # fmt: skip
    broken = findings["public.find(bigint)"]
    assert (broken.status, broken.acceptable) == ("blocker", True)
    assert broken.detail == "its body does not hold over a uuid: operator does not exist: uuid = bigint"
    assert "return type mismatch" in findings["public.newest()"].detail
    assert "does not hold today" in findings["public.dreams()"].detail
    for name in ("public.dreams()", "public.proc(bigint)", "public.harmless()", "public.touched()"):
        assert findings[name].status == "warning"
    assert "plpgsql_check" in findings["public.proc(bigint)"].detail


def test_functions_with_plpgsql_check(database: Database, connect: Connect) -> None:
    """H27, where the extension is: what holds today and not over the uuid, by line; nothing else."""
    superuser = connect(database.superuser)
    if not superuser.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'plpgsql_check'").fetchone():
        pytest.skip("plpgsql_check is not installed on this server")
    superuser.execute("CREATE SCHEMA tools; CREATE EXTENSION plpgsql_check SCHEMA tools; GRANT USAGE ON SCHEMA tools TO PUBLIC")
    install(database, BASE + FUNCTIONS)
    findings = {f.object: f for f in trial_of(database).findings}
    assert "public.harmless()" not in findings
    assert "function max(uuid) does not exist" in findings["other.harmless()"].detail
    assert "line 4: operator does not exist: uuid = bigint" in findings["public.proc(bigint)"].detail
    assert "line 5: " in findings["public.proc(bigint)"].detail
    assert "line 3: operator does not exist: uuid > integer" in findings["public.touched()"].detail
    assert all(findings[f"public.{n}"].acceptable for n in ("proc(bigint)", "touched()"))


def test_the_commands(cli: Cli, database: Database, tmp_path: Any) -> None:
    """`doctor`, `plan` and `prepare` refuse with every name; [accept] takes on what may be, and no view."""
    install(database, BASE + BAD_VIEWS + FUNCTIONS)
    config = tmp_path / "swap.toml"
    config.write_text(toml_with_mode('[source]\ntable = "public.users"\n'))
    assert cli("doctor", "--no-trial", "--json", dsn=database.owner, config=config, check=False).code == 0
    result = cli("doctor", "--json", dsn=database.owner, config=config, check=False)
    assert result.code == 3
    blocked = {c["object"] for c in result.json["checks"] if c["status"] == "blocker"}
    assert {"public.active", "public.above", "public.higher", "public.find(bigint)"} <= blocked
    for command in (["plan"], ["prepare", "--dry-run"], ["prepare"]):
        result = cli(*command, dsn=database.owner, config=config, check=False)
        assert result.code == 3
        assert all(f"trial:{name}" in result.stderr.replace("\n", "") for name in blocked - {"public.active", "public.above"})
    with closing(psycopg.connect(database.owner, autocommit=True)) as conn:
        conn.execute("DROP VIEW above, active, higher, sentinel, called, arithmetic, ranged")
    accepted = ["trial:public.find(bigint)", "trial:public.newest()", "trial:public.sessions.touched"]
    config.write_text(toml_with_mode(f'[source]\ntable = "public.users"\n[accept]\nfindings = {accepted}\n'))
    result = cli("doctor", "--json", dsn=database.owner, config=config)
    assert {c["object"] for c in result.json["checks"] if c["name"] == "trial" and c["status"] == "ok"} == {"public.users"}
    cli("prepare", dsn=database.owner, config=config)


USERS = "id bigserial PRIMARY KEY"
SESSIONS = "user_id bigint REFERENCES users (id)"
UNUSABLE: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("id bigserial UNIQUE", SESSIONS, {}, {"key:public.users"}),
    ("id numeric PRIMARY KEY", "user_id numeric REFERENCES users", {}, {"key:public.users.id", "reference:public.sessions.user_id"}),
    (USERS, SESSIONS, {"source": {"table": "public.users", "key": "uid"}}, {"key:public.users.uid"}),
    (USERS + ", uuid_id text", SESSIONS, {}, {"identity:public.users.uuid_id"}),
    (USERS, SESSIONS, {"identity": {"column": "id"}}, {"identity:public.users.id"}),
    (USERS, SESSIONS + " DEFAULT 0, user_uuid_id text", {},
     {"reference:public.sessions.user_uuid_id"}),
    (USERS, SESSIONS + ", boss_id int GENERATED ALWAYS AS (1) STORED REFERENCES users", {}, {"reference:public.sessions.boss_id"}),
    (USERS + ", legacy_id int", SESSIONS + ", user_legacy_id int", {"names": {"shadow": "sessions"}},
     {"names:public.sessions", "names:public.users.legacy_id", "names:public.sessions.user_legacy_id"}),
    (USERS, SESSIONS, {"reference": [{"table": "public.nope", "column": "x"}, {"table": "public.sessions", "column": "y"}]},
     {"reference:public.nope", "reference:public.sessions.y"}),
]  # fmt: skip


@pytest.mark.parametrize(("users", "sessions", "config", "labels"), UNUSABLE)
def test_what_is_unusable_hides_nothing_else(
    users: str, sessions: str, config: dict[str, Any], labels: set[str], database: Database
) -> None:
    """H25: a key or a reference that cannot be used is one finding; what cannot hold a uuid is listed with it."""
    ddl = "CREATE TABLE users ({0}); CREATE TABLE sessions (id bigserial PRIMARY KEY, {1}); CREATE UNIQUE INDEX odd ON sessions ((user_id + 1), id);"
    bad = "CREATE VIEW higher AS SELECT max(id) FROM users; CREATE VIEW active AS SELECT COALESCE(user_id, 0) FROM sessions;"
    install(database, ddl.format(users, sessions) + bad)
    with closing(Conninfo.from_options(database.owner, "trial").connect()) as conn:
        findings = examine(conn, configured(**config), trial=trial_findings)
    assert {f.label for f in findings if f.status == "blocker"} == {
        *labels, "index:public.odd", "trial:public.higher", "trial:public.active",
    }  # fmt: skip


def test_a_view_cannot_be_accepted(database: Database) -> None:
    install(database, BASE + "CREATE VIEW higher AS SELECT max(id) AS top FROM users;")
    with closing(Conninfo.from_options(database.owner, "trial").connect()) as conn:
        findings = examine(conn, configured(accept={"findings": ["trial:public.higher"]}), trial=trial_findings)
    (finding,) = [f for f in findings if f.name == "trial"]
    assert finding.status == "blocker"
    assert "cannot be accepted" in finding.hint


PRINTED: list[tuple[str, str]] = [
    ("SELECT users.id FROM public.users", "SELECT users.id FROM t0.users"),
    ('FROM ("Odd ""x".users u JOIN public.sessions s)', "FROM (t1.users u JOIN t0.sessions s)"),
    ("'public.users'::regclass", "'t0.users'::regclass"),
    ('public.users_old, my.public.users, public."Users"', 'public.users_old, my.public.users, public."Users"'),
    ('PUBLIC . "users"', 't0."users"'),
]


@pytest.mark.parametrize(("printed", "moved"), PRINTED)
def test_only_the_pairs_are_replaced(printed: str, moved: str) -> None:
    moves = SchemaRemap(
        {TableName("public", "users"): "t0", TableName("public", "sessions"): "t0", TableName('Odd "x', "users"): "t1"}
    )
    assert moves.text(printed).replace('"t0"', "t0").replace('"t1"', "t1") == moved
