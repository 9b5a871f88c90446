"""What the server evaluates for every row runs under the application's settings, or is refused by name (H54, I12)."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError
from swap.doctor.examine import examine
from swap.doctor.finding import Finding
from swap.doctor.trial.build import trial_findings
from tests.support.migration import Driver, configuration, install
from tests.support.servers import Database
from tests.support.whole import MakeWhole

# Nothing in these bodies says a schema: they work in the application's sessions, whose search_path ends in public.
FUNCTIONS = """
CREATE FUNCTION g(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT g($1)';
CREATE FUNCTION p(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN g($1); END';
CREATE FUNCTION local_day(timestamptz) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1::date::text; END';
CREATE FUNCTION as_text(float8) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1::text; END';
"""
SCHEMA = (
    FUNCTIONS
    + """
CREATE TABLE users (id bigserial PRIMARY KEY, email text CHECK (f(email) <> 'ROOT'), at timestamptz, price float8,
    big text GENERATED ALWAYS AS (f(email)) STORED, bigger text GENERATED ALWAYS AS (p(email)) STORED,
    day text GENERATED ALWAYS AS (local_day(at)) STORED, shown text GENERATED ALWAYS AS (as_text(price)) STORED);
CREATE TABLE sessions (user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, email text CHECK (p(email) <> 'ROOT'));
"""
)
ROWS = """
INSERT INTO users (email, at, price) SELECT 'u' || n, '2026-01-01 23:30+00'::timestamptz + n * interval '1 hour', n / 3.0 FROM generate_series(1, 9) n;
INSERT INTO sessions SELECT id, email FROM users;
"""
SETTINGS = "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'; SET extra_float_digits = -5;"


def settle(database: Database, ddl: str, *, role: str = "swap_owner") -> None:
    """`ddl` as the owner, whose sessions begin with settings of their own."""
    install(database, "SELECT")
    execute(
        database.superuser,
        f"ALTER ROLE {role} IN DATABASE {database.dbname} SET TimeZone = 'Asia/Tokyo';"
        f" ALTER ROLE {role} IN DATABASE {database.dbname} SET DateStyle = 'SQL, DMY';"
        f" ALTER DATABASE {database.dbname} SET extra_float_digits = -5; ALTER DATABASE {database.dbname} SET TimeZone = 'America/Lima'",
    )
    install(database, ddl)


def execute(conninfo: str, statements: str) -> list[tuple[Any, ...]]:
    with closing(psycopg.connect(conninfo, autocommit=True)) as conn:
        cursor = conn.execute(statements.encode())
        return cursor.fetchall() if cursor.description else []


def tried(database: Database, **config: Any) -> list[Finding]:
    """What `swap doctor` finds."""
    with closing(Conninfo.from_options(database.owner, "doctor").connect()) as conn:
        return examine(conn, configuration(**config), trial=trial_findings)


def blockers(findings: list[Finding]) -> list[str]:
    return [f"{f.label}: {f.detail}" for f in findings if f.status == "blocker"]


def test_functions_and_settings_are_the_applications(database: Database) -> None:
    """I12, H54: unqualified names in a CHECK and in generated columns are found, and values are as the application's sessions
    compute them: in the copy, in what is replayed, after the cutover and back."""
    settle(database, SCHEMA + ROWS)
    assert blockers(tried(database)) == []
    m = Driver.begin(database)
    with closing(m):
        m.prepare()
        m.sync()
        execute(database.owner, "INSERT INTO users (email, at, price) VALUES ('late', '2026-02-01 23:30+00', 1 / 7.0)")
        execute(
            database.owner, "UPDATE users SET price = 2 / 7.0 WHERE id = 3; UPDATE sessions SET email = 'other' WHERE user_id = 4"
        )
        m.sync()
        assert m.verify().verdict == "identical"
        values = execute(database.owner, "SELECT big, bigger, day, shown FROM users ORDER BY email")
        assert values[0] == ("LATE", "LATE", "02/02/2026", "0.1428571429")
        assert m.exchange("cutover").outcome == "committed"
        assert execute(database.owner, "SELECT big, bigger, day, shown FROM users ORDER BY email") == values
        execute(database.owner, "INSERT INTO users (email, at, price) VALUES ('a new one', '2026-03-01 23:30+00', 1 / 11.0)")
        m.sync()
        assert m.verify().verdict == "identical"
        assert m.exchange("revert").outcome == "committed"
        assert execute(database.owner, "SELECT day, shown FROM users ORDER BY email LIMIT 1") == [("02/03/2026", "0.09090909091")]


def test_settings_of_the_configuration_go_first(database: Database) -> None:
    """I12: what a driver sets in its own sessions is known to no catalog; [application] settings says it."""
    install(database, SCHEMA)
    execute(database.owner, SETTINGS + ROWS)
    wrong = blockers(tried(database))
    assert [w.split(":")[1] for w in wrong] == ["public.users.day", "public.users.shown"]
    assert all("rows hold another value than its expression gives now" in w for w in wrong)
    told = {"settings": {"timezone": "Asia/Tokyo", "DateStyle": "SQL, DMY", "extra_float_digits": "-5"}}
    assert blockers(tried(database, application=told)) == []
    with closing(Driver.begin(database, application=told)) as m:
        m.prepare()
        m.sync()
        assert m.verify().verdict == "identical"


def test_a_check_that_is_not_immutable_is_refused(database: Database) -> None:
    """H54: CHECK (due > now()) holds today; it can be taken on where time only makes it true."""
    due = "due timestamptz CONSTRAINT future CHECK (due > now()), made timestamptz CONSTRAINT past CHECK (made <= now())"
    install(
        database,
        f"CREATE TABLE users (id bigserial PRIMARY KEY, {due}, day text CONSTRAINT fixed CHECK (day <> to_char(5, '9')))",
    )
    execute(database.owner, "INSERT INTO users (due, made) VALUES (now() + interval '1 day', now())")
    found = [f for f in tried(database) if f.status == "blocker"]
    assert [f.label for f in found] == ["check:public.users.fixed", "check:public.users.future", "check:public.users.past"]
    assert all("is not immutable" in f.detail and f.acceptable for f in found)


def test_the_text_of_an_enum_depends_on_no_session(database: Database) -> None:
    """Its output function is STABLE, but neither time nor a setting changes a label; with another text beside it the server is asked."""
    columns = "id bigserial PRIMARY KEY, kind kind NOT NULL CHECK (kind::text <> 'c' AND kind::varchar = ANY ('{a,b}'))"
    install(
        database,
        f"CREATE TYPE kind AS ENUM ('a', 'b', 'c'); CREATE TABLE users ({columns}); INSERT INTO users (kind) VALUES ('a')",
    )
    assert blockers(tried(database)) == []
    install(database, "ALTER TABLE users ADD on_day date DEFAULT '2026-01-01', ADD CHECK (kind::text <> on_day::text)")
    (found,) = blockers(tried(database))
    assert "is not immutable" in found


def test_settings_that_cannot_be_set(database: Database) -> None:
    """I12: said before anything runs under them."""
    install(database, "CREATE TABLE users (id bigserial PRIMARY KEY)")
    (found,) = blockers(tried(database, application={"settings": {"TimeZone": "Mars/Olympus"}}))
    assert found.startswith(
        "application:swap_owner: the settings of its sessions cannot be set here: invalid value for parameter"
    )


def test_a_not_valid_check_that_is_not_immutable(database: Database) -> None:
    """H54: the retired table has it, for every row that is written."""
    install(
        database,
        "CREATE TABLE users (id bigserial PRIMARY KEY, due timestamptz); INSERT INTO users (due) VALUES ('2020-01-01');"
        "ALTER TABLE users ADD CONSTRAINT future CHECK (due > now()) NOT VALID",
    )
    labels = [f.label for f in tried(database) if f.status == "blocker"]
    assert labels == ["check:public.users.future"]


def test_rows_that_fail_a_check_now_are_counted(database: Database) -> None:
    """H54: the server never looks again at a constraint that it has validated."""
    ddl = "CREATE FUNCTION ok(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
    ddl += "CREATE TABLE users (id bigserial PRIMARY KEY, email text CONSTRAINT fine CHECK (ok(email)));"
    ddl += "INSERT INTO users (email) VALUES ('a'), ('b'), (NULL);"
    install(database, ddl + "CREATE OR REPLACE FUNCTION ok(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> ''a'''")
    assert blockers(tried(database)) == ["check:public.users.fine: 1 rows fail it now: they could not be copied"]


def test_a_function_that_was_replaced_is_noticed(database: Database) -> None:
    """H54: a stored value is not what the expression gives any more, so a copy would change it."""
    ddl = "CREATE FUNCTION h(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
    ddl += "CREATE TABLE users (id bigserial PRIMARY KEY, email text, h text GENERATED ALWAYS AS (h(email)) STORED);"
    ddl += "INSERT INTO users (email) VALUES ('a'), ('B');"
    install(database, ddl + "CREATE OR REPLACE FUNCTION h(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'")
    (found,) = blockers(tried(database))
    assert found.startswith("generated:public.users.h: 1 rows hold another value")


def test_code_that_depends_on_the_role_is_noticed(database: Database) -> None:
    """H54: what the application's role has written is another value, or is no value, for the role that copies it."""
    ddl = "CREATE FUNCTION whose() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_user; END';"
    ddl += "CREATE TABLE users (id bigserial PRIMARY KEY, email text CONSTRAINT mine CHECK (whose() <> 'swap_owner'),"
    install(database, ddl + " who text GENERATED ALWAYS AS (whose() || ' ' || email) STORED)")
    execute(database.app, "INSERT INTO users (email) VALUES ('a'), ('b')")
    assert sorted(b.partition(" hold")[0] for b in blockers(tried(database))) == [
        "check:public.users.mine: 2 rows fail it now: they could not be copied",
        "generated:public.users.who: 2 rows",
    ]


def test_an_index_whose_function_names_no_schema(database: Database) -> None:
    """H54: since 17 indexes are built under `pg_catalog, pg_temp`, so `sync` could not; before that the application's path serves."""
    install(
        database, FUNCTIONS + "CREATE TABLE users (id bigserial PRIMARY KEY, email text); CREATE INDEX by_p ON users (p(email));"
    )
    execute(database.owner, "INSERT INTO users (email) VALUES ('a'), ('b')")
    with closing(psycopg.connect(database.owner)) as conn:
        restricted = conn.info.server_version >= 170000
    found = blockers(tried(database))
    if restricted:
        assert found[0].startswith(
            "index:public.by_p: does not run under search_path = pg_catalog, as in a restored dump: function g(text) does not exist"
        )
        return
    assert found == []
    with closing(Driver.begin(database)) as m:
        m.prepare()
        m.sync()
        assert m.verify().verdict == "identical"


def test_what_fails_later_is_named_and_no_defect(whole: MakeWhole) -> None:
    """H54: an expression that begins to fail during a run stops `sync` with a refusal, which names it; mended, it goes on."""
    w = whole(FUNCTIONS + "CREATE TABLE users (id bigserial PRIMARY KEY, email text CONSTRAINT fine CHECK (p(email) <> 'ROOT'))")
    w.sync()
    w.query("INSERT INTO users (email) VALUES ('a'), ('b')")
    w.query("CREATE OR REPLACE FUNCTION g(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE ''no more''; END'")
    with pytest.raises(
        RefusedError, match=r"Rows of public\.users could not be written to public\.users_new: no more; PL/pgSQL function"
    ):
        w.sync()
    w.query("CREATE OR REPLACE FUNCTION g(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'")
    w.there_and_back()


def test_a_check_that_rows_fail_later_is_named(whole: MakeWhole) -> None:
    """H54: as above, in the copy."""
    w = whole(
        "CREATE TABLE users (id bigserial PRIMARY KEY, email text CONSTRAINT past CHECK (email <= current_setting('app.most', true)));"
        "SET app.most = 'z'; INSERT INTO users (email) VALUES ('a'), ('b')",
        accept={"findings": ["check:public.users.past"]},
        application={"settings": {"app.most": "z"}},
    )
    w.sync()
    assert w.m.verify().verdict == "identical"


def test_an_index_over_a_sql_function_that_names_no_schema(database: Database) -> None:
    """H54: before 17 the server reads such a body in every session that reads the table; so it is refused, and nothing ends with a
    defect. Since 17 the application cannot create the index at all."""
    install(database, FUNCTIONS + "CREATE TABLE users (id bigserial PRIMARY KEY, email text);")
    execute(database.owner, "INSERT INTO users (email) VALUES ('a'), ('b')")
    try:
        execute(database.owner, "CREATE INDEX by_f ON users (f(email)); CREATE INDEX fine ON users (lower(email))")
    except psycopg.errors.UndefinedFunction:
        return
    found = blockers(tried(database))
    assert [f.partition(": ")[0] for f in found] == ["index:public.by_f"]
    assert "function g(text) does not exist" in found[0]


HIDING = """
CREATE FUNCTION public.never(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION public.never(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION public.never(tid, tid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.never);
CREATE OPERATOR public.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.never);
CREATE OPERATOR public.<= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.never);
CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = public.never);
CREATE OPERATOR public.< (LEFTARG = tid, RIGHTARG = tid, FUNCTION = public.never);
CREATE OPERATOR public.>= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = public.never);
CREATE FUNCTION public.gen_random_uuid() RETURNS uuid LANGUAGE sql AS $$SELECT '00000000-0000-4000-8000-000000000000'::uuid$$;
"""


@pytest.mark.parametrize("adopted", [False, True])
def test_operators_of_the_applications_path_change_nothing(database: Database, adopted: bool) -> None:
    """I12: the path is the application's to the letter, with its own operators in front of those of pg_catalog; the statements of
    swap that run under it name theirs."""
    install(database, "SELECT")
    execute(database.superuser, HIDING)
    uuids = (", uuid_id uuid UNIQUE", ", user_uuid_id uuid") if adopted else ("", "")
    install(
        database,
        f"CREATE TABLE users (id bigserial PRIMARY KEY, boss bigint REFERENCES users, email text{uuids[0]});"
        f"CREATE TABLE sessions (user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE{uuids[1]});"
        "INSERT INTO users (email) SELECT 'u' || n FROM generate_series(1, 50) n; UPDATE users SET boss = 51 - id;"
        "INSERT INTO sessions (user_id) SELECT id FROM users",
    )
    path = {"settings": {"search_path": "public, pg_catalog"}}
    with closing(Driver.begin(database, application=path, names={"compat": True})) as m:
        assert dict(m.plan.settings)["search_path"] == "public, pg_catalog"
        m.synced()
        execute(database.owner, "UPDATE users SET boss = 7 WHERE id < 5; DELETE FROM sessions WHERE user_id = 9")
        m.sync()
        assert m.verify().verdict == "identical"
        assert m.exchange("cutover").outcome == "committed"
        assert execute(database.owner, "SELECT count(DISTINCT id), count(boss) FROM users") == [(50, 50)]
        execute(database.owner, "UPDATE users SET email = 'x' WHERE legacy_id < 5")
        m.sync()
        assert m.verify().verdict == "identical"
