"""Capture: every way to write is noted, by key alone (I1, I3), and nothing a session does can get around it or into it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import errors, sql

from swap.core.errors import LockError
from swap.core.statement import script
from swap.ddl.change_tables import change_table
from swap.ddl.fence import fence_functions
from swap.state.journal import Phase
from tests.support.cycling import Start
from tests.support.migration import Driver, Migrate, Session, Synced, background, install, migrations
from tests.support.mode import Mode
from tests.support.servers import Connect, Database, ExampleFactory
from tests.support.waiting import wait_for_lock_wait, wait_until

SCHEMA = """
CREATE TABLE organizations (id bigserial PRIMARY KEY, name text);
CREATE TABLE users (
    id bigserial PRIMARY KEY, organization_id bigint REFERENCES organizations,
    email text NOT NULL UNIQUE, secret text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE);
CREATE INDEX ON sessions (user_id);
INSERT INTO organizations (name) VALUES ('one');
INSERT INTO users (organization_id, email, secret) SELECT 1, 'user' || n, 'hush' FROM generate_series(1, 10) n;
INSERT INTO sessions (user_id) SELECT id FROM users WHERE id <= 5;
"""


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def m(synced: Synced, database: Database) -> Driver:
    made = synced(database, SCHEMA)
    made.forget()
    return made


@pytest.fixture
def in_place(synced: Synced, database: Database) -> Driver:
    """Both keys are in the application's tables, and guards keep them together."""
    references = [{"table": "public.sessions", "column": "user_id", "strategy": "column"}]
    return synced(database, SCHEMA, identity={"existing": "column"}, reference=references)


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


WRITES: list[tuple[str, LiteralString, list[int | None]]] = [
    ("insert", "INSERT INTO users (id, email) VALUES (100, 'a'), (101, 'b')", [100, 101]),
    ("update", "UPDATE users SET secret = NULL WHERE id IN (1, 2)", [1, 2]),
    ("update-of-nothing", "UPDATE users SET secret = 'x' WHERE id = 999", []),
    ("delete", "DELETE FROM users WHERE id = 9", [9]),
    ("delete-cascades-on", "DELETE FROM users WHERE id = 1", [1]),
    ("key-update", "UPDATE users SET id = 200 WHERE id = 9", [9, 200]),
    ("key-update-cascade", "UPDATE users SET id = -3 WHERE id = 3", [-3, 3]),
    ("truncate", "TRUNCATE users CASCADE", [None]),
    ("truncate-through-organizations", "TRUNCATE organizations CASCADE", [None]),
    ("upsert-inserts", "INSERT INTO users (id, email) VALUES (102, 'c') ON CONFLICT (email) DO UPDATE SET secret = 's'", [102]),
    ("upsert-updates", "INSERT INTO users (id, email) VALUES (103, 'user4') ON CONFLICT (email) DO UPDATE SET secret = 's'", [4]),
    ("upsert-nothing", "INSERT INTO users (id, email) VALUES (104, 'user4') ON CONFLICT DO NOTHING", []),
    ("cte", "WITH d AS (DELETE FROM users WHERE id = 9 RETURNING email) INSERT INTO users (id, email) SELECT 105, email || 'x' FROM d", [9, 105]),
    ("merge", "MERGE INTO users u USING (VALUES (8)) v(id) ON u.id = v.id WHEN MATCHED THEN DELETE", [8]),
]  # fmt: skip


@pytest.mark.both_modes
@pytest.mark.parametrize(("write", "keys"), [w[1:] for w in WRITES], ids=[w[0] for w in WRITES])
def test_every_write_is_captured_by_key(m: Driver, app: Session, write: LiteralString, keys: list[int | None]) -> None:
    """H6: given a captured table, when the application writes in any way, then exactly those keys are queued."""
    app.execute(write)
    assert sorted(m.captured(), key=str) == sorted(keys, key=str)
    m.drain()
    m.assert_same()


@pytest.mark.both_modes
def test_copy_is_captured(m: Driver, app: Session) -> None:
    """H6."""
    with app.cursor() as cursor, cursor.copy("COPY users (id, email) FROM STDIN") as copy:
        for n in range(300, 310):
            copy.write_row((n, f"copied{n}"))
    assert m.captured() == list(range(300, 310))
    m.drain()
    m.assert_same()


