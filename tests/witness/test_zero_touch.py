"""What zero touch cures (I1, I3): writes that commit, in every order and kind of session, on a schema that is rebuilt beside.

The statements of tests/witness/statements.py are rolled back. These here commit, and what they wrote is carried.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.migration import Driver, Migrate, Session, migrations
from tests.support.servers import Connect, Database

pytestmark = pytest.mark.both_modes

# The stored column means what the session's DateStyle says; nobody may change a user; every change of a session is logged,
# in a table that a search_path has to lead to.
SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, email text, born date, born_text text GENERATED ALWAYS AS (text_of(born)) STORED);
CREATE TABLE sessions (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users DEFERRABLE INITIALLY DEFERRED, device text,
    UNIQUE (user_id, device) DEFERRABLE INITIALLY DEFERRED);
ALTER SEQUENCE sessions_id_seq CACHE 20;
CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE audit (id bigserial PRIMARY KEY, actor_id bigint);
CREATE TABLE log (line text);
CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.id = NEW.id THEN RAISE 'users are not changed'; END IF; RETURN NEW; END $$;
CREATE TRIGGER forbid BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION forbid();
ALTER TABLE users ENABLE ALWAYS TRIGGER forbid;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW::text); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE sessions ENABLE ALWAYS TRIGGER note;
INSERT INTO users SELECT g, 'u' || g, '2001-02-03' FROM generate_series(1, 300) g;
INSERT INTO sessions (user_id, device) SELECT id, 'd' FROM users;
INSERT INTO posts (user_id) SELECT id FROM users;
INSERT INTO audit (actor_id) SELECT id FROM users;
"""
TEXT_OF = "CREATE FUNCTION text_of(date) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';\n"
TABLE = {
    "identity": {"existing": "derived"},
    "reference": [
        {"table": f"public.{table}", "column": column, "strategy": "table"}
        for table, column in (("sessions", "user_id"), ("posts", "user_id"), ("audit", "actor_id"))
    ],
}
SIZES = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname IN ('users', 'sessions', 'posts', 'audit') ORDER BY 1"
WRONG = """
SELECT count(*) FROM sessions s LEFT JOIN users u ON u.id = s.user_id WHERE u.{legacy} IS DISTINCT FROM s.{reference}
"""


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def m(migrate: Migrate, database: Database) -> Driver:
    return migrate(database, TEXT_OF + SCHEMA, **TABLE)


@pytest.fixture
def app(database: Database, connect: Connect) -> Session:
    return connect(database.superuser)


def exchange(m: Driver, kind: str) -> None:
    """Verified, and carried out."""
    assert m.verify().verdict == "identical"
    m.exchange(kind)


def test_what_a_row_knows_of_its_writes_stays(m: Driver, app: Session) -> None:
    """H49: an optimistic lock by xmin, a stored column in the settings of its writer, the sizes; under a guard that forbids writes
    and a trigger that logs them."""
    app.execute("SET DateStyle = 'German, DMY'; INSERT INTO users VALUES (500, 'german', '2001-02-03')")
    lock = app.execute("SELECT xmin, ctid FROM sessions WHERE id = 7").fetchone()
    sizes = app.execute(SIZES).fetchall()
    m.synced()
    assert app.execute(SIZES).fetchall() == sizes
    assert app.execute("SELECT born_text FROM users WHERE id IN (1, 500) ORDER BY id").fetchall() == [
        ("2001-02-03",),
        ("03.02.2001",),
    ]
    assert lock is not None
    assert app.execute("UPDATE sessions SET device = 'x' WHERE id = 7 AND xmin = %s AND ctid = %s", lock).rowcount == 1
    assert app.execute("SELECT count(*) FROM log").fetchone() == (1,)
    m.abort()
    assert app.execute("SELECT count(*) FROM log").fetchone() == (1,)
    assert app.execute(SIZES).fetchall() == sizes


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_writer_with_an_old_snapshot_gets_no_40001(m: Driver, app: Session, level: str) -> None:
    """H49: its snapshot is from before `prepare`, and it writes the rows that have been copied meanwhile."""
    app.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    assert app.execute("SELECT count(*) FROM log").fetchone() == (0,)
    m.prepare()
    m.sync()
    app.execute("UPDATE sessions SET device = 'late' WHERE id <= 50; DELETE FROM posts WHERE id <= 50; COMMIT")
    m.sync()
    assert m.verify().verdict == "identical"


def test_lastval_is_the_applications(m: Driver, app: Session) -> None:
    """H48: of a row that is captured, lastval() is the row's number; a session that took none has none."""
    m.synced()
    assert app.execute(
        "INSERT INTO sessions (user_id) VALUES (1) RETURNING id = lastval(), id = currval('sessions_id_seq')"
    ).fetchone() == (
        True,
        True,
    )
    app.execute("DISCARD SEQUENCES; UPDATE sessions SET device = 'y' WHERE id = 3; DELETE FROM posts WHERE id = 3")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        app.execute("SELECT lastval()")


