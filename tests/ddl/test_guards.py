"""Guards (H19 to H21): the two keys of a reference stay together, and the application meets no new error (I1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple

import psycopg
import pytest
from psycopg import errors, sql

from tests.support.migration import Driver, Migrate, Session, Synced, in_place, migrations
from tests.support.servers import Connect, Database, ExampleFactory

SESSIONS, APPS = in_place("sessions", "user_id"), in_place("apps", "creator_id")
AUDIT = {"table": "public.audit_logs", "column": "actor_id", "where": "actor_type = 'User'"}

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, uuid_id uuid UNIQUE DEFAULT gen_random_uuid());
CREATE TABLE sessions (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL CONSTRAINT sessions_of_user REFERENCES users ON DELETE CASCADE,
    note text);
CREATE INDEX ON sessions (user_id);
CREATE TABLE apps (
    id bigserial PRIMARY KEY, creator_id bigint REFERENCES users ON DELETE SET NULL,
    creator_uuid_id uuid CONSTRAINT apps_by_uuid REFERENCES users (uuid_id) ON DELETE SET NULL, note text);
CREATE INDEX ON apps (creator_id);
CREATE TABLE audit_logs (id bigserial PRIMARY KEY, actor_type text, actor_id bigint, note text);
INSERT INTO users (id, email) SELECT n, 'user' || n FROM generate_series(1, 6) n;
SELECT setval('users_id_seq', 100);
INSERT INTO sessions (user_id) SELECT n FROM generate_series(1, 6) n;
INSERT INTO apps (creator_id, creator_uuid_id) SELECT id, CASE WHEN id <> 3 THEN uuid_id END FROM users ORDER BY id;
INSERT INTO audit_logs (actor_type, actor_id) VALUES ('User', 1), ('System', NULL), ('Client', 2), ('User', 999);
"""


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture(params=["prepared", "synced"])
def m(synced: Synced, database: Database, request: pytest.FixtureRequest) -> Driver:
    """After `prepare` and `sync`: the guards exist from `prepare` on, and the NOT NULL checks from `sync` on."""
    return synced(database, SCHEMA, prepared=request.param == "prepared", reference=[SESSIONS, APPS, AUDIT])


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


def uuid_of(app: Session, key: int) -> Any:
    row = app.execute("SELECT uuid_id FROM users WHERE id = %s", [key]).fetchone()
    assert row is not None
    return row[0]


def pair(app: Session, row: int = 1, table: LiteralString = "apps") -> tuple[Any, Any]:
    """Of one row: (its integer, the integer of the user that its uuid names)."""
    column: LiteralString = "creator" if table == "apps" else "user"
    text: LiteralString = (
        "SELECT r."
        + column
        + "_id, u.id FROM "
        + table
        + " r LEFT JOIN users u ON u.uuid_id = r."
        + column
        + "_uuid_id WHERE r.id = %s"
    )
    found = app.execute(text, [row]).fetchone()
    assert found is not None
    return found[0], found[1]


class Refused(NamedTuple):
    sqlstate: str | None
    constraint: str | None


def refused(execute: Callable[[], object]) -> Refused:
    with pytest.raises(psycopg.Error) as raised:
        execute()
    return Refused(raised.value.sqlstate, raised.value.diag.constraint_name)


# INSERT.


def test_insert_with_either_side_or_both(m: Driver, app: Session) -> None:
    """H20: integer only, uuid only, both consistent, neither."""
    u2 = uuid_of(app, 2)
    insert: LiteralString = "INSERT INTO apps (id, creator_id, creator_uuid_id) VALUES (%s, %s, %s)"
    app.execute(insert, [50, 2, None])
    app.execute(insert, [51, None, u2])
    app.execute(insert, [52, 2, u2])
    app.execute(insert, [53, None, None])
    assert [pair(app, n) for n in (50, 51, 52, 53)] == [(2, 2), (2, 2), (2, 2), (None, None)]
    app.execute("INSERT INTO sessions (id, user_uuid_id) VALUES (50, %s)", [u2])
    assert pair(app, 50, "sessions") == (2, 2)


