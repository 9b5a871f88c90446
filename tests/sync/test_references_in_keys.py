"""Tables rebuilt beside whose primary key holds a reference: the two sides have different keys, an integer here and a uuid there, and
each row has its counterpart whatever happens to it or to the row that it refers to (I3)."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest
from psycopg import sql

from swap.core.names import TableName
from swap.plan.model import TABLE
from swap.sync.waiting import held_keys
from tests.support.migration import Driver, Session, Synced
from tests.support.servers import Connect, Database
from verify.repair import repair
from verify.run import verify
from verify.settings import VerificationSettings

# The key is the reference; a reference and a text; two references, of one table; a reference that follows the change of what it refers
# to; a chain: the key of a key; a reference without a foreign key.
SCHEMA: LiteralString = """
CREATE TABLE users (id bigserial PRIMARY KEY, {identity} email text NOT NULL UNIQUE);
CREATE TABLE profiles (user_id integer PRIMARY KEY REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    bio text);
CREATE TABLE roles (user_id bigint REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE, role text, granted_by bigint REFERENCES users
    ON UPDATE CASCADE ON DELETE SET NULL, note text, PRIMARY KEY (role, user_id));
CREATE TABLE follows (a_id bigint REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE,
    b_id bigint REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE, note text, PRIMARY KEY (a_id, b_id));
