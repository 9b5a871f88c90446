"""Columns that hold keys of several types (I3, I8): no value of any type is lost, at any phase, and each row of the source ends as that of
one row, whatever the order of the commits is."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.support.dump import schema_dump
from tests.support.servers import Connect, Database
from tests.support.whole import MakeWhole, Whole

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE logs (id serial PRIMARY KEY, kind text NOT NULL, about text NOT NULL);
CREATE TABLE marks (id serial PRIMARY KEY, kind text NOT NULL, about integer NOT NULL);
CREATE TABLE likes (id serial PRIMARY KEY, kind text, about_id bigint);
INSERT INTO users (id, email) SELECT n, 'user' || n FROM generate_series(1, 6) n;
SELECT setval('users_id_seq', 100);
INSERT INTO logs (kind, about) VALUES ('user', '1'), ('user', '77'), ('user', '01'), ('page', '2'), ('page', 'slug'), ('user', '6');
INSERT INTO marks (kind, about) VALUES ('user', 1), ('user', 77), ('page', 2), ('user', 6);
INSERT INTO likes (kind, about_id) VALUES ('user', 1), ('user', 77), ('page', 2), (NULL, 3), ('user', NULL), ('user', 6);
"""
REFERENCES = [
    {"table": "public.logs", "column": "about", "where": "kind = 'user'", "as": "text"},
    {"table": "public.marks", "column": "about", "where": "kind = 'user'", "as": "text"},
    {"table": "public.likes", "column": "about_id", "where": "kind = 'user'"},
]
LOGS, MARKS = "SELECT id, kind, about::text FROM logs ORDER BY id", "SELECT id, kind, about::text FROM marks ORDER BY id"
LIKES = "SELECT id, kind, about_id FROM likes ORDER BY id"
NAMED = (  # which user each row names, after the cutover
    "SELECT 'logs', l.id, u.email FROM logs l JOIN users u ON u.id::text = l.about AND l.kind = 'user'"
    " UNION ALL SELECT 'marks', l.id, u.email FROM marks l JOIN users u ON u.id::text = l.about AND l.kind = 'user'"
    " UNION ALL SELECT 'likes', l.id, u.email FROM likes l JOIN users u ON u.id = l.about_uuid_id ORDER BY 1, 2"
)


def exchange(one: Whole, kind: str) -> None:
    """Users that are gone are orphans here, which `verify` warns of."""
    one.sync()
    report = one.m.verify()
    assert report.verdict == "identical", report.findings
    assert {c.name for c in report.checks if c.status != "ok"} <= {"no_orphans"}
    one.dumps[kind] = schema_dump(one.server, one.db.dbname)
    assert one.m.exchange(kind).outcome == "committed"