def test_insert_of_a_contradiction_is_refused(m: Driver, app: Session) -> None:
    """H20, I1: the only new error, 23514 with the names. Nothing is stored."""
    count = sql.SQL("SELECT count(*) FROM {} WHERE id = 60")
    for table, columns in (("apps", "creator_id, creator_uuid_id"), ("sessions", "user_id, user_uuid_id")):
        text = f"INSERT INTO {table} (id, {columns}) VALUES (60, 2, '{uuid_of(app, 3)}')"
        assert refused(lambda text=text: app.execute(text.encode())) == ("23514", "swap_guard")  # type: ignore[misc]
        assert app.execute(count.format(sql.Identifier(table))).fetchone() == (0,)


# UPDATE.


def test_update_follows_the_side_that_changed(m: Driver, app: Session) -> None:
    """H20."""
    app.execute("UPDATE apps SET creator_id = 2 WHERE id = 1")
    assert pair(app) == (2, 2)
    app.execute("UPDATE apps SET creator_uuid_id = %s WHERE id = 1", [uuid_of(app, 4)])
    assert pair(app) == (4, 4)
    app.execute("UPDATE apps SET creator_id = 5, creator_uuid_id = %s WHERE id = 1", [uuid_of(app, 5)])
    assert pair(app) == (5, 5)
    app.execute("UPDATE apps SET note = 'unrelated' WHERE id = 1")
    assert pair(app) == (5, 5)
    app.execute("UPDATE sessions SET user_uuid_id = %s WHERE id = 1", [uuid_of(app, 4)])
    assert pair(app, 1, "sessions") == (4, 4)


def test_update_to_a_contradiction_is_refused(m: Driver, app: Session) -> None:
    """H20."""
    u3 = uuid_of(app, 3)
    assert refused(lambda: app.execute("UPDATE apps SET creator_id = 2, creator_uuid_id = %s WHERE id = 1", [u3])) == (
        "23514",
        "swap_guard",
    )
    assert pair(app) == (1, 1)


def test_update_to_null(m: Driver, app: Session) -> None:
    """H20: before the cutover the integer leads; a uuid that alone is set to NULL is filled again."""
    app.execute("UPDATE apps SET creator_id = NULL WHERE id = 1")
    assert pair(app) == (None, None)
    app.execute("UPDATE apps SET creator_id = NULL, creator_uuid_id = NULL WHERE id = 2")
    assert pair(app, 2) == (None, None)
    app.execute("UPDATE apps SET creator_uuid_id = NULL WHERE id = 4")
    assert pair(app, 4) == (4, 4)


def test_update_of_an_incomplete_pair_completes_it(m: Driver, app: Session) -> None:
    """H19: any update of a row fills the uuid that an incomplete dual write left out."""
    app.execute("UPDATE apps SET note = 'touched' WHERE id = 3")
    assert pair(app, 3) == (3, 3)


def test_delete_arrives_through_the_constraint(m: Driver, app: Session) -> None:
    """H20: ON DELETE SET NULL reaches both columns, and CASCADE works."""
    app.execute("DELETE FROM users WHERE id IN (1, 3)")
    assert pair(app, 1) == (None, None)
    assert pair(app, 3) == (None, None)
    assert app.execute("SELECT count(*) FROM sessions WHERE user_id IN (1, 3)").fetchone() == (0,)


def test_a_reference_to_nobody_gets_the_foreign_keys_own_error(m: Driver, app: Session) -> None:
    """H20, I1: the same SQLSTATE and constraint as without swap, whichever column names no user."""
    nobody = "00000000-0000-4000-8000-000000000000"
    assert refused(lambda: app.execute("INSERT INTO sessions (user_id) VALUES (999)")) == ("23503", "sessions_of_user")
    assert refused(lambda: app.execute("UPDATE sessions SET user_id = 999 WHERE id = 1")) == ("23503", "sessions_of_user")
    assert refused(lambda: app.execute("INSERT INTO apps (creator_id) VALUES (999)")) == ("23503", "apps_creator_id_fkey")
    assert refused(lambda: app.execute("UPDATE apps SET creator_id = 999 WHERE id = 1")) == ("23503", "apps_creator_id_fkey")
    assert refused(lambda: app.execute("INSERT INTO apps (creator_uuid_id) VALUES (%s)", [nobody])) == ("23503", "apps_by_uuid")
    assert refused(lambda: app.execute("UPDATE apps SET creator_uuid_id = %s WHERE id = 1", [nobody])) == (
        "23503",
        "apps_by_uuid",
    )


