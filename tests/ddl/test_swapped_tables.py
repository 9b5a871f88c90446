"""Swapped tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.migration import Migrate, migrations
from tests.support.servers import Database

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text UNIQUE, boss bigint REFERENCES users);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, token text UNIQUE);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE TABLE posts (slug text PRIMARY KEY, user_id bigint REFERENCES users ON DELETE SET NULL, title text);
CREATE TABLE events (session_id bigint REFERENCES sessions, n int);
CREATE VIEW active AS SELECT s.token, u.email FROM sessions s JOIN users u ON u.id = s.user_id;
INSERT INTO users (email) SELECT 'u' || g FROM generate_series(1, 500) g;
UPDATE users SET boss = id - 1 WHERE id > 1;
INSERT INTO sessions (user_id, token) SELECT g, 't' || g FROM generate_series(1, 500) g;
INSERT INTO posts SELECT 's' || g, CASE WHEN g % 3 > 0 THEN g END, 't' FROM generate_series(1, 500) g;
INSERT INTO events SELECT g, g FROM generate_series(1, 500) g;
"""


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


TABLE = {
    "identity": {"existing": "derived"},
    "reference": [
        {"table": "public.sessions", "column": "user_id", "strategy": "table"},
        {"table": "public.posts", "column": "user_id", "strategy": "table"},
    ],
}


def test_cycle(migrate: Migrate, database: Database) -> None:
    m = migrate(database, SCHEMA, **TABLE)
    m.prepare()
    m.sync()
    assert m.verify().verdict == "identical"
    m.exchange("cutover")
    m.conn.execute(
        "INSERT INTO public.users (email) VALUES ('new'); INSERT INTO public.sessions (user_id, token) SELECT id, 'x' FROM public.users WHERE email = 'new'; DELETE FROM public.posts WHERE slug = 's4'"
    )
    m.sync()
    assert m.verify().verdict == "identical"
    m.exchange("revert")
    print(m.conn.execute("SELECT * FROM public.sessions ORDER BY id DESC LIMIT 2").fetchall())
    assert m.verify().verdict == "identical"
    m.exchange("cutover")
    m.sync()
    m.finalize(drop_legacy=True)
    print(m.conn.execute("SELECT * FROM public.sessions ORDER BY id DESC LIMIT 2").fetchall())