def test_only_keys_are_kept(m: Driver, app: Session) -> None:
    """I1, I3: given a secret in a row, when it changes, then the change table holds transactions, number and key only."""
    app.execute("UPDATE users SET secret = 'top secret' WHERE id = 1")
    for n in (0, 1):
        name = change_table(m.plan, n)
        columns = m.conn.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " ORDER BY attnum",
            [str(name)],
        ).fetchall()
        assert columns == [("xid", "xid8"), ("key", "bigint"), ("uuid", "uuid"), ("gone", "boolean"), ("origin", "xid8")]
    assert m.captured() == [1]


@pytest.mark.both_modes
def test_a_savepoint_rolled_back_leaves_nothing(m: Driver, app: Session) -> None:
    """H6: and what the same transaction wrote before and after it is due together."""
    with app.transaction():
        app.execute("UPDATE users SET secret = 'a' WHERE id = 1")
        with app.transaction(force_rollback=True):
            app.execute("DELETE FROM users WHERE id = 2")
        with app.transaction():
            app.execute("UPDATE users SET secret = 'c' WHERE id = 3")
    assert m.captured() == [1, 3]
    assert m.replay(0).entries == 2
    m.assert_same()


def test_a_transaction_rolled_back_leaves_nothing(m: Driver, app: Session) -> None:
    with app.transaction(force_rollback=True):
        app.execute("TRUNCATE users CASCADE")
    assert m.captured() == []
    m.drain()
    m.assert_same()


@pytest.mark.both_modes
def test_prepared_after_capture_and_committed_later(m: Driver, app: Session) -> None:
    """H6: given a two-phase transaction, when replay passes it and it commits after, then it is replayed."""
    app.execute("BEGIN")
    app.execute("UPDATE users SET secret = 'two phases' WHERE id = 1")
    app.execute("PREPARE TRANSACTION 'later'")
    app.execute("UPDATE users SET secret = 'one phase' WHERE id = 2")
    m.drain()
    assert m.differences() == []
    app.execute("COMMIT PREPARED 'later'")
    assert m.pending() == 1
    assert m.differences() == [1]
    m.drain()
    m.assert_same()


@pytest.mark.both_modes
def test_prepared_before_capture_is_waited_for(
    migrate: Migrate, database: Database, connect: Connect, capture_mode: Mode
) -> None:
    """H6: given a two-phase transaction that wrote before capture began, then `prepare` does not pass it."""
    m = migrate(database, SCHEMA, cutover={"lock_timeout_ms": 20, "max_attempts": 2})
    app, watcher = connect(database.app), connect(database.superuser)
    app.execute("BEGIN")
    app.execute("UPDATE users SET secret = 'early' WHERE id = 1")
    app.execute("PREPARE TRANSACTION 'early'")
    if capture_mode == "trigger":
        with pytest.raises(LockError):
            m.prepare()
        assert triggers(m, "users") == []
        app.execute("COMMIT PREPARED 'early'")
        m.prepare()
    else:  # the server makes no slot while a transaction is open
        with background(m.prepare, lambda: app.execute("COMMIT PREPARED 'early'")) as prepared:
            waiting = (
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock' AND wait_event = 'transactionid'"
            )
            wait_until(lambda: watcher.execute(waiting, [m.pid]).fetchone() is not None, what="the slot waits")
            app.execute("COMMIT PREPARED 'early'")
            prepared.result(30)
    m.sync()
    m.assert_same()


@pytest.mark.parametrize("write", [w[1] for w in WRITES[:8]], ids=[w[0] for w in WRITES[:8]])
def test_replica_role_writers_count(m: Driver, database: Database, connect: Connect, write: LiteralString) -> None:
    """H7: given session_replication_role = replica, as a subscription applies, then capture is as for anybody."""
    writer = connect(database.superuser)
    writer.execute("SET session_replication_role = replica")
    writer.execute(write)
    m.drain()
    assert m.differences() == []


@pytest.mark.both_modes
def test_replica_role_writers_are_guarded(in_place: Driver, database: Database, connect: Connect) -> None:
    """H7: rows written by a subscription have both keys too."""
    m = in_place
    writer = connect(database.superuser)
    writer.execute("SET session_replication_role = replica")
    writer.execute("INSERT INTO users (id, email, uuid_id) VALUES (500, 'e', NULL)")
    writer.execute("INSERT INTO sessions (user_id) VALUES (500)")
    m.drain()
    m.assert_same()


@pytest.fixture
def generous(database: Database, connect: Connect) -> None:
    """Default privileges that let the application into whatever the tool's role makes."""
    install(database, "")
    owner = connect(database.owner)
    owner.execute(
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO app; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app, PUBLIC"
    )
    owner.execute(
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO app; ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO app"
    )