def test_parents_and_children_in_any_order(m: Driver, app: Session, connect: Connect) -> None:
    """H50: before the cutover nothing of a child depends on when its parent was there."""
    m.synced()
    other = connect(m.db.superuser)
    # A child of a parent that another session has not committed yet: declared, and past the foreign key.
    app.execute("BEGIN; INSERT INTO users VALUES (600, 'late'), (601, 'late')")
    other.execute("INSERT INTO audit (actor_id) VALUES (600)")
    other.execute("SET session_replication_role = replica; INSERT INTO sessions (user_id, device) VALUES (601, 'e')")
    m.sync()
    app.execute("COMMIT")
    # Born again, moved, and children that follow.
    app.execute("BEGIN; DELETE FROM users WHERE id = 10; INSERT INTO users VALUES (10, 'again'); COMMIT")
    app.execute("BEGIN; UPDATE users SET id = 620 WHERE id = 20; UPDATE sessions SET user_id = 620 WHERE user_id = 20; COMMIT")
    # A child, retried until its parent is there.
    app.execute("BEGIN; INSERT INTO users VALUES (630, 'wanted')")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        other.execute("SET session_replication_role = origin; INSERT INTO posts (user_id) VALUES (630), (631)")
    app.execute("COMMIT")
    other.execute("INSERT INTO posts (user_id) VALUES (630)")
    m.sync()
    assert m.verify().verdict == "identical"
    keys = app.execute("SELECT id, user_id FROM sessions ORDER BY id").fetchall()
    exchange(m, "cutover")
    assert app.execute(WRONG.format(legacy="legacy_id", reference="user_legacy_id").encode()).fetchone() == (0,)
    exchange(m, "revert")
    assert app.execute("SELECT id, user_id FROM sessions ORDER BY id").fetchall() == keys


def test_children_before_their_parents(m: Driver, app: Session) -> None:
    """H52: under deferred keys and constraints, with the application's triggers on them: they fire for its own writes alone."""
    m.synced()
    app.execute(
        "BEGIN; INSERT INTO sessions (user_id, device) VALUES (700, 'd'), (700, 'd2'); INSERT INTO users VALUES (700, 'after'); COMMIT"
    )
    app.execute(
        "BEGIN; UPDATE sessions SET user_id = 701 - user_id WHERE user_id IN (350, 351); INSERT INTO sessions (user_id) VALUES (702)"
    )
    app.execute("INSERT INTO users VALUES (702, 'after'); COMMIT")
    m.sync()
    exchange(m, "cutover")
    exchange(m, "revert")
    assert m.verify().verdict == "identical"
    assert app.execute("SELECT count(*) FROM log").fetchone() == (0,)


def test_a_pair_of_which_one_side_names_nobody(m: Driver, app: Session) -> None:
    """H51: before the cutover there are no pairs. After it the uuid leads: an integer beside it that names nobody is refused or
    made right, and a revert does not rely on it."""
    m.synced()
    before = app.execute("SELECT id, user_id FROM sessions ORDER BY id").fetchall()
    exchange(m, "cutover")
    for statement in (
        "UPDATE sessions SET user_legacy_id = 99999 WHERE id = 5",
        "UPDATE sessions SET user_legacy_id = NULL WHERE id = 6",
        "UPDATE posts SET user_legacy_id = 99999 WHERE id = 7",
    ):
        try:
            app.execute(statement.encode())
        except psycopg.errors.CheckViolation:
            app.execute("ROLLBACK")
    with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.CheckViolation)):
        app.execute("UPDATE sessions SET user_id = '11111111-1111-4111-8111-111111111111' WHERE id = 8")
    m.sync()
    exchange(m, "revert")
    assert app.execute("SELECT id, user_id FROM sessions ORDER BY id").fetchall() == before
    assert app.execute("SELECT count(*) FROM posts WHERE user_id IS DISTINCT FROM id").fetchone() == (0,)


def test_cached_numbers_across_the_cutover(m: Driver, app: Session, connect: Connect) -> None:
    """H48: a session that holds numbers of a sequence uses them after the cutover and after the revert; none is given twice."""
    held, other = connect(m.db.superuser), connect(m.db.superuser)
    insert = "INSERT INTO sessions (user_id, device) SELECT id, %s FROM users WHERE email = 'u1' RETURNING id"
    numbers = [held.execute(insert, ["1"]).fetchone(), other.execute(insert, ["2"]).fetchone()]
    m.synced()
    exchange(m, "cutover")
    numbers += [held.execute(insert, ["3"]).fetchone(), other.execute(insert, ["4"]).fetchone()]
    m.sync()
    exchange(m, "revert")
    numbers += [held.execute(insert, ["5"]).fetchone(), other.execute(insert, ["6"]).fetchone()]
    assert len(set(numbers)) == 6
    assert None not in numbers