CREATE TABLE expiries (user_id bigint, role text, day date, note text, PRIMARY KEY (user_id, role, day),
    FOREIGN KEY (user_id, role) REFERENCES roles (user_id, role) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE visits (user_id bigint, n integer, note text, PRIMARY KEY (user_id, n));
CREATE INDEX ON follows (b_id);
INSERT INTO users (email) SELECT 'u' || n FROM generate_series(1, 30) n;
INSERT INTO profiles SELECT n, 'bio' FROM generate_series(1, 25) n;
INSERT INTO roles SELECT n, r, n, 'n' FROM generate_series(1, 12) n, unnest(ARRAY['admin', E'tab\\t\\\\ "q", {b}']) r;
INSERT INTO follows SELECT a, b, 'n' FROM generate_series(1, 8) a, generate_series(1, 8) b WHERE a <> b;
INSERT INTO expiries SELECT n, 'admin', '2026-01-01', 'n' FROM generate_series(1, 8) n;
INSERT INTO visits SELECT n, 1, 'n' FROM generate_series(1, 8) n;
SELECT setval('users_id_seq', 100);
"""
IDENTITY: dict[str, LiteralString] = {"derived": "", "column": "", "adopted": "uuid_id uuid UNIQUE DEFAULT gen_random_uuid(),"}
DECLARED = [{"table": "public.visits", "column": "user_id"}]
TABLES = {name: number for number, name in enumerate(("users", "expiries", "follows", "profiles", "roles", "visits"))}
NEW: LiteralString = "f0000000-0000-4000-8000-00000000000"


@pytest.fixture
def existing() -> str:
    return "derived"


@pytest.fixture
def m(existing: str, synced: Synced, database: Database) -> Driver:
    schema = SCHEMA.replace("{identity}", IDENTITY[existing])
    made = synced(database, schema, identity={"existing": existing}, reference=DECLARED)
    assert {t.name.name: t.number for t in made.plan.swapped} == TABLES
    assert {r.strategy for r in made.plan.all_references} == {TABLE}
    made.assert_same()
    return made


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


def one(conn: Session, query: str, *values: Any) -> Any:
    row = conn.execute(query.encode(), values or None).fetchone()
    return row and row[0]


def count(m: Driver, table: str, where: str = "true") -> int:
    target: TableName = m.mappings[TABLES[table]].target
    query = sql.SQL("SELECT count(*) FROM {} WHERE ").format(target.sql).as_string(None) + where
    return int(one(m.conn, query))


def held(m: Driver) -> dict[str, set[Any]]:
    return {name: keys for name, n in TABLES.items() if (keys := held_keys(m.conn, m.plan, m.mappings[n]))}


def turn(m: Driver, kind: str) -> None:
    m.sync()
    report = m.verify()
    problems = [c for c in report.checks if c.status not in ("ok", "warning")]
    assert (report.verdict, report.findings, problems) == ("identical", (), [])
    m.exchange(kind)
    m.sync()
    m.assert_same()


# {n}: the key of the user n, as the side that leads has it.
CHANGES: dict[str, LiteralString] = {
    "insert": "INSERT INTO profiles VALUES ({26}, 'new'); INSERT INTO roles VALUES ({26}, 'x', {1}); INSERT INTO follows VALUES ({9}, {1})",
    "update": "UPDATE roles SET note = 'other'; UPDATE follows SET note = 'other' WHERE a_id = {2}; UPDATE profiles SET bio = 'o'",
    "delete": "DELETE FROM roles WHERE user_id = {12}; DELETE FROM profiles WHERE user_id = {25}; DELETE FROM follows WHERE b_id = {8}",
    "another-user": "UPDATE roles SET user_id = {20} WHERE user_id = {11}; UPDATE profiles SET user_id = {27} WHERE user_id = {24}",
    "one-of-two": "UPDATE follows SET b_id = {22} WHERE b_id = {3}; UPDATE follows SET a_id = {23} WHERE a_id = {4}",
    "places": "UPDATE profiles SET user_id = {28} WHERE user_id = {1}; UPDATE profiles SET user_id = {1} WHERE user_id = {2};"
    " UPDATE profiles SET user_id = {2} WHERE user_id = {28}",
    "and-back": "DELETE FROM roles WHERE user_id = {10}; INSERT INTO roles VALUES ({10}, 'admin')",
    "chain": "UPDATE roles SET role = 'boss' WHERE role = 'admin' AND user_id = {5}",
    "cascade": "DELETE FROM users WHERE id = {6}",
    "truncate": "TRUNCATE follows; INSERT INTO follows VALUES ({1}, {2})",
    "truncate-more": "TRUNCATE roles, expiries; INSERT INTO roles VALUES ({1}, 'again')",
}

RESTORE: list[LiteralString] = [
    "INSERT INTO profiles SELECT id, 'bio' FROM users u WHERE substr(email, 2)::int <= 25",
    "INSERT INTO roles SELECT id, r, id, 'n' FROM users, unnest(ARRAY['admin', 'x y']) r WHERE substr(email, 2)::int <= 12",
    "INSERT INTO follows SELECT a.id, b.id, 'n' FROM users a, users b WHERE a <> b AND length(a.email || b.email) = 4 AND 'u9' NOT IN (a.email, b.email)",
    "INSERT INTO expiries SELECT user_id, role, '2026-01-01', 'n' FROM roles WHERE role = 'admin'",
]


def with_keys(app: Session, change: str) -> str:
    """The users are known by their e-mail."""
    keys = dict(app.execute("SELECT substr(email, 2)::int, id::text FROM users").fetchall())
    return change.format(*(f"'{keys[n]}'" if n in keys else "NULL" for n in range(31)))


EVERY = pytest.mark.parametrize("existing", ["derived", "adopted"])


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.both_modes
@EVERY
def test_each_change_arrives_in_both_directions(m: Driver, app: Session, connect: Connect) -> None:
    """Given changes of every kind, when each is replayed alone, before the cutover and after it, then the sides are the same to the
    bit, and so they are after a revert and a second cutover."""
    owner = connect(m.db.owner)
    turned = ["", "cutover", "revert", "cutover"]
    for kind in turned[: 4 if m.plan.derived else 2]:
        if kind:
            owner.execute("ANALYZE")  # TRUNCATE forgets what a gate looks for
            turn(m, kind)
        for name, change in CHANGES.items():
            writer = owner if "truncate" in name else app
            if kind and name == "cascade":  # another user each time
                change = change.replace("6", str(12 + turned.index(kind)))  # noqa: PLW2901
            writer.execute(with_keys(app, change).encode())
            assert m.replay().complete, name
            m.assert_same()
        restore(app)
        m.drain()
        m.assert_same()
    assert m.verify().verdict == "identical"
    m.finalize(drop_legacy=True)
    columns = (
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'roles'::regclass AND attname LIKE '%legacy%' AND NOT attisdropped"
    )
    assert one(app, columns) == 0
    assert (
        one(app, "SELECT data_type FROM information_schema.columns WHERE table_name = 'roles' AND column_name = 'user_id'")
        == "uuid"
    )


def restore(app: Session) -> None:
    """The rows that the next round changes."""
    app.execute("DELETE FROM profiles; DELETE FROM roles; DELETE FROM follows; DELETE FROM expiries")
    for statement in RESTORE:
        app.execute(statement)


REBORN: LiteralString = "DELETE FROM users WHERE id = 3; INSERT INTO users (id, email) VALUES (3, 'reborn')"


@EVERY
@pytest.mark.parametrize("limit", [0, None])
def test_a_parent_reborn(m: Driver, app: Session, limit: int | None) -> None:
    """Given a row that is there again under its integer, with another uuid where the uuid is in a column, then the rows that refer to it
    have the key that it has now: those that came with it, and those that no foreign key took away."""
    app.execute(REBORN)
    app.execute("INSERT INTO profiles VALUES (3, 'again'); INSERT INTO follows VALUES (3, 1), (3, 2), (1, 3)")
    m.drain(limit)
    m.assert_same()
    assert (count(m, "profiles"), count(m, "visits"), held(m)) == (25, 8, {})
    app.execute("DELETE FROM users WHERE id = 3")
    m.drain(limit)
    app.execute("INSERT INTO users (id, email) VALUES (3, 'once more'); INSERT INTO visits VALUES (3, 2)")
    m.drain(limit)
    m.assert_same()
    assert m.verify().verdict == "identical"


@EVERY
def test_a_row_that_refers_to_nobody(m: Driver, app: Session, existing: str) -> None:
    """Given a key without a foreign key, when its reference names nobody, then the row waits where nothing tells its uuid; and each is
    counted as waiting by the verification."""
    app.execute("INSERT INTO visits VALUES (500, 1, 'early'); UPDATE visits SET user_id = 501 WHERE user_id = 7")
    m.drain()
    waiting = {("500", "1"), ("501", "1")}
    assert held(m) == ({} if existing == "derived" else {"visits": waiting})
    assert m.verify().verdict == "identical"
    app.execute("INSERT INTO users (id, email) VALUES (500, 'late'); UPDATE visits SET n = 9 WHERE user_id = 501")
    m.drain()
    assert held(m) == ({} if existing == "derived" else {"visits": {("501", "9")}})
    app.execute("DELETE FROM visits WHERE user_id = 501")
    m.drain()
    m.assert_same()
    assert m.verify().verdict == "identical"


@pytest.mark.sampled(3)
@EVERY
@pytest.mark.parametrize("limit", [0, None])
def test_uuids_that_move_after_the_cutover(
    m: Driver, connect: Connect, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given keys whose uuid another row takes, with foreign keys that follow and without one, then each row of the retired table has the
    integer of the row that it refers to; and two rows never get one key."""
    monkeypatch.setattr("swap.sync.replay.SLICE", 3)  # the batch is read again for each step
    turn(m, "cutover")
    app, past = connect(m.db.app), connect(m.db.superuser)
    past.execute("SET session_replication_role = replica")
    first, second, third = (one(app, "SELECT id FROM users WHERE legacy_id = %s", n) for n in (1, 2, 3))
    app.execute("UPDATE users SET id = %s WHERE id = %s", [NEW + "1", first])  # the keys follow; a visit refers to nobody
    m.drain(limit)
    assert m.differences(TABLES["roles"]) == m.differences(TABLES["follows"]) == m.differences(TABLES["profiles"]) == []
    past.execute("INSERT INTO visits VALUES (%s, 1, 'the new one')", [NEW + "1"])
    m.drain(limit)  # both name one integer: the one that a row has now goes before
    assert held(m) == {"visits": {(str(first), "1")}}
    assert count(m, "visits", "user_id = 1 AND note = 'the new one'") == 1
    app.execute("INSERT INTO users (id, email) VALUES (%s, 'takes it')", [first])
    m.drain(limit)
    assert held(m) == {}
    m.assert_same()
    with app.transaction():
        app.execute("DELETE FROM profiles WHERE user_id = ANY (%s)", [[second, third]])
        app.execute("UPDATE users SET id = %s WHERE id = %s", [NEW + "9", second])
        app.execute("UPDATE users SET id = %s WHERE id = %s", [second, third])
        app.execute("UPDATE users SET id = %s WHERE id = %s", [third, NEW + "9"])
        app.execute("INSERT INTO profiles VALUES (%s, 'x'), (%s, 'y')", [second, third])
    m.drain(limit)
    m.assert_same()
    born = one(app, "INSERT INTO users (email) VALUES ('born') RETURNING id")
    app.execute("INSERT INTO roles VALUES (%s, 'born', NULL, 'n')", [born])
    app.execute("DELETE FROM users WHERE id = ANY (%s)", [[born, second]])
    m.drain(limit)
    m.assert_same()
    assert m.verify().verdict == "identical"
    for kind in ("revert", "cutover"):
        turn(m, kind)


def test_a_difference_is_named_by_the_key_that_leads_and_repaired(m: Driver, connect: Connect) -> None:
    """Given rows of the maintained side that are missing, changed, or there without a counterpart, before the cutover and after it,
    then each is named by the key of the side that leads, by both methods, and replay mends it."""
    owner = connect(m.db.owner)
    for suffix, kind in (("_new", "cutover"), ("_old", "revert")):
        nobody = NEW + "7" if suffix == "_new" else "777"
        text = """
            DELETE FROM roles{0} WHERE role = 'admin' AND note = 'n' AND ctid = (SELECT min(ctid) FROM roles{0} WHERE role = 'admin');
            UPDATE follows{0} SET note = 'wrong' WHERE ctid = (SELECT min(ctid) FROM follows{0});
            INSERT INTO visits{0} (%s, n) VALUES ('%s', 99)
        """
        column = "user_uuid_id" if suffix == "_new" else "user_id"
        owner.execute((text.format(suffix) % (column, nobody)).encode())
        found = {}
        for method in ("exact", "checksum"):
            m.reload()
            report = verify(m, VerificationSettings(method, 2))
            found[method] = {(d.table, d.key, d.kind) for d in report.findings}
            assert report.verdict == "different", [c for c in report.checks if c.status != "ok"]
        assert found["exact"] == found["checksum"]
        assert {(t, k) for t, _, k in found["exact"]} == {
            ("public.roles", "missing"), ("public.follows", "different"), ("public.visits", "extra")
        }  # fmt: skip
        if suffix == "_new":  # an integer names a uuid, whatever rows there are
            assert ("public.visits", (nobody, "99"), "extra") in found["exact"]
        repair(m, report)
        m.drain()
        left = verify(m, VerificationSettings("exact", 2)).findings
        assert [d.key for d in left] == ([(nobody, "99")] if suffix == "_new" else [])  # no captured key leads to it
        owner.execute(f"DELETE FROM visits{suffix} WHERE n = 99".encode())
        turn(m, kind)
