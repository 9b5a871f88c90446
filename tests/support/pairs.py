"""A small schema with references in place of every kind, and the application on either side of the cutover."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from cutover.run import Outcome
from swap.sync.reference_pairs import unsettled
from tests.support.migration import Driver, Session, in_place

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, note text);
CREATE TABLE sessions (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users DEFERRABLE INITIALLY IMMEDIATE, note text);
CREATE INDEX ON sessions (user_id);
CREATE TABLE profiles (user_id bigint NOT NULL UNIQUE REFERENCES users DEFERRABLE INITIALLY DEFERRED, note text);
CREATE TABLE audit (id bigserial PRIMARY KEY, actor_id bigint, note text);
CREATE TABLE roles (user_id bigint REFERENCES users, role text, PRIMARY KEY (user_id, role));
INSERT INTO users (id) SELECT generate_series(1, 30);
SELECT setval('users_id_seq', 1000000);
INSERT INTO sessions (user_id) SELECT generate_series(1, 10);
INSERT INTO audit (actor_id, note) VALUES (1, 'was'), (900, 'orphan');
INSERT INTO roles SELECT n, 'r' FROM generate_series(1, 10) n;
CREATE TABLE log (note text);
-- Sorts between the guard, which fires before the row is there, and RI_…, which checks its key.
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
CREATE TRIGGER "1hold" AFTER INSERT ON sessions FOR EACH ROW WHEN (NEW.note = 'hold') EXECUTE FUNCTION hold();
CREATE TRIGGER "1hold" AFTER INSERT ON audit FOR EACH ROW WHEN (NEW.note = 'hold') EXECUTE FUNCTION hold();
CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no updates here'; END $$;
CREATE TRIGGER forbid BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION forbid();
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION note();
"""
CHILDREN = {"sessions": "user", "profiles": "user", "audit": "actor", "roles": "user"}
REFERENCES = [in_place(table, f"{name}_id") for table, name in CHILDREN.items()]


@dataclass
class Side:
    """The application in one direction: before the cutover the integer leads, after it the uuid."""

    m: Driver
    ahead: bool
    app: Session
    connect: Callable[[], Session]
    look: Session

    def key(self, n: int) -> str:
        return str(n) if self.ahead else f"'00000000-0000-4000-8000-{n:012d}'"

    def born(self, n: int, integer: int | None = None) -> str:
        return (
            f"INSERT INTO users (id) VALUES ({n})"
            if self.ahead
            else f"INSERT INTO users (id, legacy_id) VALUES ({self.key(n)}, {n if integer is None else integer})"
        )

    def moved(self, n: int) -> str:
        """The user goes and comes back, with another second key."""
        return f"DELETE FROM users WHERE id = {self.key(n)}; {self.born(n, n + 10_000)}"

    def child(self, n: int, note: str = "x", table: str = "sessions") -> str:
        return f"INSERT INTO {table} ({CHILDREN[table]}_id, note) VALUES ({self.key(n)}, '{note}')"

    def settled(self) -> None:
        """`sync` has nothing left to do. A note may wait for older snapshots: replay looks again."""
        deadline = time.monotonic() + 30
        while True:
            self.m.drain()
            if not unsettled(self.m.conn, self.m.plan):
                return
            assert time.monotonic() < deadline

    def wrong(self) -> list[tuple[Any, ...]]:
        """Rows whose two keys are not those of one user, though one of them is."""
        out: list[tuple[Any, ...]] = []
        for table, name in CHILDREN.items():
            i, u = (f"{name}_id", f"{name}_uuid_id") if self.ahead else (f"{name}_legacy_id", f"{name}_id")
            live = ("id", "uuid_id") if self.ahead else ("legacy_id", "id")
            query = sql.SQL(
                "SELECT {t}, r.{i}, r.{u} FROM {name} r WHERE EXISTS (SELECT FROM users s WHERE s.{li} = r.{i} OR s.{lu} = r.{u})"
                " AND NOT EXISTS (SELECT FROM users s WHERE s.{li} = r.{i} AND s.{lu} = r.{u})"
            ).format(
                t=sql.Literal(table), name=sql.Identifier(table), i=sql.Identifier(i), u=sql.Identifier(u),
                li=sql.Identifier(live[0]), lu=sql.Identifier(live[1]),
            )  # fmt: skip
            out += self.look.execute(query).fetchall()
        return out

    def count(self, n: int, table: str = "sessions") -> int:
        row = self.look.execute(f"SELECT count(*) FROM {table} WHERE {CHILDREN[table]}_id = {self.key(n)}".encode()).fetchone()
        return int(row[0]) if row else 0

    def right(self) -> None:
        self.settled()
        assert self.wrong() == []
        self.verified()

    def verified(self) -> None:
        report = self.m.verify()
        assert report.verdict == "identical", (report.findings, [c for c in report.checks if c.status != "ok"])


class RebuiltSide(Side):
    """The same application, with `sessions` and `audit` rebuilt beside: they have no second key that could be another row's."""

    def settled(self) -> None:
        self.m.drain()

    def wrong(self) -> list[tuple[Any, ...]]:
        """Rows that refer to a user who is not there; one of `audit` was there before."""
        query = "SELECT 'sessions', user_id::text FROM sessions c WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = c.user_id)"
        return self.look.execute(query.encode()).fetchall()


def committed(outcome: Outcome) -> None:
    assert outcome.outcome == "committed"


def run(session: Session, text: str) -> None:
    session.execute(text.encode())
