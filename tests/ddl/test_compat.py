"""Compatibility columns: a release of the application that knows only the old uuid names works unchanged before the cutover, after it
and after a revert. Either name can be written. `finalize` drops them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

import cutover.run
from swap.core.errors import RefusedError
from tests.support.cycling import Cycle, doctor
from tests.support.dump import without_fence
from tests.support.migration import Session, install
from tests.support.operator import MakeOperator, operator
from tests.support.servers import Connect, Database, DatabaseServer

__all__ = ["operator"]
Start = Callable[[str], Cycle]
COMPAT = {"names": {"compat": True}}

FRESH = """
CREATE TABLE users (
    id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, boss_id bigint REFERENCES users ON DELETE SET NULL, slug text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, note text);
CREATE INDEX ON sessions (user_id);
CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, text text);
CREATE TABLE memberships (user_id bigint REFERENCES users, org_id int, text text, UNIQUE (org_id, user_id));
CREATE TABLE logs (id bigserial PRIMARY KEY, actor_id bigint REFERENCES users);
CREATE FUNCTION slug() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.slug := 'user-' || NEW.id; RETURN NEW; END $$;
CREATE TRIGGER slug BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION slug();
INSERT INTO users (email, boss_id) SELECT 'user' || n, nullif(n - 1, 0) FROM generate_series(1, 20) n;
INSERT INTO sessions (user_id) SELECT id FROM users; INSERT INTO profiles SELECT id FROM users;
INSERT INTO memberships SELECT id, 1 FROM users; INSERT INTO logs (actor_id) SELECT nullif(id, 3) FROM users;
"""
ADOPT = (
    FRESH
    + """
