"""`revert` under faults (H43, H44, I6): what stands in its way, what was written meanwhile, and a server that crashed
in the cutover's first moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.commands import RunningCli
from tests.support.migration import SLOW_DDL
from tests.support.operator import MakeOperator, Operator
from tests.support.proxy import Proxy
from tests.support.servers import Connect, DatabaseServer
from tests.support.waiting import wait_until
from tests.support.whole import MakeWhole

TRIES = "[cutover]\nmax_attempts = 2\nlock_timeout_ms = {}\nmax_lock_hold_ms = {}\n"
BORN = """
INSERT INTO users (email, organization_id) SELECT '{0}@x', min(id) FROM organizations;
INSERT INTO sessions (user_id, token) SELECT id, '{0}' FROM users WHERE email = '{0}@x'
"""


def write(conn: psycopg.Connection[Any], name: str) -> None:
    """A user and a session that the application makes."""
    conn.execute(BORN.format(name).encode())


def cut_over(op: Operator) -> None:
    op.ready()
    op("cutover", "--yes", "--no-snapshot")
    op("sync", "--once")
    assert op("verify").json["verdict"] == "identical"


@contextmanager
def a_reader(op: Operator) -> Iterator[str]:
    with psycopg.connect(op.db.superuser) as reader:
        reader.execute("SELECT count(*) FROM users")
        yield f"pid {reader.info.backend_pid}"


@contextmanager
def a_prepared_transaction(op: Operator) -> Iterator[str]:
    with psycopg.connect(op.db.superuser, autocommit=True) as session:
        session.execute("BEGIN; UPDATE sessions SET token = token WHERE id = 1; PREPARE TRANSACTION 'left over'")
        yield "prepared transaction left over holds a lock on public.sessions"
        session.execute("ROLLBACK PREPARED 'left over'")


@contextmanager
def a_slow_statement(op: Operator) -> Iterator[str]:
    """I2: DDL that waits, past `max_lock_hold_ms`, for a lock held elsewhere."""
    with psycopg.connect(op.db.superuser, autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(42)")
        session.execute(SLOW_DDL)
        yield "150 ms"
        session.execute("DROP EVENT TRIGGER slow")


OBSTACLES: dict[str, tuple[Callable[[Operator], Any], int, int]] = {
    "a reader": (a_reader, 500, 2000),
    "a prepared transaction": (a_prepared_transaction, 50, 2000),
    "a slow statement": (a_slow_statement, 5000, 150),
}


def test_what_stands_in_the_way_is_named_and_nothing_changes(operator: MakeOperator, connect: Connect) -> None:
    """H34, H44, I2: exit 4; the run is cut over as before, and what is written meanwhile goes back later."""
    op = operator(settings=TRIES.format(200, 2000))
    cut_over(op)
    source = op.config.read_text(encoding="utf-8").split("[cutover]")[0]
    app = connect(op.db.superuser)
    for name, (obstacle, lock_ms, hold_ms) in OBSTACLES.items():
        op.config.write_text(source + TRIES.format(lock_ms, hold_ms), encoding="utf-8")
        with obstacle(op) as said:
            assert said in op.refused("revert", "--yes", code=4)["message"], name
            write(app, name)
        status = op.status()
        attempt = status["last_attempt"]
        assert (status["phase"], status["revert"]["possible"]) == ("cut_over", True)
        assert (attempt["kind"], attempt["outcome"]) == ("revert", "rolled_back")
        assert status["pending_changes"] or status["lag_bytes"]
        op("sync", "--once")
        assert app.execute("SELECT count(*) FROM users_old WHERE email = %s", [f"{name}@x"]).fetchone() == (1,)
    op.config.write_text(source + TRIES.format(2000, 5000), encoding="utf-8")
    assert op("revert", "--yes").json["outcome"] == "committed"
    rows = app.execute(
        "SELECT s.token FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.email = s.token || '@x'"
    ).fetchall()
    assert {r[0] for r in rows} >= set(OBSTACLES)


def test_it_drains_what_reverse_has_not_replayed(operator: MakeOperator, connect: Connect) -> None:
    """H44: given `sync` is paused and thousands of changes wait, then revert takes them back itself, those of the last
    moment too; and the paused `sync` goes on forward when it is resumed."""
    op = operator(users=600)
    cut_over(op)
    following = op.start("sync")
    op("pause")
    following.wait_line("paused")
    app = connect(op.db.superuser)
    (before,) = app.execute("SELECT count(*) FROM users").fetchone() or (0,)
    for n in range(8):
        app.execute("UPDATE users SET login_count = 1000 + %s", [n])
    app.execute("DELETE FROM users WHERE legacy_id = 17")
    write(app, "late")
    wait_until(lambda: op.status()["pending_changes"] > 4000, what="they are in the queue")
    report = op("verify").json
    assert report["verdict"] == "identical"
    assert report["tables"][0]["pending"] > 500
    assert op("revert", "--yes").json["outcome"] == "committed"
    assert app.execute("SELECT count(*) FROM users WHERE login_count = 1007").fetchone() == (before - 1,)
    assert app.execute("SELECT count(*) FROM users WHERE id = 17").fetchone() == (0,)
    assert app.execute("SELECT count(*) FROM users u JOIN sessions s ON s.user_id = u.id WHERE token = 'late'").fetchone() == (1,)
    op("resume")
    wait_until(lambda: op.status()["pending_changes"] == 0, 30, "syncing forward")
    assert following.interrupt().code == 0
    assert op("verify").json["verdict"] == "identical"


def test_the_server_crashes_in_the_cutovers_first_moment(operator: MakeOperator, proxy: Proxy, server: DatabaseServer) -> None:
    """H44, I4, I6: COMMIT is done; the tool is killed before it knows, and the server crashes before anything followed.
    Capture was live: what is written from then on goes back."""
    op = operator(settings="[cutover]\nmax_attempts = 1\n")
    op.ready()
    through = f"postgresql://swap_owner@127.0.0.1:{proxy.port}/{op.db.dbname}"
    started: list[RunningCli] = []

    def end_both() -> None:
        wait_until(lambda: started)
        started[0].process.kill()
        server.crash()
        server.restart()

    proxy.meanwhile, proxy.cut = end_both, "after"
    started.append(op.cli.start("cutover", "--yes", "--no-snapshot", config=op.config, dsn=through))
    started[0].process.wait(30)
    wait_until(lambda: proxy.cuts == 1 and _answers(op), 30, "the server is back")
    assert op.status()["phase"] == "cut_over"
    with psycopg.connect(op.db.superuser, autocommit=True) as app:
        write(app, "first")
        assert "verification" in op.refused("revert", "--yes", code=3)["message"]
        assert op("verify").json["verdict"] == "identical"
        assert op("revert", "--yes").json["outcome"] == "committed"
        rows = app.execute("SELECT count(*) FROM users u JOIN sessions s ON s.user_id = u.id WHERE token = 'first'").fetchone()
    assert rows == (1,)
    op("sync", "--once")
    assert op("verify", "--method", "exact").json["verdict"] == "identical"


def _answers(op: Operator) -> bool:
    try:
        psycopg.connect(op.db.superuser).close()
    except psycopg.OperationalError:
        return False
    return True


SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, tenant int NOT NULL DEFAULT 1, email text UNIQUE,
    boss_id bigint REFERENCES users ON DELETE SET NULL, UNIQUE (tenant, id));
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, note text);
CREATE TABLE members (user_id bigint REFERENCES users ON DELETE CASCADE, org int, note text, PRIMARY KEY (user_id, org));
CREATE TABLE grants (id bigserial PRIMARY KEY, user_id bigint, org int, note text,
    FOREIGN KEY (user_id, org) REFERENCES members ON DELETE CASCADE);
CREATE TABLE places (id bigserial PRIMARY KEY, tenant int, keeper_id bigint, note text, UNIQUE (keeper_id, note),
    FOREIGN KEY (tenant, keeper_id) REFERENCES users (tenant, id) ON DELETE CASCADE);
CREATE TABLE logs (id bigserial PRIMARY KEY, actor_type text, actor_id bigint, note text);
INSERT INTO users (email, boss_id) SELECT 'u' || n, nullif(n / 2, 0) FROM generate_series(1, 8) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
INSERT INTO members SELECT id, 1 FROM users;
INSERT INTO grants (user_id, org) SELECT id, 1 FROM users;
INSERT INTO places (tenant, keeper_id, note) SELECT tenant, id, 'p' FROM users;
INSERT INTO logs (actor_type, actor_id) SELECT x, id FROM users, unnest(ARRAY['User', 'Robot']) x;
"""
AFTERWARDS = """
INSERT INTO users (email, boss_id) SELECT 'n' || n, (SELECT id FROM users WHERE email = 'u1') FROM generate_series(1, 3) n;
UPDATE users SET boss_id = (SELECT id FROM users WHERE email = 'n1') WHERE email IN ('n2', 'u5');
UPDATE users SET boss_id = id WHERE email = 'n3';
INSERT INTO sessions (user_id, note) SELECT id, email FROM users WHERE email ~ 'n|u2';
INSERT INTO members (user_id, org, note) SELECT id, 2, email FROM users WHERE email ~ 'n|u2';
INSERT INTO grants (user_id, org, note) SELECT id, 2, email FROM users WHERE email ~ 'n|u2';
INSERT INTO places (tenant, keeper_id, note) SELECT tenant, id, email FROM users WHERE email ~ 'n|u2';
INSERT INTO logs (actor_type, actor_uuid_id, note) SELECT 'User', id, email FROM users WHERE email ~ 'n|u2';
UPDATE sessions SET user_id = (SELECT id FROM users WHERE email = 'n1'), note = 'n1' WHERE note = 'u2';
UPDATE places SET keeper_id = NULL, note = NULL WHERE note = 'n2';
DELETE FROM logs l USING users u WHERE u.id = l.actor_uuid_id AND u.email IN ('u3', 'n3');
DELETE FROM users WHERE email IN ('u3', 'n3');
"""
WHOSE = """
SELECT 'sessions', t.note, u.email FROM sessions t JOIN users u ON u.id = t.user_id
UNION ALL SELECT 'members', t.note, u.email FROM members t JOIN users u ON u.id = t.user_id
UNION ALL SELECT 'grants', t.note, u.email FROM grants t JOIN users u ON u.id = t.user_id
UNION ALL SELECT 'places', t.note, u.email FROM places t JOIN users u ON u.id = t.keeper_id
UNION ALL SELECT 'logs', t.note, u.email FROM logs t JOIN users u
    ON u.id::text IN (t.actor_id::text, to_jsonb(t) ->> 'actor_uuid_id') AND t.actor_type = 'User'
UNION ALL SELECT 'users', u.email, b.email FROM users u JOIN users b ON b.id = u.boss_id
UNION ALL SELECT 'everybody', email, NULL FROM users
ORDER BY 1, 2, 3
"""


def test_rows_of_every_table_born_changed_and_deleted_after_the_cutover(whole: MakeWhole) -> None:
    """H43, I6: who refers to whom is the same by uuid before the revert, by integer after it, and by uuid again."""
    declared = [{"table": "public.logs", "column": "actor_id", "where": "actor_type = 'User'"}]
    one = whole(SCHEMA, reference=declared)
    one.exchange("cutover")
    one.query(AFTERWARDS, role="app")
    found = one.query(WHOSE)
    assert [r for r in found if r[:2] == ("sessions", "n1")] == [("sessions", "n1", "n1")] * 2
    assert [r for r in found if r[0] == "users" and r[2] == "n1"] == [("users", "n2", "n1"), ("users", "u5", "n1")]
    one.exchange("revert")
    one.assert_dump("cutover")
    assert one.query(WHOSE) == found
    one.query("INSERT INTO sessions (user_id, note) SELECT id, 'back' FROM users WHERE email = 'n2'", role="app")
    back = one.query(WHOSE)
    one.exchange("cutover")
    assert one.query(WHOSE) == back
    one.exchange("revert")
    one.abort()
    one.assert_dump("prepare")
    assert one.query(WHOSE) == back