def test_the_application_has_no_way_into_the_state_schema(generous: None, m: Driver, app: Session) -> None:
    """I1, H32: no table can be read or written, no function called or bound to a table of the application's own."""
    tables = m.conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'swap'::regnamespace AND relkind IN ('r', 'S')"
    ).fetchall()
    assert len(tables) > 10
    for (name,) in tables:
        table = sql.Identifier("swap", name)
        for statement in ("SELECT * FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES", "TRUNCATE {}"):
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(sql.SQL(statement).format(table))
    app.execute("CREATE TEMPORARY TABLE mine (id bigint)")
    functions = m.conn.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'swap'::regnamespace").fetchall()
    assert functions
    for (name,) in functions:
        function = sql.Identifier("swap", name)
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(sql.SQL("SELECT {}()").format(function))
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(sql.SQL("CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {}()").format(function))
    assert m.captured() == []


HIJACK = """
CREATE FUNCTION evil.trap(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE FUNCTION evil.trap(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE OPERATOR evil.<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.trap);
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.trap);
CREATE OPERATOR evil.<> (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.trap);
CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.trap);
CREATE FUNCTION evil.pg_current_xact_id() RETURNS xid8 LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE FUNCTION evil.nextval(regclass) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE FUNCTION evil.uuidv7() RETURNS uuid LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE TABLE evil.users (id bigint, uuid_id uuid);
GRANT USAGE ON SCHEMA evil TO PUBLIC;
"""


def test_nothing_a_session_creates_changes_the_definer_functions(in_place: Driver, database: Database, connect: Connect) -> None:
    """Given operators, functions, tables and temporary tables that shadow every name, when the application writes
    with them first in its search_path, then the functions that run with the owner's rights use none of them."""
    m, app, superuser = in_place, connect(database.app), connect(database.superuser)
    m.forget()
    superuser.execute("CREATE SCHEMA evil AUTHORIZATION app")
    app.execute(HIJACK)
    app.execute("CREATE TEMPORARY TABLE users (id bigint, uuid_id uuid)")
    for n in (0, 1):
        name = sql.Identifier("pg_temp", change_table(m.plan, n).name)
        app.execute(sql.SQL("CREATE TEMPORARY TABLE {} (xid xid8, key bigint)").format(name))
    m.conn.execute(script(fence_functions(m.plan, 0)))  # as it is after an exchange
    app.execute("CREATE TEMPORARY TABLE fence (tag bigint, generation bigint)")
    app.execute("SET search_path = pg_temp, evil, public, pg_catalog")
    app.execute("INSERT INTO public.users (id, email, uuid_id) VALUES (700, 'h', NULL)")
    app.execute("UPDATE public.users SET id = 701 WHERE email OPERATOR(pg_catalog.=) 'h'")
    app.execute("INSERT INTO public.sessions (user_id) VALUES (701)")
    assert sorted(map(str, m.captured())) == ["700", "700", "701"]
    assert app.execute("SELECT count(*) FROM pg_temp.users").fetchone() == (0,)
    assert app.execute(
        sql.SQL("SELECT count(*) FROM pg_temp.{}").format(sql.Identifier(change_table(m.plan, 0).name))
    ).fetchone() == (0,)
    m.drain()
    m.assert_same()


BARE = re.compile(r"_((capture|gone)(_\d+)?_(forward|reverse)|fence(_\d+)?)$")
DEFINERS = """
SELECT p.oid, p.pronamespace::regnamespace::text, p.proname, p.proconfig, (SELECT count(*) FROM pg_trigger t WHERE t.tgfoid = p.oid)
FROM pg_proc p WHERE p.prosecdef AND p.proowner = 'swap_owner'::regrole
"""


def definers(conn: Session) -> dict[str, tuple[int, int]]:
    """Every function of the tool's role that runs with its rights, wherever it is: (oid, triggers bound to it). Each has a
    pinned search_path, or leaves nothing to be looked up."""
    out = {}
    for oid, schema, name, settings, bound in conn.execute(DEFINERS):
        assert schema == "swap", name
        if BARE.search(name):
            assert settings is None, name
        else:
            assert "search_path=pg_catalog, pg_temp" in settings, name
        out[name] = (oid, bound)
    return out