ADOPTED_NOT_NULL = """
CREATE TABLE users (id bigserial PRIMARY KEY, uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid());
CREATE TABLE sessions (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users,
    user_uuid_id uuid CONSTRAINT sessions_by_uuid REFERENCES users (uuid_id));
INSERT INTO users VALUES (1), (2);
INSERT INTO sessions (user_id) VALUES (1);
"""


def test_a_uuid_that_names_nobody_beside_a_required_integer(migrate: Migrate, database: Database, connect: Connect) -> None:
    """H20, I1: an adopted uuid column with a foreign key of its own raises the same error as before."""
    migrate(database, ADOPTED_NOT_NULL, reference=[SESSIONS]).synced()
    app = connect(database.app)
    update: LiteralString = "UPDATE sessions SET user_uuid_id = '00000000-0000-4000-8000-000000000000'"
    assert refused(lambda: app.execute(update)) == ("23503", "sessions_by_uuid")
    assert app.execute("SELECT user_id FROM sessions").fetchall() == [(1,)]


# References with a condition.


def actors(app: Session) -> list[tuple[Any, ...]]:
    return app.execute(
        "SELECT a.actor_type, a.actor_id, u.id FROM audit_logs a LEFT JOIN users u ON u.uuid_id = a.actor_uuid_id"
        " WHERE a.note IS NOT NULL ORDER BY a.note"
    ).fetchall()


def test_a_polymorphic_reference(m: Driver, app: Session) -> None:
    """H24: only rows of the declared kind get a uuid. One that names no user gets none, and is no error."""
    app.execute(
        "INSERT INTO audit_logs (actor_type, actor_id, note) VALUES"
        " ('User', 2, 'a'), ('Client', 2, 'b'), ('User', 999, 'c'), ('System', NULL, 'd'), (NULL, 2, 'e')"
    )
    assert actors(app) == [("User", 2, 2), ("Client", 2, None), ("User", 999, None), ("System", None, None), (None, 2, None)]
    app.execute("UPDATE audit_logs SET actor_id = 4 WHERE note IN ('a', 'b', 'c')")
    assert actors(app)[:3] == [("User", 4, 4), ("Client", 4, None), ("User", 4, 4)]
    app.execute("UPDATE audit_logs SET actor_type = 'User' WHERE note = 'b'")
    assert actors(app)[1] == ("User", 4, 4)


def test_a_polymorphic_row_that_changes_its_kind_twice(m: Driver, app: Session) -> None:
    """H19, H24: given a row of a user that becomes a client's and gets another integer there, when it is a user's again, then it
    has that user's uuid."""
    app.execute("INSERT INTO audit_logs (actor_type, actor_id, note) VALUES ('User', 2, 'a')")
    app.execute("UPDATE audit_logs SET actor_type = 'Client' WHERE note = 'a'")
    app.execute("UPDATE audit_logs SET actor_id = 5 WHERE note = 'a'")
    app.execute("UPDATE audit_logs SET actor_type = 'User' WHERE note = 'a'")
    assert actors(app) == [("User", 5, 5)]


# The identity column.


def test_the_identity_never_changes(m: Driver, app: Session) -> None:
    """H20: set once, filled where it is NULL."""
    before = uuid_of(app, 1)
    assert refused(lambda: app.execute("UPDATE users SET uuid_id = gen_random_uuid() WHERE id = 1")) == ("23514", "swap_guard")
    app.execute("UPDATE users SET uuid_id = uuid_id, email = 'new' WHERE id = 1")
    app.execute("UPDATE users SET uuid_id = NULL WHERE id = 1")
    assert uuid_of(app, 1) == before
    app.execute("INSERT INTO users (id, uuid_id) VALUES (70, NULL), (71, DEFAULT)")
    given = "11111111-1111-4111-8111-111111111111"
    app.execute("INSERT INTO users (id, uuid_id) VALUES (72, %s)", [given])
    assert uuid_of(app, 70) is not None
    assert uuid_of(app, 71) is not None
    assert str(uuid_of(app, 72)) == given


