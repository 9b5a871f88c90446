"""A migration with five swapped tables, whose keys are of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

import pytest

from tests.support.migration import Driver, Session, Synced
from tests.support.servers import Connect, Database
from verify.report import Method, Report
from verify.run import verify
from verify.settings import VerificationSettings

SCHEMA: LiteralString = """
CREATE TABLE users (id bigserial PRIMARY KEY, {identity} email text UNIQUE, boss bigint REFERENCES users);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    token text UNIQUE, note text);
CREATE INDEX ON sessions (user_id);
CREATE TABLE posts (slug text PRIMARY KEY, user_id bigint REFERENCES users ON DELETE SET NULL, editor_id bigint, title text);
CREATE TABLE devices (id uuid PRIMARY KEY, user_id bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED, title text);
CREATE TABLE badges (kind text, number integer, user_id bigint NOT NULL, title text, PRIMARY KEY (kind, number));
INSERT INTO users (email) SELECT 'u' || g FROM generate_series(1, 90) g;
UPDATE users SET boss = id - 1 WHERE id > 1;
INSERT INTO sessions (user_id, token, note) SELECT g, 't' || g, 'n' FROM generate_series(1, 90) g;
INSERT INTO posts SELECT 's ' || g || ',"x', CASE WHEN g % 3 > 0 THEN g END, g % 5 + 1, 't' FROM generate_series(1, 90) g;
INSERT INTO devices SELECT ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid, g, 't' FROM generate_series(1, 60) g;
INSERT INTO badges SELECT CASE g % 2 WHEN 0 THEN 'gold' ELSE 'tin' END, g, g, 't' FROM generate_series(1, 60) g;
"""
IDENTITY: dict[str, LiteralString] = {"derived": "", "column": "", "adopted": "uuid_id uuid UNIQUE DEFAULT gen_random_uuid(),"}
REFERENCES = [
    ("sessions", "user_id"),
    ("posts", "user_id"),
    ("posts", "editor_id"),
    ("devices", "user_id"),
    ("badges", "user_id"),
]
TABLES = ["public.users", "public.badges", "public.devices", "public.posts", "public.sessions"]


@dataclass(frozen=True)
class Tables:
    """A migration with five swapped tables. `owner`: another session of their owner. `suffix`: of the maintained tables."""

    m: Driver
    owner: Session
    suffix: str

    def run(self, text: str) -> None:
        """Run statements with every {name}: the maintained table of that name is {sessions}, …"""
        names = {t.rsplit(".", 1)[1]: t.rsplit(".", 1)[1] + self.suffix for t in TABLES}
        self.owner.execute(text.format(**names).encode())

    def verify(self, method: Method, jobs: int = 2) -> Report:
        self.m.reload()
        return verify(self.m, VerificationSettings(method, jobs))


MakeTables = Callable[..., Tables]


@pytest.fixture
def tables(synced: Synced, database: Database, connect: Connect) -> MakeTables:
    def make(existing: str = "derived", *, after: bool = False) -> Tables:
        references = [{"table": f"public.{t}", "column": c, "strategy": "table"} for t, c in REFERENCES]
        schema = SCHEMA.replace("{identity}", IDENTITY[existing])
        m = synced(database, schema, identity={"existing": existing}, reference=references)
        if after:
            assert m.verify().verdict == "identical"
            m.exchange("cutover")
        return Tables(m, connect(database.owner), "_old" if after else "_new")

    return make