ALL_TRIGGERS = (
    SCHEMA.replace("email text", "invited_by_id bigint REFERENCES users, email text")
    + """
CREATE TABLE notes (id bigserial PRIMARY KEY, kind text, about_id bigint);
INSERT INTO notes (kind, about_id) VALUES ('user', 2), ('other', 7);
"""
)
FIRE_ALL = """
INSERT INTO public.users (email, invited_by_id) SELECT 'h', id FROM public.users WHERE email OPERATOR(pg_catalog.=) 'user1';
UPDATE public.users SET email = 'hh', invited_by_id = id WHERE email OPERATOR(pg_catalog.=) 'h';
WITH s AS (INSERT INTO public.sessions (user_id) SELECT id FROM public.users WHERE email OPERATOR(pg_catalog.=) 'hh' RETURNING user_id)
    INSERT INTO public.notes (kind, {noted}) SELECT 'user', user_id FROM s;
WITH u AS (INSERT INTO public.users (id, email) VALUES ({late}, 'late')) INSERT INTO public.sessions (user_id) VALUES ({late});
WITH u AS (INSERT INTO public.users (id, email, invited_by_id) VALUES ({moved}, 'early', {third}), ({third}, 'third', NULL))
    INSERT INTO public.notes (kind, {noted}) VALUES ('user', {moved});
INSERT INTO public.sessions ({user}) VALUES (1); INSERT INTO public.notes (kind, {about}) VALUES ('user', 1);
UPDATE public.users SET {inviter} = 1 WHERE email OPERATOR(pg_catalog.=) 'user4'; DELETE FROM public.users WHERE id OPERATOR(pg_catalog.=) {moved};
UPDATE public.notes SET {noted} = (SELECT id FROM public.users WHERE email OPERATOR(pg_catalog.=) 'user2');
UPDATE public.sessions SET user_id = (SELECT id FROM public.users WHERE email OPERATOR(pg_catalog.=) 'user3');
UPDATE public.users SET id = {moved} WHERE email OPERATOR(pg_catalog.=) 'user7';
UPDATE public.users SET {second} = NULL WHERE email OPERATOR(pg_catalog.=) 'user5';
DELETE FROM public.users WHERE email OPERATOR(pg_catalog.=) 'user9'; DELETE FROM public.sessions;
TRUNCATE public.users, public.sessions
"""


@pytest.mark.parametrize("compat", [False, True], ids=["", "compat"])
def test_no_function_that_runs_with_the_owners_rights_can_be_hijacked(
    compat: bool, start: Start, database: Database, connect: Connect, capture_mode: Mode
) -> None:
    """Whatever the version makes of them: each of them is found in the catalog, and has been called, before and after the
    cutover, by a session whose own operators, functions and tables come first."""
    one = start(
        ALL_TRIGGERS,
        names={"compat": compat},
        reference=[{"table": "public.notes", "column": "about_id", "where": "kind = 'user'"}],
    )
    superuser, app = connect(database.superuser), connect(database.app)
    superuser.execute("CREATE SCHEMA evil AUTHORIZATION app")
    app.execute(HIJACK)
    one.ready()
    superuser.execute(sql.SQL("ALTER DATABASE {} SET track_functions = 'all'").format(sql.Identifier(database.dbname)))
    for moment in ("before", "after"):
        if moment == "after":
            one.cutover()
        session = connect(database.app)
        session.execute(TEMPORARY)
        session.execute("SET search_path = pg_temp, evil, public, pg_catalog")
        integers = {"user": "user_id", "inviter": "invited_by_id"}
        about = {"about": "about_id", "noted": "about_id" if moment == "before" else "about_uuid_id"}
        words = {"late": "700", "moved": "-5", "third": "-3", "second": "uuid_id", **integers}
        if moment == "after":
            nobody = "'00000000-0000-0000-0000-00000000000{}'"
            words = {"late": nobody.format(7), "moved": nobody.format(5), "third": nobody.format(3), "second": "legacy_id"}
            words |= {k: v.replace("_id", "_legacy_id") for k, v in integers.items()}
        with session.transaction(force_rollback=True):
            session.execute(FIRE_ALL.format(**words, **about).encode())
            called = {r[0] for r in session.execute("SELECT funcid FROM pg_stat_xact_user_functions")}
        bound = {name: oid for name, (oid, triggers) in definers(superuser).items() if triggers}
        bound = {
            name: oid for name, oid in bound.items() if not name.endswith("_mirror_0_reverse")
        }  # for triggers that change a key
        assert {name for name, oid in bound.items() if oid not in called} == set()
        assert len(bound) >= {"trigger": 7, "logical": 2}[capture_mode]  # fence and guards; capture's own with triggers