ALTER TABLE users ADD uuid_id uuid DEFAULT gen_random_uuid() NOT NULL UNIQUE;
ALTER TABLE sessions ADD user_uuid_id uuid;
UPDATE sessions s SET user_uuid_id = u.uuid_id FROM users u WHERE u.id = s.user_id AND u.id % 2 = 0;
CREATE INDEX by_uuid ON sessions (user_uuid_id) WHERE note IS NULL;
CREATE VIEW known AS SELECT uuid_id, email FROM users;
GRANT SELECT (uuid_id, email), INSERT (uuid_id, email) ON users TO app;
"""
)


@pytest.fixture
def start(server: DatabaseServer, database: Database) -> Iterator[Callable[[str], Cycle]]:
    """Factory: a schema with compat columns; its session is closed after the test."""
    made = []

    def begin(ddl: str) -> Cycle:
        made.append(Cycle(server, database, ddl, in_place=False, **COMPAT))
        return made[-1]

    yield begin
    for cycle in made:
        cycle.m.conn.close()


def old_release(app: Session) -> None:
    """The statements of the release that knows only the old uuid names, with the rows that it must see after each."""
    me, boss = uuid.uuid4(), uuid.uuid4()

    def one(statement: str, *args: Any) -> Any:
        row = app.execute(statement.encode(), args).fetchone()
        return row[0] if row else None

    for u in (me, boss):
        app.execute("INSERT INTO users (uuid_id, email) VALUES (%s, %s)", [u, f"{u}@x"])
    made = one("INSERT INTO users (email) VALUES (%s) RETURNING uuid_id", f"{uuid.uuid4()}@x")
    assert isinstance(made, uuid.UUID)
    assert one("SELECT slug IS NOT NULL FROM users WHERE uuid_id = %s", made)
    upsert = (
        "INSERT INTO users (uuid_id, email) VALUES (%s, %s) ON CONFLICT (uuid_id) DO UPDATE SET slug = 'again' RETURNING slug"
    )
    assert one(upsert, me, f"{me}@x") == "again"
    assert one("INSERT INTO sessions (user_uuid_id, note) VALUES (%s, 'mine') RETURNING user_uuid_id", me) == me
    app.execute("INSERT INTO profiles (user_uuid_id, text) VALUES (%s, 'a')", [me])
    profile = "INSERT INTO profiles (user_uuid_id, text) VALUES (%s, 'b') ON CONFLICT (user_uuid_id) DO UPDATE SET text = 'c' RETURNING text"
    assert one(profile, me) == "c"
    member = "INSERT INTO memberships (org_id, user_uuid_id) VALUES (7, %s) ON CONFLICT (org_id, user_uuid_id) DO UPDATE SET text = 'x' RETURNING text"
    assert one(member, me) is None
    assert one(member, me) == "x"
    log = one("INSERT INTO logs (actor_uuid_id) VALUES (%s) RETURNING id", me)
    assert one("UPDATE logs SET actor_uuid_id = %s WHERE id = %s RETURNING actor_uuid_id", boss, log) == boss
    assert one("SELECT u.email FROM logs l JOIN users u ON u.uuid_id = l.actor_uuid_id WHERE l.id = %s", log) == f"{boss}@x"
    assert one("UPDATE sessions SET user_uuid_id = %s WHERE user_uuid_id = %s RETURNING user_uuid_id", boss, me) == boss
    assert one("SELECT count(*) FROM sessions s JOIN users u ON u.uuid_id = s.user_uuid_id WHERE u.uuid_id = %s", boss) == 1
    with pytest.raises(errors.IntegrityError):
        app.execute("INSERT INTO sessions (user_uuid_id) VALUES (%s)", [uuid.uuid4()])
    with pytest.raises(errors.IntegrityError):
        app.execute("INSERT INTO sessions (note) VALUES ('nobody')")
    app.execute("DELETE FROM users WHERE uuid_id = %s", [made])


def new_release(app: Session) -> None:
    """The release that uses the new keys, after the cutover: the old names follow, and a contradiction is rejected."""
    me, other = uuid.uuid4(), uuid.uuid4()
    for u in (me, other):
        app.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [u, f"{u}@x"])
    app.execute("INSERT INTO users (id, uuid_id, email) VALUES (%s, %s, 'both')", [u := uuid.uuid4(), u])
    row = app.execute("INSERT INTO sessions (user_id) VALUES (%s) RETURNING user_uuid_id, id", [me]).fetchone()
    assert row is not None
    assert row[0] == me
    app.execute("UPDATE sessions SET user_id = %s WHERE id = %s", [other, row[1]])
    assert app.execute("SELECT user_uuid_id FROM sessions WHERE id = %s", [row[1]]).fetchone() == (other,)
    legacy = app.execute("SELECT legacy_id FROM users WHERE id = %s", [me]).fetchone()
    assert legacy is not None
    app.execute("UPDATE sessions SET user_legacy_id = %s WHERE id = %s", [legacy[0], row[1]])
    assert app.execute("SELECT user_uuid_id, user_id FROM sessions WHERE id = %s", [row[1]]).fetchone() == (me, me)
    for statement in (
        "INSERT INTO sessions (user_id, user_uuid_id) VALUES (%s, %s)",
        "INSERT INTO users (id, uuid_id, email) VALUES (%s, %s, 'torn')",
        f"UPDATE sessions SET user_id = %s, user_uuid_id = %s WHERE id = {row[1]} AND false OR user_uuid_id = '{me}'",
    ):
        with pytest.raises(errors.CheckViolation, match="two names of one key"):
            app.execute(statement.encode(), [other, uuid.uuid4()])
    app.execute("UPDATE logs SET actor_uuid_id = NULL")
    assert app.execute("SELECT count(actor_id), count(actor_legacy_id) FROM logs").fetchone() == (0, 0)


@pytest.mark.parametrize("ddl", [FRESH, ADOPT], ids=["fresh", "adopt"])
def test_the_old_names_hold_across_the_cycle(ddl: str, start: Start, database: Database, connect: Connect) -> None:
    """I1 for the old release: prepared, cut over, reverted, cut over again. Each time verified and dumped (H46)."""
    cycle = start(ddl)
    app = connect(database.app)
    cycle.m.prepare()
    cycle.m.sync()
    old_release(app)
    cycle.m.sync()
    cycle.verified()
    before = cycle.dump()
    for _ in range(2):
        assert cycle.exchange("cutover").outcome == "committed"
        old_release(app)
        new_release(app)
        cycle.m.sync()
        cycle.verified()
        equal = "SELECT count(*) FILTER (WHERE uuid_id IS DISTINCT FROM id OR boss_uuid_id IS DISTINCT FROM boss_id) FROM users"
        assert app.execute(equal.encode()).fetchone() == (0,)
        assert app.execute("SELECT count(*) FROM sessions WHERE user_uuid_id IS DISTINCT FROM user_id").fetchone() == (0,)
        app.execute("DELETE FROM users WHERE email = 'both'")
        cycle.m.sync()
        reverted_without_follow_up(cycle, app)
        assert without_fence(cycle.dump()) == without_fence(before)
        old_release(app)
        cycle.m.sync()
        cycle.verified()
    cycle.abort()
    assert cycle.dump() == cycle.original


def reverted_without_follow_up(cycle: Cycle, app: Session) -> None:
    """The old release goes on right after the commit, and the follow-up comes later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutover.run, "finish_exchange", lambda *args, **kwargs: None)
        assert cycle.exchange("revert").outcome == "committed"
    old_release(app)
    cycle.m.sync()


