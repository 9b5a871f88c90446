"""Replay over several swapped tables, of keys of any type, in one transaction: references are what they are in one snapshot,
whatever order parents and children were committed in (I3), and progress commits with all of them (I4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import UUID

import pytest
from psycopg import sql

from swap.core.names import TableName
from swap.ddl.change_tables import change_table
from swap.prepare.slot import slot_name
from swap.sync import change_queue, rotate
from swap.sync.logical.position import CaptureLostError
from swap.sync.logical.restart import restart_capture
from swap.sync.waiting import count_held, held_keys
from tests.support.migration import Driver, Migrate, Session, Synced, migrations
from tests.support.servers import Connect, Database

# Keys: an integer, a text with what COPY and arrays have to quote, two columns, a uuid. References: with a foreign key, unique,
# and two that only the configuration knows, of which one may not be NULL.
SCHEMA = r"""
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, boss_id bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE sessions (id serial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    token text UNIQUE);
CREATE TABLE profiles (slug text PRIMARY KEY, bio text,
    user_id bigint UNIQUE REFERENCES users ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE grants (org integer, name varchar(40), granted_by bigint REFERENCES users ON DELETE CASCADE, note text, PRIMARY KEY (org, name));
CREATE TABLE logs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id bigint NOT NULL, what text);
CREATE TABLE notes (id bigserial PRIMARY KEY, about_id bigint, what text);
CREATE INDEX ON sessions (user_id);
CREATE INDEX ON grants (granted_by);
CREATE INDEX ON logs (user_id);
INSERT INTO users (email, boss_id) SELECT 'user' || n, CASE WHEN n > 7 THEN n - 1 END FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id, token) SELECT n, 'token' || n FROM generate_series(1, 5) n;
INSERT INTO profiles SELECT slug, 'long', n FROM unnest(ARRAY['plain', E'tab\tand \\ "quoted", {braced}', E'two\nlines', '', 'NULL'])
    WITH ORDINALITY p (slug, n);
