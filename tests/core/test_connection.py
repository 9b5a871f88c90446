"""Sessions: settings of the role and the database change nothing (H18), an operator's timeouts are respected, and no password is
printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from swap.core.connection import Database as Conninfo
from swap.core.errors import RefusedError, UsageError
from swap.core.session_settings import NEWER_SETTINGS, SETTINGS
from swap.state.store import kept
from tests.support.cycling import Cycle, Start
from tests.support.judging import SECRET
from tests.support.migration import allow_replication, install
from tests.support.servers import Connect, Database, DatabaseServer, Execute

# Settings that a role can have, by their names: the hostile values.
HOSTILE = {
    "search_path": "nowhere", "row_security": "on", "statement_timeout": "150ms", "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "150ms", "idle_session_timeout": "1s", "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable", "default_transaction_deferrable": "on", "client_min_messages": "error",
    "TimeZone": "Asia/Kathmandu", "DateStyle": "German, DMY", "IntervalStyle": "sql_standard", "extra_float_digits": "-15",
    "bytea_output": "escape", "check_function_bodies": "on", "default_table_access_method": "other_heap",
    "default_tablespace": "other_space", "quote_all_identifiers": "on", "standard_conforming_strings": "off",
    "array_nulls": "off", "transform_null_equals": "on", "xmloption": "document", "exit_on_error": "on",
    "jit": "on", "tcp_keepalives_idle": "7200", "tcp_keepalives_interval": "75", "tcp_keepalives_count": "9", "tcp_user_timeout": "0",
}  # fmt: skip
# More settings that a role can have: the tool answers them in another way, or they have no effect.
OTHERS = {
    "synchronous_commit": "off", "session_replication_role": "replica", "client_encoding": "LATIN1", "force_parallel_mode": "on",
    "plpgsql.variable_conflict": "use_variable", "plpgsql.extra_errors": "all", "enable_seqscan": "off", "enable_hashjoin": "off",
    "work_mem": "64kB", "backslash_quote": "off", "xmlbinary": "hex", "max_parallel_workers_per_gather": "4",
    "default_text_search_config": "pg_catalog.german",
}  # fmt: skip
SAFE = {"synchronous_commit": "local", "session_replication_role": "origin", "client_encoding": "UTF8"}
# Settings of the application's sessions, in which the triggers run.
OF_THE_APPLICATION = {
    k: v for k, v in (HOSTILE | OTHERS).items()
    if k not in {"search_path", "session_replication_role", "default_transaction_read_only", "exit_on_error", "row_security"}
    and "timeout" not in k and "default_t" not in k
}  # fmt: skip
OTHER_HEAP = "CREATE ACCESS METHOD other_heap TYPE TABLE HANDLER heap_tableam_handler;\n"


def known(conn: psycopg.Connection[Any], settings: dict[str, str]) -> dict[str, str]:
    conn.execute("LOAD 'plpgsql'")
    names = {r[0] for r in conn.execute("SELECT name FROM pg_settings")}
    return {k: v for k, v in settings.items() if k in names}


@pytest.fixture
def set_for(server: DatabaseServer) -> Callable[[Database, str, dict[str, str]], None]:
    """Factory: sets settings of a role in one database. They are dropped with it."""

    def make(db: Database, role: str, settings: dict[str, str]) -> None:
        with closing(psycopg.connect(db.superuser, autocommit=True)) as conn:
            if "default_table_access_method" in settings:
                conn.execute(OTHER_HEAP)
            for name, value in known(conn, settings).items():
                text = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                    sql.Identifier(role), sql.Identifier(db.dbname), sql.Identifier(*name.split(".")), sql.Literal(value)
                )
                conn.execute(text)

    return make


SetFor = Callable[[Database, str, dict[str, str]], None]


def test_every_setting_is_a_sessions_own(database: Database, set_for: SetFor) -> None:
    """H18: every session has the tool's settings, and `doctor` can report each of them as overridden."""
    install(database, "")
    assert set(HOSTILE) == set(SETTINGS)
    with closing(psycopg.connect(database.superuser, autocommit=True)) as conn:
        newer = {k: "1min" for k, (since, _) in NEWER_SETTINGS.items() if conn.info.server_version >= since}
    set_for(database, "swap_owner", HOSTILE | {k: OTHERS[k] for k in SAFE} | newer)
    with closing(Conninfo.from_options(database.owner, "test").connect()) as conn:
        shown = {name: conn.execute("SELECT current_setting(%s)", [name]).fetchone() for name in (*SETTINGS, *newer, *SAFE)}
    assert shown == {k: (v,) for k, v in (SETTINGS | SAFE | dict.fromkeys(newer, "0")).items()}


