"""The example application and its load, with which other tests measure.

A check that never finds anything proves nothing. So each kind of damage that `check` must find is done here by hand. The cutover here
is emulated, without the tool: it shows that the load follows the shape of the tables.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from swap.demo import app
from swap.demo.ledger import Changes, Ledger, Uncertain
from swap.demo.load import Load, check, visible_to_app
from swap.demo.shape import detect
from tests.support.emulation import Emulation
from tests.support.servers import Connect, Database, DatabaseServer, ExampleFactory, Execute, Variant
from tests.support.waiting import wait_for_lock_wait, wait_until

Connection = psycopg.Connection[Any]
VARIANTS: tuple[Variant, ...] = ("adopt", "fresh")
OF_THE_LOAD: LiteralString = " WHERE datname = current_database() AND application_name LIKE 'load %'"


def value(conn: Connection, query: LiteralString) -> Any:
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_installs_what_it_says(example: ExampleFactory, connect: Connect, variant: Variant) -> None:
    conn = connect(example(variant).owner)
    assert value(conn, "SELECT count(*) FROM users") == 500
    assert value(conn, "SELECT array_agg(id ORDER BY id) FROM users WHERE id < 3") == [-7, 0, 1, 2]
    assert value(conn, "SELECT count(*) FROM users WHERE id = 50") == 0, "one key of 50 is missing"
    assert value(conn, "SELECT nextval('users_id_seq') > max(id) FROM users")
    assert value(conn, "SELECT max(pg_column_size(bio)) > 4000 FROM users"), "some are stored out of line"
    assert value(conn, "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass") == (6 if variant == "adopt" else 5)
    assert value(conn, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attisdropped") == 1
    assert value(conn, "SELECT bool_and(reltuples > 0) FROM pg_class WHERE relname IN ('users', 'sessions')")
    orphans: dict[LiteralString, LiteralString] = {
        "sessions": "user_id",
        "api_access_tokens": "user_id",
        "partner_applications": "created_by_user_id",
        "user_roles": "user_id",
        "users": "invited_by_id",
    }
    for table, column in orphans.items():
        query = sql.SQL("SELECT count(*) FROM {t} c WHERE {c} IS NOT NULL AND {c} NOT IN (SELECT id FROM users)")
        found = conn.execute(query.format(t=sql.Identifier(table), c=sql.Identifier("c", column))).fetchone()
        assert found == (0,), f"{table} was filled without foreign key checks"


def test_fresh_has_no_uuid_anywhere(example: ExampleFactory, connect: Connect) -> None:
    conn = connect(example("fresh").owner)
    of_type_uuid = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND udt_name = 'uuid'"
    assert value(conn, of_type_uuid) == 0


def test_adopt_is_imperfect_in_the_ways_it_says(example: ExampleFactory, connect: Connect) -> None:
    """H19: some references have no uuid, none contradicts its integer, and one foreign key is not validated."""
    conn = connect(example("adopt").owner)
    missed = "SELECT count(*) FILTER (WHERE user_uuid_id IS NULL)::float / count(*) FROM sessions"
    assert 0.05 <= value(conn, missed) <= 0.1
    contradicting = (
        "SELECT count(*) FROM users u JOIN (SELECT user_id, user_uuid_id FROM sessions"
        " UNION ALL SELECT user_id, user_uuid_id FROM api_access_tokens"
        " UNION ALL SELECT created_by_user_id, created_by_user_uuid_id FROM partner_applications) c"
        " ON u.id = c.user_id AND u.uuid_id <> c.user_uuid_id"
    )
    assert value(conn, contradicting) == 0
    unvalidated = "SELECT array_agg(conname::text) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"
    assert value(conn, unvalidated) == ["api_access_tokens_user_uuid_id_fkey"]


def test_roles_have_the_rights_of_an_application_and_its_owner(
    example: ExampleFactory, server: DatabaseServer, connect: Connect
) -> None:
    database = example("adopt")
    conn = connect(server.conninfo(database.dbname))
    rights = "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname IN ('app', 'swap_owner')"
    assert sorted(conn.execute(rights)) == [("app", True, False, False), ("swap_owner", True, False, False)]
    foreign = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> %s::regrole"
    assert conn.execute(foreign, (app.OWNER,)).fetchone() == (0,)
    assert value(connect(database.app), "SELECT count(*) FROM users") == 0, "row security filters the application"
    assert value(connect(database.owner), "SELECT count(*) FROM users") == 500


def test_the_same_seed_gives_the_same_data(
    example: ExampleFactory, database: Database, server: DatabaseServer, connect: Connect
) -> None:
    sums = []
    app.install(database.superuser, "adopt", users=500, seed=1)
    for made in (database, example("adopt", users=500, seed=1), example("adopt", users=500, seed=2)):
        conn = connect(server.conninfo(made.dbname))
        sums.append(value(conn, "SELECT sum(hashtextextended(u::text, 0)::numeric) FROM users u"))
    assert sums[0] == sums[1] != sums[2]


def test_installs_into_several_databases_at_once(server: DatabaseServer, admin: Execute, database_names: Iterator[str]) -> None:
    """The databases of a cluster share its roles and the right to SET a parameter."""
    names = [next(database_names) for _ in range(4)]
    ready = threading.Barrier(len(names))

    def install(name: str) -> None:
        ready.wait()
        app.install(server.conninfo(name), "adopt", users=20)

    for name in names:
        admin(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(install, names))
    finally:
        for name in names:
            admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_load_keeps_its_promises_when_nothing_is_migrated(example: ExampleFactory, variant: Variant) -> None:
    database = example(variant)
    with Load(database.app, workers=4) as load:
        load.wait_for(500)
        between = check(database.owner, load)
        load.wait_for(100)
    stats = load.stats()
    report = check(database.owner, load)
    assert between.ok, between.details
    assert report.ok, report.details
    assert stats.errors == ()
    assert stats.reshaped == stats.stale_reads == stats.reconnected == 0
    assert report.acknowledged == stats.acknowledged > between.acknowledged
    assert stats.transactions >= 600
    assert stats.longest_stall_ms > 0


def test_one_load_after_another_in_one_database(example: ExampleFactory) -> None:
    database = example("fresh")
    for _ in range(2):
        with Load(database.app, workers=2) as load:
            load.wait_for(50)
        report = check(database.owner, load)
        assert report.ok, report.details


def test_pause_leaves_no_transaction_open(example: ExampleFactory, connect: Connect) -> None:
    database = example("fresh")
    conn = connect(database.superuser)
    busy = "SELECT count(*) FROM pg_stat_activity" + OF_THE_LOAD + " AND state <> 'idle'"
    with Load(database.app, workers=3) as load:
        load.wait_for(30)
        load.pause()
        before = load.stats()
        assert wait_until(lambda: value(conn, busy) == 0, what="every session is idle")
        assert load.stats() == before
        with pytest.raises(TimeoutError):
            load.wait_for(1, timeout=0.1)
        load.resume()
        load.wait_for(30)


def test_stop_does_not_wait_for_a_lock(example: ExampleFactory, connect: Connect) -> None:
    database = example("fresh")
    owner, observer = connect(database.owner), connect(database.superuser)
    load = Load(database.app, workers=3).start()
    load.wait_for(30)
    pid = "SELECT pid FROM pg_stat_activity" + OF_THE_LOAD + " ORDER BY pid LIMIT 1"
    with owner.transaction():
        owner.execute("LOCK TABLE users")
        wait_for_lock_wait(observer, value(observer, pid))
        load.stop()  # the table is free after this block only
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("load ")]
    report = check(database.owner, load)
    assert report.ok, report.details


def test_rate_is_kept(example: ExampleFactory) -> None:
    with Load(example("fresh").app, workers=2, rate=50) as load:
        began = time.monotonic()
        load.wait_for(30)
        assert time.monotonic() - began > 0.4


def test_wait_for_says_why_it_waits_in_vain(example: ExampleFactory, connect: Connect) -> None:
    database = example("fresh")
    with Load(database.app, workers=2) as load:
        load.wait_for(20)
        connect(database.owner).execute("REVOKE ALL ON users FROM app")
        with pytest.raises(TimeoutError, match="permission denied for table users"):
            load.wait_for(10_000, timeout=2)
    assert "permission denied for table users" in load.stats().errors[0]


def test_survives_its_sessions_and_the_server(example: ExampleFactory, connect: Connect, server: DatabaseServer) -> None:
    """H37: what was acknowledged before the crash is there. For the rest the worker asks the server."""
    database = example("adopt")
    conn = connect(database.superuser)
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity" + OF_THE_LOAD
    with Load(database.app, workers=4) as load:
        for _ in range(5):
            load.wait_for(30)
            assert value(conn, kill) > 0
        load.wait_for(30)
        server.crash()
        server.restart()
        load.wait_for(100)
    report = check(database.owner, load)
    assert report.ok, report.details
    assert load.stats().errors == ()
    assert load.stats().reconnected > 0


def test_a_commit_whose_acknowledgement_was_lost_is_asked_for(example: ExampleFactory, connect: Connect, admin: Execute) -> None:
    """H37: a COMMIT that is durable already waits for a standby that does not exist. The session is ended at that moment."""
    database = example("fresh")
    conn = connect(database.superuser)
    waiting = "SELECT count(*) FROM pg_stat_activity" + OF_THE_LOAD + " AND wait_event = 'SyncRep'"
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity" + OF_THE_LOAD
    with Load(database.app, workers=3) as load:
        load.wait_for(60)
        admin(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = 'nobody'"))
        admin(sql.SQL("SELECT pg_reload_conf()"))
        try:
            wait_until(lambda: value(conn, waiting) == 3, what="every worker waits in its COMMIT")
            assert value(conn, kill) == 3
        finally:
            admin(sql.SQL("ALTER SYSTEM RESET synchronous_standby_names"))
            admin(sql.SQL("SELECT pg_reload_conf()"))
        load.wait_for(60)
    report = check(database.owner, load)
    assert report.ok, report.details
    assert load.stats().reconnected >= 3
    assert load.stats().errors == ()


@pytest.mark.parametrize("committed", [True, False])
def test_the_server_knows_what_became_of_a_transaction(example: ExampleFactory, connect: Connect, committed: bool) -> None:
    database = example("fresh")
    conn, other = connect(database.owner), connect(database.owner)
    conn.execute("BEGIN")
    xid = value(conn, "SELECT pg_current_xact_id()::text")
    ledger = Ledger(uncertain=Uncertain(xid, Changes(writes=3)))
    assert ledger.resolve(other) is None, "in progress"
    conn.execute("COMMIT" if committed else "ROLLBACK")
    assert ledger.resolve(other) is committed
    assert ledger.acknowledged == (3 if committed else 0)


BY_HAND: dict[str, tuple[str, LiteralString]] = {
    "a lost user": ("lost", "DELETE FROM users WHERE email = {user}"),
    "a lost session": ("lost", "DELETE FROM sessions WHERE token = {session}"),
    "a lost change": ("mismatched", "UPDATE users SET balance = balance + 0.01 WHERE email = {user}"),
    "another scale": ("mismatched", "UPDATE users SET score = coalesce(score, 0) * 1.0 WHERE email = {user}"),
    "NULL for empty": ("mismatched", "UPDATE users SET tags = '{{x,NULL}}' WHERE email = {user}"),
    "a byte out of line": (
        "mismatched",
        "UPDATE users SET bio = coalesce(overlay(bio PLACING '~' FROM 1000), '~') WHERE email = {user}",
    ),
    "another session": ("mismatched", "UPDATE sessions SET data = '{{}}' WHERE token = {session}"),
    "a row twice": (
        "duplicated",
        (
            "INSERT INTO audit_logs (actor_type, actor_id, action, request_id)"
            " SELECT actor_type, actor_id, action, request_id FROM audit_logs WHERE request_id = {audit}"
        ),
    ),
    "a deleted row back": (
        "unexpected",
        "INSERT INTO users (organization_id, email) SELECT 1, split_part({user}, '@', 1) || '-ghost@x.org'",
    ),
    "another owner": (
        "mismapped",
        ("UPDATE sessions SET user_id = (SELECT min(id) FROM users WHERE id > 0), user_uuid_id = NULL WHERE token = {session}"),
    ),
    "two owners": (
        "mismapped",
        "UPDATE sessions SET user_uuid_id = (SELECT uuid_id FROM users WHERE id = 1) WHERE token = {session}",
    ),
    "two owners of a seeded row": (
        "mismapped",
        "UPDATE sessions SET user_uuid_id = (SELECT uuid_id FROM users WHERE id = 2) WHERE user_id = 1",
    ),
    "another key": ("mismapped", "UPDATE users SET uuid_id = gen_random_uuid() WHERE email = {childless}"),
    "another inviter": ("mismapped", "UPDATE users SET invited_by_id = -7 WHERE email = {user}"),
    "an actor gone": (
        "mismapped",
        "UPDATE audit_logs SET actor_id = actor_id + 1 WHERE request_id = {audit}",
    ),
    "a seeded row lost": ("lost", "DELETE FROM user_roles WHERE user_id = 1"),
    "a seeded row changed": ("mismatched", "UPDATE users SET score = score WHERE id = 1"),  # updated_at
    "a seeded row moved": (
        "mismapped",
        "UPDATE user_roles SET user_id = 50 WHERE user_id = 2 AND role = 'member'",
    ),
}


@pytest.mark.parametrize("damage", BY_HAND)
def test_check_finds(damage: str, example: ExampleFactory, connect: Connect) -> None:
    kind, statement = BY_HAND[damage]
    database = example("adopt", users=100)
    conn = connect(database.superuser)
    with Load(database.app, workers=1) as load:
        load.wait_for(150)
    assert check(database.owner, load).ok
    # A user to which a reference can be moved. By its name it is no seeded row.
    conn.execute("INSERT INTO users (id, organization_id, email) VALUES (50, 1, 'w9-00000000-x@example.com')")
    owned = {
        "user": "SELECT email FROM users u JOIN sessions s ON s.user_id = u.id WHERE email LIKE %s LIMIT 1",
        "childless": (
            "SELECT email FROM users WHERE email LIKE %s AND id NOT IN (SELECT user_id FROM sessions"
            " UNION ALL SELECT user_id FROM api_access_tokens UNION ALL SELECT created_by_user_id"
            " FROM partner_applications WHERE created_by_user_id IS NOT NULL) LIMIT 1"
        ),
        "session": "SELECT token FROM sessions WHERE token LIKE %s LIMIT 1",
        "audit": "SELECT request_id FROM audit_logs WHERE request_id LIKE %s AND actor_id > 0 LIMIT 1",
    }
    names = {}
    for name, query in owned.items():
        row = conn.execute(query.encode(), (f"{load.names[0]}-%",)).fetchone()
        assert row is not None, name
        names[name] = sql.Literal(row[0])
    assert conn.execute(sql.SQL(statement).format(**names)).rowcount > 0
    report = check(database.owner, load)
    assert not report.ok
    assert getattr(report, kind) >= 1, report
    assert any(detail.startswith(f"{kind}: ") for detail in report.details)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_load_follows_the_shape_of_the_tables(example: ExampleFactory, connect: Connect, variant: Variant) -> None:
    """I1: in every phase, forwards, back and forwards again, the load goes on and no write is lost."""
    database = example(variant)
    conn = connect(database.superuser)
    seen = {key: visible_to_app(database.app, key) for key in (-7, 0, 1, 2, 50)}
    assert seen[1].emails == ("User3@example.com",)
    assert len(seen[1].session_tokens) == 1
    assert seen[50] == ((), ())
    # In adopt, audit_logs becomes a uuid too; in fresh it was not declared, and stays an integer.
    emulation = Emulation(conn, undeclared=None if variant == "adopt" else "audit_logs")
    with Load(database.app, workers=4) as load:
        steps = [
            emulation.prepare,
            emulation.cut_over,
            emulation.revert,
            emulation.cut_over,
            emulation.revert,
        ]
        load.wait_for(200)
        for step in steps:
            step()
            load.wait_for(200)
            report = check(database.owner, load)
            assert report.ok, (step.__name__, report.details)
            assert {key: visible_to_app(database.app, key) for key in seen} == seen
            assert detect(conn).key.is_uuid == (step == emulation.cut_over)
    stats = load.stats()
    assert stats.errors == ()
    assert stats.reshaped >= 4, "each exchange of names met statements in the former shape"
    assert check(database.owner, load).ok


def test_what_an_old_snapshot_hides_is_stale_and_not_lost(example: ExampleFactory, connect: Connect) -> None:
    """H36: a table that was filled a moment ago looks empty to older snapshots, after a rename as after an
    ALTER TABLE that rewrites (PostgreSQL, Concurrency Control, Caveats); READ COMMITTED sees every row.
    """
    database = example("fresh", users=100)
    conn, observer = connect(database.superuser), connect(database.superuser)
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted"
    with Load(database.app, workers=3) as load:
        load.wait_for(100)
        for _ in range(50):
            with conn.transaction():
                conn.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                wait_until(lambda: value(observer, waiting) == 3, what="every worker waits, with a snapshot")
                conn.execute("ALTER TABLE users ALTER COLUMN login_count TYPE integer USING login_count + 0")
            load.wait_for(9)
            if load.stats().stale_reads:
                break
    assert load.stats().stale_reads > 0
    assert load.stats().errors == ()
    report = check(database.owner, load)
    assert report.ok, report.details


def test_a_row_that_read_committed_does_not_find_is_lost(example: ExampleFactory, connect: Connect) -> None:
    database = example("fresh", users=100)
    with Load(database.app, workers=1) as load:
        load.wait_for(50)
        load.pause()
        connect(database.superuser).execute("DELETE FROM users WHERE email LIKE %s", (f"{load.names[0]}-%",))
        load.resume()
        wait_until(lambda: load.stats().errors, what="the worker misses a row")
    assert "WrongRow" in load.stats().errors[0]
    assert check(database.owner, load).lost > 0