INSERT INTO grants SELECT n % 2, 'grant ' || n, n FROM generate_series(1, 6) n;
INSERT INTO logs (user_id, what) SELECT n, 'seen' FROM generate_series(1, 4) n;
INSERT INTO notes (about_id, what) SELECT n, 'seen' FROM generate_series(1, 4) n;
SELECT setval('users_id_seq', 100);
"""
DECLARED = [{"table": "public.logs", "column": "user_id"}, {"table": "public.notes", "column": "about_id"}]
TABLES = {name: number for number, name in enumerate(("users", "grants", "logs", "notes", "profiles", "sessions"))}


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture(params=["derived", "column"])
def m(request: pytest.FixtureRequest, synced: Synced, database: Database) -> Driver:
    """The uuids are computed, or in a column that `prepare` adds."""
    made = synced(database, SCHEMA, identity={"existing": request.param}, reference=DECLARED)
    assert {t.name.name: t.number for t in made.plan.swapped} == TABLES
    made.assert_same()
    made.forget()
    return made


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


def one(conn: Session, query: str, *values: Any) -> Any:
    row = conn.execute(query.encode(), values or None).fetchone()
    return row and row[0]


def maintained(m: Driver, table: str, where: str, column: str = "user_uuid_id") -> Any:
    """A column of one maintained row; None where there is none."""
    target = m.mappings[TABLES[table]].target.sql
    query = sql.SQL("SELECT {} FROM {} WHERE ").format(sql.Identifier(column), target).as_string(None) + where
    row = m.conn.execute(query.encode()).fetchone()
    return row and row[0]


def uuid_of(m: Driver, key: int) -> Any:
    """What applications are told, in any phase."""
    return one(m.conn, "SELECT swap.users_uuid(%s)", key)


def held(m: Driver) -> dict[str, set[Any]]:
    return {name: keys for name, n in TABLES.items() if (keys := held_keys(m.conn, m.plan, m.mappings[n]))}


CHANGES: dict[str, LiteralString] = {
    "insert": "INSERT INTO users (id, email) VALUES (50, 'fifty'); INSERT INTO sessions (user_id) VALUES (50)",
    "text-key": r"INSERT INTO profiles VALUES (E'a\\b\tc\r\n''{\"}', 'odd', 50)",
    "text-key-moves": r"UPDATE profiles SET slug = E'\\N' WHERE slug = 'plain'",
    "text-key-deleted": r"DELETE FROM profiles WHERE slug = E'two\nlines'",
    "text-keys-change-places": "UPDATE profiles SET slug = 'aside' WHERE slug = ''; UPDATE profiles SET slug = '' WHERE slug = 'NULL';"
    " UPDATE profiles SET slug = 'NULL' WHERE slug = 'aside'",
    "two-columns": "INSERT INTO grants VALUES (7, 'new', 2); UPDATE grants SET note = 'changed' WHERE org = 1",
    "two-columns-one-moves": "UPDATE grants SET org = org + 10 WHERE name = 'grant 3'",
    "uuid-key": "UPDATE logs SET user_id = 9; INSERT INTO logs (user_id) VALUES (8)",
    "reference-to-null": "UPDATE notes SET about_id = NULL WHERE id = 1",
    "cascade": "DELETE FROM users WHERE id = 5",
    "unique-reference": "UPDATE profiles SET user_id = CASE user_id WHEN 1 THEN NULL ELSE 1 END WHERE user_id IN (1, 2)",
    "truncate": "TRUNCATE grants",
    "truncate-and-again": "TRUNCATE notes; INSERT INTO notes (id, about_id) VALUES (1, 3)",
    "truncate-all": "TRUNCATE users CASCADE",
}  # fmt: skip


@pytest.mark.both_modes
def test_each_change_of_any_table_arrives(m: Driver, app: Session) -> None:
    """I3: given changes of tables with keys of any type, when each is replayed alone, then the sides are the same to the bit."""
    for name, change in CHANGES.items():
        if name == "unique-reference":  # one statement: the constraint is not deferrable
            app.execute("UPDATE profiles SET user_id = NULL WHERE user_id = 1; UPDATE profiles SET user_id = 1 WHERE user_id = 2")
        else:
            app.execute(change)
        assert m.replay().complete
        m.assert_same()
    assert m.replay().entries == 0


@pytest.mark.parametrize("limit", [0, 1, 3, None])
def test_a_batch_is_whole_transactions_of_all_tables(m: Driver, app: Session, limit: int | None) -> None:
    """I4: given one transaction over several tables, then no batch has a part of it."""
    with app.transaction():
        app.execute("INSERT INTO users (id, email) VALUES (50, 'fifty')")
        app.execute("INSERT INTO sessions (user_id) VALUES (50)")
        app.execute("INSERT INTO profiles VALUES ('fifty', NULL, 50)")
    app.execute("INSERT INTO grants VALUES (7, 'x', 50), (7, 'y', 50)")
    app.execute("DELETE FROM notes WHERE id = 1")
    assert m.pending() == 6
    batch = m.queue.next_batch(limit)
    first = m.replay(limit)
    assert (first.entries, first.complete) == ((6, True) if limit is None else (5, False) if limit == 3 else (3, False))
    assert sum(t.entries for t in batch.tables.values()) == first.entries
    assert maintained(m, "sessions", "user_id = 50") == maintained(m, "profiles", "slug = 'fifty'") == uuid_of(m, 50)
    m.drain(limit)
    assert m.pending() == 0
    m.assert_same()


def test_slices_of_a_key_of_several_columns(m: Driver, app: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more keys than one statement takes, then each is taken once, in the order of the key."""
    monkeypatch.setattr("swap.sync.replay.SLICE", 7)
    app.execute("INSERT INTO grants SELECT n % 3, repeat('g', n), 2 FROM generate_series(1, 40) n")
    app.execute("INSERT INTO profiles SELECT 'p' || n FROM generate_series(1, 30) n")
    app.execute("INSERT INTO logs (user_id) SELECT 3 FROM generate_series(1, 30) n")
    app.execute("DELETE FROM grants WHERE org = 1; UPDATE grants SET name = name || 'x' WHERE org = 2")
    batch, d = m.queue.next_batch(None), m.mappings[TABLES["grants"]]
    pages, after = [], None
    with m.conn.transaction():
        while page := m.queue.batch_keys(batch, d, after, 7):
            pages += [key for key, _ in page]
            after = page[-1][0]
    keys: list[Any] = [(int(key[0]), key[1]) for key in pages if isinstance(key, tuple)]
    assert len(keys) == len(set(keys)) >= 40
    assert keys == sorted(keys)
    m.drain()
    m.assert_same()