def test_no_value_is_lost_and_a_revert_knows_every_key(whole: MakeWhole, connect: Connect, database: Database) -> None:
    """Before the cutover a child comes before its parent, and types change. After it the same, by uuids and by what is no key."""
    one = whole(SCHEMA, reference=REFERENCES)
    app, parent = connect(database.app), connect(database.app)
    parent.autocommit = False
    parent.execute("INSERT INTO users (id, email) VALUES (50, 'late')")
    app.execute("INSERT INTO logs (kind, about) VALUES ('user', '50')")
    app.execute("INSERT INTO marks (kind, about) VALUES ('user', 50)")
    app.execute("INSERT INTO likes (kind, about_id) VALUES ('user', 50)")
    parent.commit()
    app.execute("UPDATE logs SET kind = 'user' WHERE about = '2'; UPDATE marks SET kind = 'user' WHERE about = 2")
    app.execute("UPDATE likes SET kind = 'user' WHERE about_id = 2")
    one.sync()
    # A release that knows the uuids already writes one: the old column keeps it as it is, and the new one has it.
    app.execute("INSERT INTO logs (kind, about) SELECT 'user', uuid_id::text FROM users WHERE email = 'user2'")
    before = [one.query(q) for q in (LOGS, MARKS, LIKES)]
    exchange(one, "cutover")
    late = [("likes", 7, "late"), ("logs", 7, "late"), ("marks", 5, "late")]
    was = [(t, n, f"user{u}") for t, n, u in (("likes", 1, 1), ("likes", 3, 2), ("likes", 6, 6), ("logs", 1, 1), ("logs", 4, 2),
           ("logs", 6, 6), ("logs", 8, 2), ("marks", 1, 1), ("marks", 3, 2), ("marks", 4, 6))]  # fmt: skip
    assert one.query(NAMED) == sorted(was + late)
    assert [r[2] for r in one.query(LOGS)][1:3] == ["77", "01"]  # of a user who is gone, and no key: they stay
    assert one.query("SELECT kind, about_id FROM likes ORDER BY id") == [r[1:] for r in before[2]]

    uuid = "(SELECT id FROM users WHERE email = '{}')"
    app.execute(
        f"INSERT INTO logs (kind, about) VALUES ('user', {uuid.format('user3')}::text), ('page', 'new'), ('user', 'nobody')"
    )
    app.execute(f"INSERT INTO marks (kind, about) VALUES ('user', {uuid.format('user3')}::text), ('page', 9)")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        app.execute("INSERT INTO marks (kind, about) VALUES ('page', 'no integer')")
    app.execute(f"INSERT INTO likes (kind, about_uuid_id) VALUES ('user', {uuid.format('user3')})")
    app.execute("UPDATE likes SET about_id = 4 WHERE id = 1; UPDATE likes SET about_id = NULL WHERE id = 3")
    app.execute("UPDATE likes SET about_id = 500 WHERE id = 7; UPDATE likes SET kind = 'page' WHERE id = 6")
    gone = "DELETE FROM users WHERE email = 'user5' RETURNING id"
    for insert in (
        "logs (kind, about) SELECT 'user', id::text",
        "marks (kind, about) SELECT 'user', id::text",
        "likes (kind, about_uuid_id) SELECT 'user', id",
    ):
        app.execute(
            f"BEGIN; INSERT INTO users (email) VALUES ('user5') ON CONFLICT DO NOTHING; WITH g AS ({gone}) INSERT INTO {insert} FROM g LIMIT 1; COMMIT"
        )
    found = one.query("SELECT id, kind, about_id, about_uuid_id IS NULL FROM likes WHERE id IN (1, 3, 6, 7) ORDER BY id")
    assert found == [(1, "user", 4, False), (3, "user", None, True), (6, "page", 6, True), (7, "user", 500, True)]
    exchange(one, "revert")
    assert one.query(LOGS) == [*before[0], (9, "user", "3"), (10, "page", "new"), (11, "user", "nobody"), (12, "user", "5")]
    assert one.query(MARKS)[:7] == [*before[1], (6, "user", "3"), (7, "page", "9")]
    changed = {1: 4, 3: None, 7: 500}
    wanted = [(n, k if n != 6 else "page", changed.get(n, v)) for n, k, v in before[2]]
    assert one.query(LIKES)[:8] == [*wanted, (8, "user", 3)]
    one.assert_dump("cutover")
    one.abort()
    one.assert_dump("prepare")


def test_verify_compares_every_type(whole: MakeWhole) -> None:
    """Planted with the guard off: the value of another type, the uuid of another user, a key that was not replaced. Mended, they are
    right."""
    one = whole(SCHEMA, reference=REFERENCES)
    exchange(one, "cutover")
    off = "ALTER TABLE {0} DISABLE TRIGGER USER; {1}; ALTER TABLE {0} ENABLE TRIGGER USER; "
    plant = "UPDATE logs SET about_legacy = 'other' WHERE id = 5; UPDATE logs SET about_legacy = '6' WHERE id = 1"
    assert one.m.verify().verdict == "identical"
    names = one.query("SELECT tgname FROM pg_trigger WHERE tgrelid = 'logs'::regclass AND NOT tgisinternal")
    assert names
    always = "".join(f'ALTER TABLE logs ENABLE ALWAYS TRIGGER "{name}"; ' for (name,) in names)
    one.query(off.format("logs", plant) + always)
    found = one.m.verify()
    assert found.verdict == "different"
    assert sorted(d.key for d in found.findings) == [1, 5]
    one.finalize(drop_legacy=False)