def test_they_go_at_finalize(start: Start, database: Database, connect: Connect) -> None:
    """The key has its default again. An object that still needs an old name is refused by name before (H45)."""
    cycle = start(ADOPT)
    cycle.ready()
    cycle.exchange("cutover")
    m, app, superuser = cycle.m, connect(database.app), connect(database.superuser)
    second = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'profiles'::regclass AND NOT indisprimary AND indisunique ORDER BY 1"
    assert superuser.execute(second).fetchall() == [
        ("profiles_pkey_3_compat",),
        ("profiles_pkey_legacy",),
        ("profiles_pkey_uuid_compat",),
    ]
    with pytest.raises(RefusedError, match=r"public\.users\.uuid_id: .*view public\.known"):
        m.finalize(drop_legacy=False)
    connect(database.owner).execute("DROP VIEW known")
    m.finalize(drop_legacy=False)
    assert superuser.execute(second).fetchall() == [("profiles_pkey_legacy",)]
    row = app.execute("INSERT INTO users (email) VALUES ('late') RETURNING id, legacy_id").fetchone()
    assert row is not None
    assert isinstance(row[0], uuid.UUID)
    app.execute("INSERT INTO sessions (user_id) VALUES (%s)", [row[0]])
    for table, column in (
        ("users", "uuid_id"),
        ("users", "boss_uuid_id"),
        ("sessions", "user_uuid_id"),
        ("logs", "actor_uuid_id"),
    ):
        with pytest.raises(psycopg.errors.UndefinedColumn):
            app.execute(sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(table)))
    left = connect(database.superuser).execute(
        "SELECT tgname FROM pg_trigger WHERE tgname ~ 'swap_(compat|twin)' UNION SELECT proname FROM pg_proc WHERE proname ~ '(compat|mirror)_'"
    )
    assert left.fetchall() == []


def test_a_taken_name_is_refused(database: Database) -> None:
    install(database, FRESH + "ALTER TABLE sessions ADD user_uuid_id_compat int")
    assert "public.sessions.user_uuid_id_compat" in {f.object for f in doctor(database, **COMPAT) if f.status == "blocker"}


def test_verify_finds_two_names_that_differ(start: Start, database: Database, connect: Connect) -> None:
    """I7: a row whose compat column holds something else, before the cutover and after it."""
    cycle = start(ADOPT)
    cycle.ready()
    superuser = connect(database.superuser)

    def planted(table: str, key: str, other: str, *triggers: str) -> None:
        names = {"table": sql.Identifier(table), "key": sql.Identifier(key), "other": sql.Identifier(other)}
        one = sql.SQL("UPDATE {table} SET {other} = gen_random_uuid() WHERE ctid = (SELECT min(ctid) FROM {table})")
        with superuser.transaction():
            for t in triggers:
                superuser.execute(sql.SQL("ALTER TABLE {table} DISABLE TRIGGER {t}").format(**names, t=sql.Identifier(t)))
            superuser.execute(one.format(**names))
            for t in triggers:
                superuser.execute(sql.SQL("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {t}").format(**names, t=sql.Identifier(t)))
        report = cycle.verify()
        assert report.verdict == "different"
        (check,) = [c for c in report.checks if c.name == "second_names"]
        assert check.status == "failed"
        assert f"public.{table}.{other}: " in check.detail
        superuser.execute(sql.SQL("UPDATE {table} SET {other} = {key}").format(**names))
        cycle.m.sync()
        cycle.verified()

    planted("sessions", "user_uuid_id", "user_uuid_id_compat", "~swap_twin_4")
    cycle.cutover()
    planted("users", "id", "uuid_id", "~swap_twin_0", "!swap_compat_0")
    planted("sessions", "user_id", "user_uuid_id", "~swap_twin_4", "!swap_compat_4")


def test_the_example_under_the_real_commands(operator: MakeOperator, connect: Connect) -> None:
    op = operator("adopt", users=60, settings="[names]\ncompat = true\n")
    op("doctor")
    op.ready()
    app = connect(op.db.superuser)
    query = sql.SQL("SELECT count(*) FROM users u JOIN sessions s ON s.user_uuid_id = u.uuid_id")
    before = app.execute(query).fetchone()
    op("cutover", "--yes", "--no-snapshot")
    assert app.execute(query).fetchone() == before
    assert op("verify").json["verdict"] == "identical"
    op("revert", "--yes")
    assert app.execute(query).fetchone() == before
    assert op("verify").json["verdict"] == "identical"
    op("abort", "--yes")