# The orders of writing that foreign keys allow.


def test_parent_and_child_in_one_statement(m: Driver, app: Session) -> None:
    """I1, I3: one statement inserts a child and its parent, in both orders. `sync` fills what the guard could not see."""
    app.execute(
        "WITH u AS (INSERT INTO users (id) VALUES (80) RETURNING id) INSERT INTO sessions (id, user_id) SELECT 80, id FROM u"
    )
    assert pair(app, 80, "sessions") == (80, 80)
    app.execute("WITH u AS (INSERT INTO users (id) VALUES (81)) INSERT INTO apps (id, creator_id) VALUES (81, 81)")
    m.sync()
    assert pair(app, 81) == (81, 81)


def test_a_required_child_before_its_parent_in_one_statement(m: Driver, app: Session) -> None:
    """I1: the server checks a foreign key at the end of the statement."""
    app.execute("WITH u AS (INSERT INTO users (id) VALUES (82)) INSERT INTO sessions (id, user_id) VALUES (82, 82)")
    m.sync()
    assert pair(app, 82, "sessions") == (82, 82)


def test_a_skipped_insert_of_an_unknown_user_is_no_error(m: Driver, app: Session) -> None:
    """I1: ON CONFLICT DO NOTHING skips the row before a foreign key is checked."""
    assert app.execute("INSERT INTO sessions (id, user_id) VALUES (1, 999) ON CONFLICT DO NOTHING").rowcount == 0


DEFERRED = """
CREATE TABLE users (id bigserial PRIMARY KEY);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED);
INSERT INTO users VALUES (1);
"""


def test_a_child_before_its_parent_under_a_deferred_key(migrate: Migrate, database: Database, connect: Connect) -> None:
    """H21, H23: given a nullable reference with a deferred foreign key, when the child is written first, then it has its uuid at
    the end."""
    m = migrate(database, DEFERRED, reference=[SESSIONS]).synced()
    app = connect(database.app)
    app.execute("BEGIN; INSERT INTO sessions (user_id) VALUES (2); INSERT INTO users (id) VALUES (2); COMMIT")
    m.drain()
    m.assert_same()


# On the schema of the example application.


def test_row_security_does_not_hide_the_user_from_the_guard(migrate: Migrate, example: ExampleFactory, connect: Connect) -> None:
    """H16, I9: given policies that show no user to `app`, when it writes a reference, then the pair is filled."""
    db = example("adopt", users=50)
    migrate(db, reference=[AUDIT, in_place("user_roles", "user_id")]).synced()
    app = connect(db.app)
    assert app.execute("SELECT count(*) FROM users").fetchone() == (0,)
    for text in (
        "INSERT INTO api_access_tokens (user_id, name, digest) VALUES (3, 'guarded', 'x')",
        "INSERT INTO audit_logs (actor_type, actor_id, action, request_id) VALUES ('User', 3, 'guarded', 'x')",
        "INSERT INTO user_roles (user_id, role) VALUES (3, 'guarded')",
    ):
        app.execute(text.encode())
    owner = connect(db.owner)
    expected = owner.execute("SELECT uuid_id FROM users WHERE id = 3").fetchall()
    assert owner.execute("SELECT user_uuid_id FROM api_access_tokens WHERE name = 'guarded'").fetchall() == expected
    assert owner.execute("SELECT actor_uuid_id FROM audit_logs WHERE action = 'guarded'").fetchall() == expected
    assert owner.execute("SELECT user_uuid_id FROM user_roles WHERE role = 'guarded'").fetchall() == expected