TEMPORARY = """
CREATE TEMPORARY TABLE users (id bigint, uuid_id uuid); CREATE TEMPORARY TABLE fence (tag bigint, generation bigint);
CREATE TEMPORARY TABLE sessions (id bigint, user_id bigint); CREATE TEMPORARY TABLE notes (id bigint)
"""


# Where capture begins.


def triggers(m: Driver, table: str) -> list[str]:
    rows = m.conn.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal ORDER BY 1", [f"public.{table}"]
    )
    return [r[0] for r in rows]


def test_prepare_waits_for_a_writer_in_flight(migrate: Migrate, database: Database, connect: Connect) -> None:
    """I3: given an open transaction that wrote, then capture does not begin before its end; what it wrote is copied,
    what comes after is queued."""
    m = migrate(database, SCHEMA, cutover={"lock_timeout_ms": 30_000})
    writer, watcher = connect(database.app), connect(database.superuser)
    writer.execute("BEGIN")
    writer.execute("INSERT INTO users (id, email) VALUES (800, 'in flight')")
    with background(m.prepare, writer.close) as prepared:
        assert wait_for_lock_wait(watcher, m.pid) == [writer.info.backend_pid]
        assert watcher.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.users'::regclass AND NOT tgisinternal"
        ).fetchone() == (0,)
        writer.execute("COMMIT")
        prepared.result()
    assert m.captured() == []
    writer.execute("UPDATE users SET secret = 'after' WHERE id = 800")
    assert m.captured() == [800]
    m.sync()
    m.assert_same()


@pytest.mark.parametrize("table", ["users", "sessions"])
def test_prepare_gives_up_after_its_budget(migrate: Migrate, database: Database, connect: Connect, table: str) -> None:
    """I2, I4: given a table that stays locked, then LockError (exit 4), each step there whole or not at all, and the
    application writes on; the next call finishes."""
    m = migrate(database, SCHEMA, cutover={"lock_timeout_ms": 20, "max_attempts": 3})
    writer, other = connect(database.app), connect(database.app)
    writer.execute("BEGIN")
    writer.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(sql.Identifier(table)))
    with pytest.raises(LockError, match=f"{table}.* 3 attempts of 20 ms") as raised:
        m.prepare()
    assert raised.value.exit_code == 4
    assert triggers(m, table) == []
    done = {r[0] for r in m.conn.execute("SELECT name FROM swap.step")}
    assert ("capture public.sessions" in done) == (triggers(m, "sessions") != []) == (table == "users")
    assert "capture" not in done  # the source comes last
    assert triggers(m, "users") == []
    assert m.journal.get(m.run.id).phase is Phase.PREPARING
    other.execute("INSERT INTO users (id, email) VALUES (900, 'meanwhile')")
    writer.execute("COMMIT")
    m.synced().assert_same()


def test_capture_on_the_example(migrate: Migrate, example: ExampleFactory, connect: Connect) -> None:
    """H6, I1: TRUNCATE … CASCADE through organizations, on the first user's own schema."""
    db = example("adopt", users=50)
    m = migrate(db, reference=[{"table": "public.audit_logs", "column": "actor_id", "where": "actor_type = 'User'"}]).synced()
    assert m.differences() == []
    owner = connect(db.owner)
    owner.execute("TRUNCATE organizations CASCADE")
    m.drain()
    assert m.conn.execute("SELECT count(*) FROM public.users_new").fetchone() == (0,)
    owner.execute("INSERT INTO organizations (id, name) VALUES (1, 'again')")
    owner.execute("INSERT INTO users (id, organization_id, email) VALUES (1, 1, 'again@example.org')")
    m.drain()
    assert m.differences() == []


@pytest.mark.both_modes
def test_capture_never_fails_on_a_full_range_of_keys(m: Driver, app: Session) -> None:
    """Keys at both ends of bigint, negative ones and 0."""
    for key in (-(2**63), -1, 0, 2**63 - 1):
        app.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [key, f"edge {key}"])
    assert m.captured() == [-(2**63), -1, 0, 2**63 - 1]
    m.drain(0)
    m.assert_same()


def test_a_session_that_was_connected_before_is_captured(migrate: Migrate, database: Database, connect: Connect) -> None:
    """Given a prepared statement with a cached plan, when capture begins, then its next execution is captured."""
    m = migrate(database, SCHEMA)
    early: psycopg.Connection[object] = connect(database.app)
    for n in range(3):
        early.execute("UPDATE users SET secret = %s WHERE id = 1", [str(n)], prepare=True)
    m.synced()
    m.forget()
    early.execute("UPDATE users SET secret = %s WHERE id = 1", ["3"], prepare=True)
    assert m.captured() == [1]