def test_many_tables_are_read_by_their_files(m: Driver, app: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """I3: where there are more tables than FEW, empty change tables are left out of the statements, and no entry is."""
    monkeypatch.setattr(change_queue, "FEW", 0)
    since = m.watermark()
    assert m.queue.filled() == [0]
    assert m.queue.count_due() == 0
    app.execute("UPDATE profiles SET bio = 'x' WHERE slug = ''; UPDATE notes SET what = 'x' WHERE id = 2")
    assert m.queue.filled() == [0, TABLES["notes"], TABLES["profiles"]]
    assert m.queue.count_due() == 2
    touched = m.queue.touched(m.mappings, since)
    assert {n: keys for n, keys in touched.items() if keys} == {TABLES["notes"]: {2}, TABLES["profiles"]: {("",)}}
    assert touched.keys() == set(TABLES.values())
    m.drain()
    m.assert_same()
    assert m.queue.count_due() == 0


def test_what_is_due_of_one_table(m: Driver, app: Session) -> None:
    """What verification asks: the keys of one table alone, and whether a TRUNCATE is among them."""
    since = m.watermark()
    app.execute(r"UPDATE profiles SET bio = 'x' WHERE slug IN ('NULL', E'two\nlines', '')")
    app.execute("UPDATE users SET email = email || '!' WHERE id IN (3, 4)")
    profiles, users, grants = (m.mappings[TABLES[t]] for t in ("profiles", "users", "grants"))
    assert m.queue.touched(m.mappings, since)[profiles.number] == {("NULL",), ("two\nlines",), ("",)}
    assert m.queue.touched(m.mappings, since)[users.number] == {3, 4}
    assert m.queue.touched(m.mappings, since)[grants.number] == set()
    assert m.queue.pending(profiles, since, 2) == ([("",), ("NULL",)], False)
    app.execute("TRUNCATE grants")
    assert m.queue.pending(grants, since, 5) == ([None], True)
    assert m.queue.count_due() == 6
    assert m.queue.count_due(limit=4) == 4


# Conflicts in a table beside the source.


def test_a_unique_reference_moves_between_rows(m: Driver, app: Session) -> None:
    """H3: given a unique reference that travels between rows in several transactions, then no conflict stops replay."""
    for change in (
        "UPDATE profiles SET user_id = NULL WHERE slug = 'plain'",
        "UPDATE profiles SET user_id = 1 WHERE slug = 'NULL'",
        "UPDATE profiles SET user_id = 5 WHERE slug = 'plain'",
        "UPDATE sessions SET token = 'aside' WHERE id = 1",
        "UPDATE sessions SET token = 'token1' WHERE id = 2",
        "UPDATE sessions SET token = 'token2' WHERE id = 1",
    ):
        app.execute(change)
    m.drain(0)
    m.assert_same()


BADGES = """
CREATE TABLE users (id bigserial PRIMARY KEY, uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid());
CREATE TABLE badges (name text PRIMARY KEY, user_id bigint UNIQUE REFERENCES users DEFERRABLE INITIALLY DEFERRED);
INSERT INTO users (id) SELECT n FROM generate_series(1, 5) n;
INSERT INTO badges SELECT 'badge ' || n, n FROM generate_series(1, 5) n;
"""


def test_unique_uuids_change_places(synced: Synced, database: Database, connect: Connect) -> None:
    """H3, I3: given parents that exchange their uuids, when a unique reference of another table names them, then no conflict
    stops replay, though no child is in the queue."""
    m, app = synced(database, BADGES), connect(database.app)
    with app.transaction():
        pairs = app.execute("DELETE FROM users WHERE id IN (1, 2) RETURNING id, uuid_id").fetchall()
        (_, first), (_, second) = sorted(pairs)
        app.execute("INSERT INTO users VALUES (1, %s), (2, %s)", [second, first])
    m.drain()
    assert one(m.conn, "SELECT user_uuid_id FROM public.badges_new WHERE user_id = 1") == second
    m.assert_same()


# References without a foreign key.


@pytest.mark.both_modes
@pytest.mark.parametrize("limit", [0, None])
def test_children_that_come_before_their_parent(m: Driver, app: Session, limit: int | None) -> None:
    """I3, H23: given rows that refer to a row that commits later, then they have its uuid once it is there. Until then a row that
    may not be without is not on the maintained side, and is counted; with derived uuids it is there at once."""
    app.execute("INSERT INTO logs (id, user_id) VALUES ('00000000-0000-0000-0000-000000000001', 60)")
    app.execute("INSERT INTO notes (id, about_id) VALUES (60, 60)")
    m.drain(limit)
    if m.plan.derived:
        assert held(m) == {}
        m.assert_same()
    else:
        assert held(m) == {"logs": {("00000000-0000-0000-0000-000000000001",)}}
        assert count_held(m.conn, m.plan) == 1
        assert maintained(m, "logs", "user_id = 60", "id") is None
        assert maintained(m, "notes", "id = 60", "id") == 60
        assert maintained(m, "notes", "id = 60", "about_uuid_id") is None
    app.execute("INSERT INTO users (id, email) VALUES (60, 'sixty')")
    m.drain(limit)
    assert held(m) == {}
    assert maintained(m, "logs", "user_id = 60") == maintained(m, "notes", "id = 60", "about_uuid_id") == uuid_of(m, 60)
    m.assert_same()


def test_a_row_that_waits_is_changed_or_deleted(m: Driver, app: Session) -> None:
    """A row waits as long as it refers to nobody, and no longer."""
    app.execute("UPDATE logs SET user_id = 70 WHERE user_id = 1; UPDATE logs SET user_id = 71 WHERE user_id = 2")
    m.drain()
    assert len(held(m).get("logs", ())) == (0 if m.plan.derived else 2)
    assert maintained(m, "logs", "user_id = 1", "id") is None
    assert one(m.conn, "SELECT count(*) FROM public.logs_new") == (4 if m.plan.derived else 2)  # no old image of them is left
    app.execute("UPDATE logs SET user_id = 3 WHERE user_id = 70")
    app.execute("DELETE FROM logs WHERE user_id = 71")
    m.drain()
    assert held(m) == {}
    m.assert_same()


@pytest.mark.both_modes
def test_children_outlive_their_parent(m: Driver, app: Session) -> None:
    """I3: given a row that goes, when rows refer to it without a foreign key, then they keep its uuid, those written later too."""
    before = uuid_of(m, 4)
    app.execute("DELETE FROM users WHERE id = 4")
    m.drain()
    assert maintained(m, "logs", "user_id = 4") == before
    app.execute("INSERT INTO logs (user_id, what) VALUES (4, 'later')")
    app.execute("UPDATE notes SET what = 'later' WHERE about_id = 4")
    m.drain()
    assert maintained(m, "logs", "what = 'later'") == maintained(m, "notes", "about_id = 4", "about_uuid_id") == before
    m.assert_same()


REBORN: LiteralString = """
BEGIN; DELETE FROM users WHERE id = 1; INSERT INTO users (id, email) VALUES (1, 'again');
INSERT INTO sessions (user_id, token) VALUES (1, 'again'); UPDATE profiles SET user_id = 1 WHERE slug = 'plain'; COMMIT
"""


@pytest.mark.both_modes
@pytest.mark.parametrize("limit", [0, None])
def test_a_parent_reborn_with_another_uuid(m: Driver, app: Session, limit: int | None) -> None:
    """I3, H23: given a parent deleted and inserted again under its key, then its children in every table have the uuid that it has
    now, with a foreign key and without one."""
    before = uuid_of(m, 1)
    app.execute(REBORN)
    m.drain(limit)
    assert (uuid_of(m, 1) == before) == m.plan.derived
    assert maintained(m, "logs", "user_id = 1") == maintained(m, "profiles", "user_id = 1") == uuid_of(m, 1)
    m.assert_same()
    app.execute("DELETE FROM users WHERE id = 1")
    m.drain(limit)
    app.execute("INSERT INTO users (id, email) VALUES (1, 'once more')")
    m.drain(limit)
    m.assert_same()


def test_a_parent_that_came_and_went_between_two_replays(m: Driver, app: Session) -> None:
    """I3: given children that were read while their parent was there, when it was never replayed itself."""
    app.execute("INSERT INTO users (id, email) VALUES (80, 'eighty')")
    app.execute("DELETE FROM users WHERE id = 80")
    app.execute("INSERT INTO logs (user_id) VALUES (80); INSERT INTO notes (about_id) VALUES (80)")
    m.drain(0)
    assert len(held(m).get("logs", ())) == (0 if m.plan.derived else 1)
    app.execute("DELETE FROM logs WHERE user_id = 80")
    m.drain()
    m.assert_same()


def test_a_child_that_was_read_between_two_lives_of_its_parent(m: Driver, app: Session, connect: Connect) -> None:
    """I3: given a row that goes, comes back and goes again, when a child's entry is taken while it was there, and its own
    entries later, then the child has the uuid that the mapping keeps."""
    slow = connect(m.db.app)
    slow.execute("BEGIN; UPDATE logs SET what = 'between' WHERE user_id = 4")
    app.execute("DELETE FROM users WHERE id = 4")
    app.execute("INSERT INTO users (id, email) VALUES (4, 'again')")
    slow.execute("COMMIT")
    m.replay(0)
    assert m.differences(TABLES["logs"]) == []
    app.execute("DELETE FROM users WHERE id = 4")
    m.drain()
    m.assert_same()


def test_a_key_that_moves_takes_its_uuid_along(m: Driver, app: Session) -> None:
    """A uuid belongs to the row that has it: rows that refer to the old key name nobody, not the row that has moved."""
    before = uuid_of(m, 3)
    app.execute(
        "DELETE FROM sessions WHERE user_id = 3; DELETE FROM grants WHERE granted_by = 3; UPDATE users SET boss_id = NULL"
    )
    app.execute("UPDATE users SET id = 33 WHERE id = 3")
    m.drain()
    if not m.plan.derived:
        assert uuid_of(m, 33) == before
        assert uuid_of(m, 3) is None
        assert maintained(m, "notes", "about_id = 3", "about_uuid_id") is None
        assert len(held(m)["logs"]) == 1
    else:
        assert uuid_of(m, 3) == before != uuid_of(m, 33)
        m.assert_same()


# After the cutover.


def turn(m: Driver, kind: str) -> None:
    m.sync()
    report = m.verify()
    problems = [c for c in report.checks if c.status not in ("ok", "warning")]
    assert (report.verdict, report.findings, problems) == ("identical", (), [])
    m.exchange(kind)
    m.sync()
    m.assert_same()


@pytest.fixture
def after(m: Driver) -> Driver:
    turn(m, "cutover")
    assert m.direction == "reverse"
    m.assert_same()
    m.forget()
    return m


NEW: LiteralString = "f0000000-0000-4000-8000-00000000000"


@pytest.mark.sampled(2)
@pytest.mark.both_modes
def test_there_and_back_and_there_again(after: Driver, connect: Connect) -> None:
    """I3, I6: given rows that are born, changed and deleted while the uuid leads, when the run goes back and forth, then every uuid
    that a client has seen is the same."""
    m, app = after, connect(after.db.app)
    kept = one(app, "SELECT id FROM users WHERE legacy_id = 2")
    born = one(app, "INSERT INTO users (email) VALUES ('born') RETURNING id")
    app.execute("INSERT INTO sessions (user_id, token) VALUES (%s, 'born')", [born])
    app.execute("INSERT INTO profiles VALUES ('born', NULL, %s)", [born])
    app.execute("INSERT INTO logs (user_id, what) VALUES (%s, 'born'), (%s, 'kept')", [born, kept])
    short = one(app, "INSERT INTO users (email) VALUES ('short') RETURNING id")
    app.execute("INSERT INTO logs (user_id, what) VALUES (%s, 'short')", [short])
    app.execute("DELETE FROM users WHERE id = %s", [short])  # it was never replayed while it lived
    m.drain()
    m.assert_same()
    assert held(m) == {}
    gone = one(app, "INSERT INTO users (email) VALUES ('gone') RETURNING id")
    app.execute("INSERT INTO logs (user_id, what) VALUES (%s, 'gone')", [gone])
    m.drain()
    app.execute("DELETE FROM users WHERE id = %s", [gone])
    m.drain()
    m.assert_same()
    wanted = {"born": born, "kept": kept, "short": short, "gone": gone}
    for kind in ("revert", "cutover"):
        turn(m, kind)
    for what, uuid in wanted.items():
        assert one(app, "SELECT user_id FROM logs WHERE what = %s", what) == uuid
        assert one(m.conn, "SELECT swap.users_uuid(swap.users_legacy(%s))", uuid) == uuid
    assert one(app, "SELECT id FROM users WHERE email = 'born'") == born
    assert one(app, "SELECT user_id FROM sessions WHERE token = 'born'") == born
    assert m.verify().verdict == "identical"


@pytest.mark.both_modes
@pytest.mark.parametrize("limit", [0, None])
def test_a_uuid_that_names_nobody_waits(after: Driver, connect: Connect, limit: int | None) -> None:
    """I3: given a reference without a foreign key to a uuid that no row has, then the retired table does without the row, or has
    NULL, until that row comes."""
    m, app = after, connect(after.db.app)
    app.execute("INSERT INTO logs (user_id, what) VALUES (%s, 'early')", [NEW + "1"])
    app.execute("INSERT INTO notes (id, about_id) VALUES (60, %s)", [NEW + "1"])
    m.drain(limit)
    assert len(held(m)["logs"]) == count_held(m.conn, m.plan) == 1
    assert maintained(m, "notes", "id = 60", "about_id") is None
    app.execute("INSERT INTO users (id, email) VALUES (%s, 'late')", [NEW + "1"])
    m.drain(limit)
    assert held(m) == {}
    key = one(app, "SELECT legacy_id FROM users WHERE email = 'late'")
    assert maintained(m, "logs", "what = 'early'", "user_id") == maintained(m, "notes", "id = 60", "about_id") == key
    m.assert_same()


@pytest.mark.sampled(3)
@pytest.mark.both_modes
@pytest.mark.parametrize("limit", [0, None])
def test_uuids_that_move(after: Driver, connect: Connect, limit: int | None) -> None:
    """I3: given a uuid that changes, one that another row takes, and two that change places, then each integer has the uuid of
    its row, and a reference names the row that has its uuid now."""
    m, app = after, connect(after.db.app)
    app.execute("DELETE FROM sessions; DELETE FROM profiles; DELETE FROM grants")
    app.execute("UPDATE users SET boss_id = (SELECT id FROM users WHERE legacy_id = 2) WHERE legacy_id = 9")
    first, second, third = (one(app, "SELECT id FROM users WHERE legacy_id = %s", n) for n in (1, 2, 3))
    app.execute("UPDATE users SET id = %s WHERE id = %s", [NEW + "1", first])
    m.drain(limit)
    m.assert_same()
    app.execute("UPDATE users SET id = %s WHERE id = %s", [NEW + "2", NEW + "1"])
    app.execute("INSERT INTO users (id, email) VALUES (%s, 'takes it')", [first])  # another integer
    m.drain(limit)
    m.assert_same()
    taken = one(app, "SELECT legacy_id FROM users WHERE email = 'takes it'")
    assert maintained(m, "logs", "what = 'seen' ORDER BY user_id DESC LIMIT 1", "user_id") == taken
    with app.transaction():
        app.execute("UPDATE users SET id = %s WHERE id = %s", [NEW + "9", second])
        app.execute("UPDATE users SET id = %s WHERE id = %s", [second, third])
        app.execute("UPDATE users SET id = %s WHERE id = %s", [third, NEW + "9"])
    m.drain(limit)
    m.assert_same()
    assert maintained(m, "users", "id = 9", "boss_id") == 3
    assert [uuid_of(m, n) for n in (1, 2, 3, taken)] == [*map(one_uuid, (NEW + "2", third, second, first))]
    app.execute("DELETE FROM users WHERE legacy_id IN (2, %s)", [taken])
    m.drain(limit)
    m.assert_same()
    for kind in ("revert", "cutover"):
        turn(m, kind)
    assert [uuid_of(m, n) for n in (1, 3)] == [*map(one_uuid, (NEW + "2", second))]


def one_uuid(value: Any) -> UUID:
    return UUID(str(value))


@pytest.mark.both_modes
def test_an_integer_that_names_nobody_there_and_back(m: Driver, app: Session) -> None:
    """I8: given a row whose integer belongs to no row, when it is changed while the uuid leads, then the integer is kept; the row
    that has that integer later, after the way back, is the one that it names."""
    app.execute("UPDATE notes SET about_id = 77 WHERE id IN (1, 2)")
    turn(m, "cutover")
    app.execute("UPDATE notes SET what = 'changed' WHERE id = 1")
    app.execute("UPDATE notes SET about_id = NULL WHERE id = 3")
    m.drain()
    assert maintained(m, "notes", "id = 1", "about_id") == 77
    assert maintained(m, "notes", "id = 3", "about_id") is None
    m.assert_same()
    turn(m, "revert")
    assert app.execute("SELECT id, about_id FROM notes WHERE id < 4 ORDER BY id").fetchall() == [(1, 77), (2, 77), (3, None)]
    app.execute("INSERT INTO users (id, email) VALUES (77, 'late')")
    m.drain()
    assert (
        maintained(m, "notes", "id = 1", "about_uuid_id") == maintained(m, "notes", "id = 2", "about_uuid_id") == uuid_of(m, 77)
    )
    m.assert_same()


def test_truncate_after_the_cutover(after: Driver, connect: Connect) -> None:
    """H6, I3: rows that were born and emptied away keep their uuids too."""
    m, app = after, connect(after.db.owner)
    born = one(app, "INSERT INTO users (email) VALUES ('born') RETURNING id")
    early = one(app, "SELECT id FROM users WHERE legacy_id = 1")
    app.execute("INSERT INTO logs (user_id, what) VALUES (%s, 'born')", [born])
    app.execute("TRUNCATE users CASCADE")
    m.drain(0)
    m.assert_same()
    assert held(m) == {}
    assert maintained(m, "logs", "what = 'born'", "user_id") == one(m.conn, "SELECT swap.users_legacy(%s)", born)
    assert one(m.conn, "SELECT swap.users_legacy(%s)", early) == 1


# Rotation, and capture that begins again.


def used(m: Driver) -> list[bool]:
    """Whether the change tables have entries: those with the number 0 of all swapped tables, and those with the number 1."""
    m.deliver()
    tables = (sql.SQL(" UNION ALL ").join(sql.SQL("SELECT 1 FROM {}").format(t.sql) for t in numbered(m, n)) for n in (0, 1))
    return [m.conn.execute(sql.SQL("{} LIMIT 1").format(t)).fetchone() is not None for t in tables]


def numbered(m: Driver, n: int) -> list[TableName]:
    return [change_table(m.plan, n, t.number) for t in m.plan.swapped]


@pytest.mark.both_modes
def test_the_change_tables_of_all_tables_move_together(
    m: Driver, app: Session, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H11, H8: given a writer of one table in flight, then the tables of all wait for it, and nothing of any is lost."""
    monkeypatch.setattr(rotate, "SWITCH_BYTES", 1)
    writer = connect(m.db.app, options="-c lock_timeout=2s")
    app.execute("UPDATE grants SET note = 'first'; UPDATE users SET email = email || '.'")
    assert used(m) == [True, False]
    m.drain()
    assert rotate.rotate(m)
    app.execute("INSERT INTO profiles VALUES ('second'); UPDATE sessions SET token = token || '.'")
    assert used(m) == [True, True]
    writer.execute("BEGIN; UPDATE notes SET what = 'in flight'")
    m.drain()
    assert rotate.rotate(m)
    assert used(m) == [False, True]
    writer.execute("UPDATE logs SET what = 'in flight'; COMMIT")
    m.drain()
    assert rotate.rotate(m)  # back to the first ones
    app.execute("DELETE FROM grants WHERE org = 1")
    assert used(m) == [True, True]
    m.drain()
    m.assert_same()
    assert rotate.rotate(m)
    assert used(m) == [True, False]


@pytest.mark.parametrize("reverse", [False, True], ids=["before-the-cutover", "after-it"])
@pytest.mark.parametrize("existing", ["derived", "column"])
def test_capture_begins_again(synced: Synced, database: Database, connect: Connect, existing: str, reverse: bool) -> None:
    """H13: given changes of every table that nobody captured, then what differs is queued; also a row of the source of which only
    the uuid changed, which the retired table may not have."""
    m = synced(database, SCHEMA, identity={"existing": existing}, reference=DECLARED, sync={"mode": "logical"})
    app, superuser = connect(database.app), connect(database.superuser)
    if reverse:
        turn(m, "cutover")
    superuser.execute("SELECT pg_drop_replication_slot(%s)", [slot_name(superuser, m.plan)])
    app.execute(
        r"INSERT INTO profiles VALUES (E'a\\b\tc\n'); DELETE FROM profiles WHERE slug = ''; UPDATE grants SET note = 'x' WHERE org = 1"
    )
    app.execute(
        "DELETE FROM logs WHERE what = 'seen' AND id = (SELECT min(id::text)::uuid FROM logs); UPDATE sessions SET token = NULL WHERE id = 2"
    )
    app.execute("INSERT INTO users (email) VALUES ('missed')")
    if reverse:
        app.execute("UPDATE users SET id = %s WHERE legacy_id = 9", [NEW + "9"])
    with pytest.raises(CaptureLostError):
        m.sync()
    assert restart_capture(m) == 8 + reverse
    m.reload()
    m.sync()
    m.assert_same()
    if reverse:
        assert uuid_of(m, 9) == one_uuid(NEW + "9")
        turn(m, "revert")
        assert uuid_of(m, 9) == one_uuid(NEW + "9")