def test_references_are_complete_after_the_backfill(migrate: Migrate, example: ExampleFactory, connect: Connect) -> None:
    """H19, H21: given references that a dual write left incomplete, then every one that names a user has a uuid, and both columns
    have the same count."""
    db = example("adopt", users=200)
    m = migrate(db, reference=[AUDIT]).synced()
    assert m.unmapped() == []
    counts = "SELECT count(created_by_user_id) - count(created_by_user_uuid_id) FROM partner_applications"
    assert connect(db.owner).execute(counts.encode()).fetchone() == (0,)


def test_a_contradiction_that_was_there_is_kept(migrate: Migrate, example: ExampleFactory, connect: Connect) -> None:
    """H19: the backfill fills NULLs and overwrites nothing."""
    db = example("adopt", users=50)
    owner = connect(db.owner)
    owner.execute("UPDATE sessions SET user_uuid_id = (SELECT uuid_id FROM users WHERE id = 2) WHERE user_id = 1")
    m = migrate(db, reference=[AUDIT]).synced()
    wrong = m.unmapped()
    assert wrong
    assert {(table, integer) for table, integer, _, _ in wrong} == {("sessions", 1)}


# The application before and after (I1): the same statements, the same answers, the same errors.

STATEMENTS: list[LiteralString] = [
    "SELECT id, email, organization_id, status, balance FROM users ORDER BY id LIMIT 5",
    "SELECT * FROM active_users ORDER BY id LIMIT 5",
    "SELECT count(*), sum(session_count) FROM active_users",
    "INSERT INTO users (id, organization_id, email) VALUES (9001, 1, 'p1@example.org') RETURNING id, email_lower, active",
    "INSERT INTO users (id, organization_id, email) VALUES (1, 1, 'p2@example.org')",
    "INSERT INTO users (id, organization_id, email) VALUES (9002, 99999, 'p3@example.org')",
    "INSERT INTO users (id, organization_id, email) VALUES (9003, 1, 'no at sign')",
    "INSERT INTO users (id, organization_id, email) VALUES (9004, 1, NULL)",
    "INSERT INTO users (id, organization_id, email, invited_by_id) VALUES (9005, 1, 'p5@example.org', 99999)",
    "INSERT INTO users (id, organization_id, email, invited_by_id) VALUES (9006, 1, 'p6@example.org', 9006) RETURNING invited_by_id",
    ("INSERT INTO users (id, organization_id, email) SELECT 9007, 1, email FROM users WHERE id = 2"
    " ON CONFLICT (email) DO UPDATE SET login_count = users.login_count + 1 RETURNING id, login_count"),
    "UPDATE users SET balance = -2000 WHERE id = 3",
    ("UPDATE users SET referral_code = CASE id WHEN 1 THEN (SELECT referral_code FROM users WHERE id = 2)"
    " ELSE (SELECT referral_code FROM users WHERE id = 1) END WHERE id IN (1, 2)"),
    "UPDATE users SET id = 9100 WHERE id = 9001 RETURNING id",
    "UPDATE users SET id = 2 WHERE id = 9100",
    "UPDATE users SET login_count = login_count + 1 WHERE id < 20 RETURNING id, login_count, revision",
    "INSERT INTO sessions (id, user_id, token) VALUES (9001, 3, 'parity') RETURNING id, user_id",
    "INSERT INTO sessions (id, user_id, token) VALUES (9002, 3, 'parity')",
    "INSERT INTO sessions (id, user_id, token) VALUES (9003, 99999, 'parity3')",
    "INSERT INTO sessions (id, user_id, token) VALUES (9004, NULL, 'parity4')",
    "UPDATE sessions SET user_id = 4 WHERE id = 9001 RETURNING user_id",
    "UPDATE sessions SET user_id = 99999 WHERE id = 9001",
    "UPDATE sessions SET user_id = NULL WHERE id = 9001",
    "INSERT INTO api_access_tokens (id, user_id, name, digest) VALUES (9001, 3, 'parity', 'x'), (9002, 4, 'parity', 'x')",
    "UPDATE api_access_tokens SET user_id = 4 WHERE id = 9001",
    ("INSERT INTO api_access_tokens (id, user_id, name, digest) VALUES (9003, 4, 'parity', 'y')"
    " ON CONFLICT (user_id, name) DO UPDATE SET digest = EXCLUDED.digest RETURNING id, digest"),
    "INSERT INTO user_roles (user_id, role) VALUES (3, 'parity') RETURNING user_id",
    "INSERT INTO user_roles (user_id, role) VALUES (3, 'parity')",
    "INSERT INTO user_roles (user_id, role) VALUES (99999, 'parity')",
    "INSERT INTO partner_applications (id, created_by_user_id, client_id, name) VALUES (9001, 3, 'parity', 'n')",
    "INSERT INTO partner_applications (id, created_by_user_id, client_id, name) VALUES (9002, 99999, 'parity2', 'n')",
    "UPDATE partner_applications SET created_by_user_id = NULL WHERE id = 9001 RETURNING created_by_user_id",
    "INSERT INTO audit_logs (id, actor_type, actor_id, action, request_id) VALUES (9001, 'User', 99999, 'parity', 'r')",
    "INSERT INTO audit_logs (id, actor_type, actor_id, action, request_id) VALUES (9002, 'Nobody', 1, 'parity', 'r')",
    "INSERT INTO audit_logs (id, actor_type, actor_id, action, request_id) VALUES (9003, 'System', NULL, 'parity', 'r') RETURNING actor_id",
    ("WITH u AS (INSERT INTO users (id, organization_id, email) VALUES (9010, 1, 'p10@example.org') RETURNING id)"
    " INSERT INTO sessions (id, user_id, token) SELECT 9010, id, 'parity10' FROM u RETURNING user_id"),
    "DELETE FROM users WHERE id = 3 RETURNING id",
    ("SELECT (SELECT count(*) FROM sessions WHERE user_id = 3), (SELECT count(*) FROM users WHERE invited_by_id = 3),"
    " (SELECT count(*) FROM partner_applications WHERE created_by_user_id IS NULL), (SELECT count(*) FROM users)"),
    "TRUNCATE users CASCADE",
    "ALTER TABLE users ADD COLUMN x integer",
]  # fmt: skip