def test_a_role_that_may_not_stop_being_a_replica(admin: Execute, database: Database, set_for: SetFor) -> None:
    """H18: no trigger would fire, so the session is refused, with the statements that fix it."""
    admin(sql.SQL("CREATE ROLE replica_only LOGIN"))
    try:
        set_for(database, "replica_only", {"session_replication_role": "replica"})
        with pytest.raises(RefusedError, match="session_replication_role") as raised:
            Conninfo.from_options(make_conninfo(database.owner, user="replica_only"), "test").connect()
        assert "ALTER ROLE replica_only RESET session_replication_role" in raised.value.hint
        assert "GRANT SET ON PARAMETER session_replication_role TO replica_only" in raised.value.hint
    finally:
        admin(sql.SQL("DROP ROLE replica_only"))


# Values that change their meaning when they are printed under one setting and read under another.
SCHEMA = r"""
CREATE TABLE users (
    id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, inviter_id bigint REFERENCES users,
    path text DEFAULT 'C:
ew\dir' CHECK (path !~ '\d{9}'), words text[] DEFAULT '{a,NULL,"NULL"}', f float8 DEFAULT 0.1 + 0.2,
    at timestamptz DEFAULT '2026-02-01 03:04:05+06', day date DEFAULT '2026-02-01', span interval DEFAULT '-1 days +02:03:04',
    raw bytea DEFAULT '\x00ff5c', note text CHECK (note IS NULL OR note <> ''));
CREATE INDEX ON users (lower(email)) WHERE path <> 'a\b';
ALTER TABLE users ADD CHECK (NOT (note = NULL) IS FALSE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, token text);
CREATE INDEX ON sessions (user_id);
CREATE VIEW active AS SELECT id, email || '' AS label, at FROM users WHERE day > '2026-01-02';
INSERT INTO users (email, inviter_id) SELECT 'user' || n, nullif(n / 2, 0) FROM generate_series(1, 300) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""
WRITES = """
INSERT INTO users (email) VALUES ('late' || gen_random_uuid());
INSERT INTO sessions (user_id) SELECT id FROM users WHERE email LIKE 'late%';
UPDATE users SET f = 1e-300, span = '1 mon' WHERE email = 'user3';
UPDATE sessions SET user_id = (SELECT id FROM users WHERE email = 'user5') WHERE id = 7;
DELETE FROM users WHERE email = 'user299'
"""


def built(one: Cycle) -> str:
    """The schema, without the source's oid, which differs between databases, and without the other access method."""
    return one.dump().replace(str(one.m.plan.tag), "TAG").replace(OTHER_HEAP, "")