TAGS = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE kinds (id serial PRIMARY KEY, model text NOT NULL UNIQUE);
INSERT INTO kinds (model) VALUES ('user'), ('page'), ('post');
CREATE TABLE notes (id serial PRIMARY KEY, type varchar NOT NULL, about_id bigint NOT NULL);
CREATE TABLE entries (id serial PRIMARY KEY, kind_id int REFERENCES kinds DEFERRABLE INITIALLY DEFERRED, object_id text NOT NULL);
CREATE INDEX ON notes (type, about_id);
CREATE UNIQUE INDEX ON entries (kind_id, object_id);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO notes (type, about_id) SELECT k, n FROM generate_series(1, 4) n, unnest(ARRAY['User', 'Page', 'Post']) k;
INSERT INTO entries (kind_id, object_id) SELECT k, (CASE k WHEN 1 THEN n + 4 ELSE n END)::text FROM generate_series(1, 4) n, generate_series(1, 3) k;
"""
BY_TYPE = [
    {"table": "public.notes", "column": "about_id", "where": "type = 'User'"},
    {"table": "public.entries", "column": "object_id", "where": "kind_id = 1", "as": "text"},
]


class OthersRows:
    """Rows of other types than the source's, as the application has written them: what it reads must be that, at any moment."""

    def __init__(self, app: psycopg.Connection[Any], table: str, kind: str, column: str, kinds: tuple[Any, Any, Any]) -> None:
        self.app, self.table, self.kind, self.column, self.kinds = app, table, kind, column, kinds
        self.rows = self.read()

    def read(self) -> dict[int, tuple[Any, str]]:
        query = f"SELECT id, {self.kind}, {self.column}::text FROM {self.table} WHERE {self.kind} <> %s"
        return {n: (k, v) for n, k, v in self.app.execute(query.encode(), [self.kinds[0]])}

    def write(self, number: int) -> None:
        """INSERT, UPDATE of the key, of the type alone (to another one; to the source's and back), DELETE."""
        user, page, post = self.kinds
        value = str(1000 + number)
        insert = f"INSERT INTO {self.table} ({self.kind}, {self.column}) VALUES (%s, %s) RETURNING id"
        row = self.app.execute(insert.encode(), [page, value]).fetchone()
        assert row is not None
        self.rows[row[0]] = page, value
        first, second, third, *_, last = sorted(self.rows)
        self.update(first, self.column, str(2000 + number))
        self.rows[first] = self.rows[first][0], str(2000 + number)
        self.update(last, self.kind, post)
        self.rows[last] = post, value
        was = self.rows[second]
        self.update(second, self.kind, user)  # its key is one of a user, too
        self.update(second, self.kind, was[0])
        assert self.read() == self.rows
        self.app.execute(f"DELETE FROM {self.table} WHERE id = %s".encode(), [third])
        del self.rows[third]

    def update(self, row: int, column: str, value: Any) -> None:
        self.app.execute(f"UPDATE {self.table} SET {column} = %s WHERE id = %s".encode(), [value, row])


@pytest.mark.both_modes
def test_rows_of_other_types_in_every_phase(whole: MakeWhole, connect: Connect, database: Database) -> None:
    """Prepared, built, cut over, reverted, cut over again, finalized, without the integers: INSERT, UPDATE and DELETE of rows of other types
    do what they did, and none of their values changes."""
    one = whole(TAGS, reference=BY_TYPE)
    app = connect(database.app)
    others = [
        OthersRows(app, "notes", "type", "about_id", ("User", "Page", "Post")),
        OthersRows(app, "entries", "kind_id", "object_id", (1, 2, 3)),
    ]
    phase = 0

    def written() -> None:
        nonlocal phase
        phase += 1
        for o in others:
            o.write(phase)
            assert o.read() == o.rows, (phase, o.table)

    def kept() -> None:
        assert [o.read() for o in others] == [o.rows for o in others], phase

    written()
    one.sync()
    written()
    for kind in ("cutover", "revert", "cutover"):
        exchange(one, kind)
        kept()
        written()
        one.sync()
        kept()
    for drop in (False, True):
        one.finalize(drop_legacy=drop)
        kept()
        written()
