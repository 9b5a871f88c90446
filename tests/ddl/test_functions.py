"""Functions across the exchange: those that are bound are built again; open sessions compile the others again (H27)."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from swap.core.errors import LockError, RefusedError
from swap.doctor.examine import Finding
from tests.support.cycling import Start, doctor
from tests.support.migration import background, install
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, seen text);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
CREATE VIEW mails AS SELECT id, email FROM users;
"""
# Each returns the key of user 3 as text, in a way in which plpgsql remembers the type.
REMEMBERING = {
    "row": "DECLARE u users; BEGIN SELECT * INTO u FROM users WHERE email = 'user3'; RETURN u.id; END",
    "column": "DECLARE k users.id%TYPE; BEGIN SELECT id INTO k FROM users WHERE email = 'user3'; RETURN k; END",
    "record": "DECLARE r record; BEGIN FOR r IN SELECT * FROM users WHERE email = 'user3' LOOP PERFORM r.id; RETURN r.id; END LOOP; END",
    "through_view": "DECLARE r record; BEGIN SELECT * INTO r FROM mails WHERE email = 'user3'; RETURN r.id; END",
    "through_reference":
        "DECLARE k sessions.user_id%TYPE; BEGIN SELECT user_id INTO k FROM sessions WHERE id = 3; RETURN k; END",
}  # fmt: skip
# It names no table: only the trigger shows that it depends on one.
NAMELESS = """
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SET work_mem = '5MB' AS $$
BEGIN NEW.seen := 'of ' || NEW.user_id; RETURN NEW; END $$;
CREATE TRIGGER note BEFORE UPDATE OF seen ON sessions FOR EACH ROW EXECUTE FUNCTION note();
"""
# Every column of pg_proc except those of the row version.
AS_THEY_ARE = (
    "SELECT oid::regprocedure::text, to_jsonb(p) - 'oid' FROM pg_proc p WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
)


def remembering() -> str:
    create = (
        "CREATE FUNCTION {}_key() RETURNS text LANGUAGE plpgsql STABLE SET work_mem = '6MB' SET search_path = public AS $${}$$;"
    )
    return "\n".join(create.format(name, body) for name, body in REMEMBERING.items())


def key_of_user_3(conn: psycopg.Connection[tuple[str]]) -> str:
    row = conn.execute("SELECT id::text FROM users WHERE email = 'user3'").fetchone()
    assert row is not None
    return row[0]


def test_open_sessions_compile_again(start: Start, database: Database, connect: Connect) -> None:
    """A session that called them before the cutover can call them after it and after the revert. The functions do not change."""
    cycle = start(SCHEMA + remembering() + NAMELESS)
    cycle.ready()
    app = connect(database.app)

    def calls() -> set[str]:
        app.execute("UPDATE sessions SET seen = '' WHERE id = 3")
        seen = app.execute("SELECT substr(seen, 4) FROM sessions WHERE id = 3").fetchone()
        assert seen is not None
        found = {n: app.execute(sql.SQL("SELECT {}()").format(sql.Identifier(f"{n}_key"))).fetchone() for n in REMEMBERING}
        return {seen[0], *(str(row[0]) for row in found.values() if row)}

    before = app.execute(AS_THEY_ARE).fetchall()
    assert calls() == {"3"}
    cycle.cutover()
    assert calls() == {key_of_user_3(app)} != {"3"}
    assert app.execute(AS_THEY_ARE).fetchall() == before
    cycle.revert()
    assert calls() == {"3"}
    assert app.execute(AS_THEY_ARE).fetchall() == before


def test_open_sessions_find_the_new_function(start: Start, database: Database, connect: Connect) -> None:
    """No call reaches a function that was set aside: not by a plan of before, and not by its name in the state schema."""
    cycle = start(
        SCHEMA + "CREATE FUNCTION mail_of(u users) RETURNS text LANGUAGE sql STABLE AS 'SELECT u.email || pg_typeof(u.id)';"
        "CREATE FUNCTION everybody() RETURNS SETOF users LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT * FROM users; END';"
        "CREATE FUNCTION caller() RETURNS text LANGUAGE plpgsql AS"
        " 'DECLARE r text; BEGIN SELECT mail_of(e) INTO r FROM everybody() e WHERE e.email = ''user3''; RETURN r; END'",
    )
    cycle.ready()
    app = connect(database.app, prepare_threshold=0)
    calls = ["SELECT caller()", "SELECT mail_of(u) FROM users u WHERE email = 'user3'"]
    for expected, go in (("user3bigint", None), ("user3uuid", cycle.cutover), ("user3bigint", cycle.revert)):
        if go:
            go()
        assert [app.execute(c).fetchone() for c in calls] == [(expected,), (expected,)]
    cycle.cutover()
    kept = app.execute("SELECT proname::text FROM pg_proc p WHERE pronamespace = 'swap'::regnamespace AND proname ~ 'mail_of'")
    row = kept.fetchone()
    assert row is not None
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(sql.SQL("SELECT {}(NULL)").format(sql.Identifier("swap", row[0])))