@pytest.mark.parametrize("mode", ["trigger", "logical"])
def test_settings_of_roles_change_nothing(
    mode: str, start: Start, database: Database, new_database: Callable[[str], Database], set_for: SetFor, connect: Connect
) -> None:
    """H18: given every hostile setting of the tool's role and of the application's, then each command does and builds the same as
    without them."""
    config = {"sync": {"mode": mode}}
    undisturbed = start(SCHEMA, new_database("template0"), **config)
    undisturbed.ready()
    allow_replication(database)
    install(database, SCHEMA)
    set_for(database, "swap_owner", HOSTILE | OTHERS | {"transaction_timeout": "2s"})
    set_for(database, "app", OF_THE_APPLICATION)
    app = connect(database.app)
    one = start(None, **config)
    app.execute(WRITES)
    one.ready()
    assert built(one) == built(undisturbed)
    if mode == "logical":
        return
    one.cutover()
    undisturbed.cutover()
    assert built(one) == built(undisturbed)
    app.execute(WRITES)
    one.caught_up()
    one.revert()
    one.abort()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding(
    encoding: LiteralString, start: Start, admin: Execute, new_database: Callable[[str], Database], connect: Connect
) -> None:
    """H18: names and values that are not ASCII; in SQL_ASCII also bytes that are text in no encoding."""
    template = f"template_{encoding}".lower()
    admin(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(template)))
    create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'")
    admin(create.format(sql.Identifier(template), sql.Literal(encoding)))
    db = new_database(template)
    app = connect(db.superuser, client_encoding="UTF8")
    install(db, "CREATE TABLE t ()")
    app.execute("SET SESSION AUTHORIZATION swap_owner")
    app.execute(IN_ENCODING)
    if encoding == "SQL_ASCII":
        app.execute("SET client_encoding = SQL_ASCII")
        app.execute(b"INSERT INTO users (\"pr\xc3\xa9nom\") VALUES ('\xff\xfe\x81')")
    one = start(None, db)
    one.ready()
    one.cutover()
    app.execute("UPDATE users SET n = n + 1")
    one.caught_up()
    assert kept(one.m.conn, "fini \N{CHECK MARK}") == ("fini \\u2713" if encoding == "LATIN1" else "fini \N{CHECK MARK}")
    one.revert()
    one.abort()


IN_ENCODING = """
CREATE TABLE users (id bigserial PRIMARY KEY, "prénom" text DEFAULT 'é' CHECK ("prénom" <> 'ü'), n int);
CREATE INDEX "über" ON users ("prénom") WHERE "prénom" > 'ä';
CREATE TABLE "séances" (id bigserial PRIMARY KEY, "à_qui" bigint NOT NULL REFERENCES users);
CREATE VIEW "fenêtre" AS SELECT id AS "clé", "prénom" || 'ß' AS x FROM users;
INSERT INTO users ("prénom") VALUES ('Zoë'), (DEFAULT); INSERT INTO "séances" ("à_qui") SELECT id FROM users;
"""


# Where the parameters of the connection come from.


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "services"
    path.write_text(f"[patient]\nconnect_timeout=77\nkeepalives_idle=99\npassword={SECRET}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(path))


@pytest.mark.parametrize(
    ("dsn", "env", "said"),
    [
        ("", {}, ("10", "20")),
        ("", {"PGCONNECT_TIMEOUT": "33"}, ("33", "20")),
        ("connect_timeout=5", {"PGCONNECT_TIMEOUT": "33"}, ("5", "20")),
        ("service=patient", {"PGCONNECT_TIMEOUT": "33"}, ("77", "99")),
        ("", {"PGSERVICE": "patient"}, ("77", "99")),
        ("service=patient connect_timeout=5", {"PGSERVICE": "nowhere"}, ("5", "99")),
    ],
)
def test_who_says_how_long_to_wait(
    dsn: str, env: dict[str, str], said: tuple[str, str], service: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection string goes first, then a service file, then the environment, and this tool last."""
    with monkeypatch.context() as during:
        for name, value in env.items():
            during.setenv(name, value)
        made = Conninfo.from_options(make_conninfo(database.superuser, **conninfo_to_dict(dsn)), "test")
        assert os.environ.get("PGSERVICE") == env.get("PGSERVICE")
        with closing(made.connect()) as conn:
            found = {o.keyword: o.val for o in conn.pgconn.info}
    assert tuple((found[k] or b"").decode() for k in (b"connect_timeout", b"keepalives_idle")) == said


@pytest.mark.parametrize("password", ["hal@ves", "sla/shes", "a/b@c"])
def test_a_password_that_a_uri_would_split_is_not_printed(password: str) -> None:
    """libpq takes the text after an @ or / for a host, a port or a database, and prints it in its error."""
    with pytest.raises(UsageError, match="@ or a /") as raised:
        Conninfo.from_options(f"postgresql://someone:{password}@127.0.0.1/db", "test")
    assert "%40" in raised.value.hint
    for part in password.replace("/", "@").split("@"):
        assert len(part) == 1 or part not in str(raised.value)
    for fine in ("postgresql:///db?user=a@b", "postgresql://u:p%40%2F@h/d%40b", "postgresql://u:p?q@h:1,g:2/d", "host=@abstract"):
        Conninfo.from_options(fine, "test")