def answers(app: Session) -> list[Any]:
    """What the application sees of each statement: the rows and their number, or every part of the error."""
    app.execute("SET app.service = 'on'")
    out: list[Any] = []
    for text in STATEMENTS:
        try:
            cursor = app.execute(text)
        except psycopg.Error as e:
            d = e.diag
            out.append((text, e.sqlstate, d.constraint_name, d.table_name, d.column_name, d.message_primary))
        else:
            out.append((text, cursor.rowcount, sorted(cursor.fetchall(), key=str) if cursor.description else None))
    return out


@pytest.mark.parametrize("variant", ["adopt", "fresh"])
@pytest.mark.parametrize("synced", [False, True], ids=["prepared", "synced"])
def test_the_application_sees_no_difference(
    migrate: Migrate, example: ExampleFactory, connect: Connect, variant: Any, synced: bool
) -> None:
    """I1: forty statements on the plain schema, and on the same schema while it is migrated."""
    plain = answers(connect(example(variant, users=50).app))
    assert sum(1 for a in plain if isinstance(a[1], str)) > 12  # the list has errors to compare too
    db = example(variant, users=50)
    m = migrate(db, reference=[AUDIT])
    m.prepare()
    if synced:
        m.sync()
    assert answers(connect(db.app)) == plain
    if synced:
        m.drain()
        m.assert_same()


def test_an_error_of_the_guard_is_not_a_defect_of_the_type(m: Driver, app: Session) -> None:
    """I1: the guard raises a check violation, which drivers know, with the names of the table and the schema."""
    with pytest.raises(errors.CheckViolation) as raised:
        app.execute("INSERT INTO apps (creator_id, creator_uuid_id) VALUES (2, %s)", [uuid_of(app, 3)])
    assert (raised.value.diag.schema_name, raised.value.diag.table_name) == ("public", "apps")
    assert "are not of one row of users" in str(raised.value)