def named(findings: list[Finding], status: str, part: str) -> list[Finding]:
    return [f for f in findings if f.status == status and part in f.object]


def test_a_function_of_somebody_else_may_be_accepted(start: Start, database: Database, connect: Connect) -> None:
    """It cannot be reset, and `doctor` names it. Once it is accepted, the cutover leaves it, and it works in a new session."""
    install(database, SCHEMA)
    admin = connect(database.superuser)
    create = sql.SQL("CREATE FUNCTION theirs() RETURNS text LANGUAGE plpgsql AS {}")
    admin.execute(create.format(sql.Literal(REMEMBERING["record"])))
    found = named(doctor(database), "blocker", "theirs")
    assert [f.label for f in found] == ["function:public.theirs()"]
    assert "belongs to postgres" in found[0].detail
    cycle = start("SELECT 1", accept={"findings": ["function:public.theirs()"]})
    cycle.ready()
    cycle.cutover()
    app = connect(database.app)
    assert app.execute("SELECT theirs()").fetchone() == (key_of_user_3(app),)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE FUNCTION late(u users) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION early(u users) RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'",
        "REVOKE ALL ON FUNCTION early FROM PUBLIC",
        "CREATE FUNCTION late() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM mails; END",
    ],
    ids=["created", "replaced", "grants", "over a view"],
)
def test_a_bound_function_that_changed_is_drift(start: Start, database: Database, connect: Connect, change: str) -> None:
    """H38: the exchange would build the functions of the plan, and leave the others on the retired table."""
    early = "CREATE FUNCTION early(u users) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    cycle = start(SCHEMA + early)
    cycle.ready()
    connect(database.owner).execute(change.encode())
    with pytest.raises(RefusedError, match="structure changed"):
        cycle.exchange("cutover")


@pytest.mark.parametrize("body", ["SELECT 1", "SELECT 2"], ids=["the same", "another"])
def test_a_bound_function_that_is_replaced_at_the_instant(start: Start, database: Database, connect: Connect, body: str) -> None:
    """H38: the exchange waits for an open CREATE OR REPLACE of a function that it is about to set aside. When that commits, the
    attempt fails, and for the next attempt the new text is drift, if it differs."""
    early = "CREATE FUNCTION early(u users) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    cycle = start(SCHEMA + early, cutover={"max_attempts": 9, "lock_timeout_ms": 20_000, "max_lock_hold_ms": 20_000})
    cycle.ready()
    owner = connect(database.owner, autocommit=False)
    owner.execute("SET LOCAL lock_timeout = '10s'")
    owner.execute(early.replace("CREATE", "CREATE OR REPLACE").replace("SELECT 1", body).encode())
    with background(lambda: cycle.exchange("cutover"), owner.commit) as running:
        wait_for_lock_wait(connect(database.superuser), cycle.m.pid)
        owner.commit()
        if body == "SELECT 1":
            assert running.result(60).attempts > 1
        else:
            error = running.exception(60)
            assert isinstance(error, RefusedError)
            assert "early" in error.message


def test_a_function_that_is_being_replaced_is_waited_for(start: Start, database: Database, connect: Connect) -> None:
    """H34: an open CREATE OR REPLACE blocks the reset. The attempt fails as for a lock, and a later one succeeds."""
    cycle = start(SCHEMA + remembering(), cutover={"max_attempts": 2, "lock_timeout_ms": 50})
    cycle.ready()
    release = connect(database.owner, autocommit=False)
    replace = sql.SQL("CREATE OR REPLACE FUNCTION row_key() RETURNS text LANGUAGE plpgsql AS {}")
    release.execute(replace.format(sql.Literal(REMEMBERING["row"])))
    with pytest.raises(LockError):
        cycle.exchange("cutover")
    release.commit()
    release.execute(replace.format(sql.Literal(REMEMBERING["row"] + " ")))
    cycle.be_patient()
    with background(cycle.cutover, release.commit) as running:
        wait_for_lock_wait(connect(database.superuser), cycle.m.pid)
        release.commit()
        assert running.result(60).attempts > 1, "tuple concurrently updated"
