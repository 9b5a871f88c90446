"""A release that uses only the compat names writes all the time, through prepare, cutover, revert, cutover; the next one through
`finalize`. No statement of either fails (I1)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.ddl.test_compat import start
from tests.support.cycling import Cycle
from tests.support.migration import background
from tests.support.servers import Database
from tests.support.waiting import wait_until

__all__ = ["start"]

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid());
CREATE TABLE follows (a_id bigint REFERENCES users ON DELETE CASCADE, b_id bigint REFERENCES users ON DELETE CASCADE, n int DEFAULT 0,
    a_uuid_id uuid, b_uuid_id uuid, PRIMARY KEY (a_id, b_id));
CREATE UNIQUE INDEX ON follows (a_uuid_id, b_uuid_id);
CREATE TABLE visits (user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, at int, n int DEFAULT 0, user_uuid_id uuid,
    PRIMARY KEY (user_id, at)) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (50);
CREATE TABLE visits_2 PARTITION OF visits DEFAULT;
CREATE UNIQUE INDEX ON visits (user_uuid_id, at);
INSERT INTO users (email) SELECT n FROM generate_series(1, 30) n;
INSERT INTO follows (a_id, b_id, a_uuid_id, b_uuid_id) SELECT a.id, b.id, a.uuid_id, b.uuid_id FROM users a JOIN users b ON b.id = a.id % 30 + 1;
INSERT INTO visits (user_id, at, user_uuid_id) SELECT id, n, uuid_id FROM users, generate_series(0, 90, 10) n;
"""
OLD = ("uuid_id", "a_uuid_id", "b_uuid_id", "user_uuid_id")
NEW = ("id", "a_id", "b_id", "user_id")
STATEMENTS = (
    "INSERT INTO users ({id}, email) VALUES (gen_random_uuid(), 'new') RETURNING {id}",
    "INSERT INTO follows ({a}, {b}) VALUES (%(one)s, %(two)s) ON CONFLICT ({a}, {b}) DO UPDATE SET n = follows.n + 1 RETURNING {a}",
    "INSERT INTO visits ({user}, at) VALUES (%(one)s, %(n)s) ON CONFLICT ({user}, at) DO UPDATE SET n = visits.n + 1 RETURNING {user}",
    "UPDATE follows SET {b} = {b}, n = n + 1 WHERE {a} = %(one)s",
    "UPDATE visits SET at = at + 1 - 1, n = 0 WHERE {user} = %(two)s AND at = %(n)s",
    "DELETE FROM follows WHERE {a} = %(two)s AND {b} = %(one)s",
    "SELECT count(*) FROM visits v JOIN users u ON u.{id} = v.{user} JOIN follows f ON f.{a} = u.{id} WHERE u.{id} = %(one)s",
)


class Release:
    """What one release of the application does, until it is told to stop. `done`: statements so far."""

    def __init__(self, db: Database, names: tuple[str, ...]) -> None:
        named = dict(zip(("id", "a", "b", "user"), names, strict=True))
        self.statements = [s.format(**named) for s in STATEMENTS]
        self.users = f"SELECT {named['id']} FROM users WHERE email <> 'new'"
        self.db, self.stop, self.done = db, threading.Event(), 0

    def write(self) -> None:
        choose = random.Random(7)
        with psycopg.connect(self.db.app, autocommit=True) as conn:
            users = [r[0] for r in conn.execute(self.users.encode())]
            while not self.stop.is_set():
                one, two = choose.sample(users, 2)
                given: dict[str, Any] = {"one": one, "two": two, "n": choose.randrange(100)}
                conn.execute(choose.choice(self.statements).encode(), given)
                self.done += 1

    @contextmanager
    def writing(self) -> Iterator[Callable[[], None]]:
        """Yields what returns after some more statements; raises what one of them raised."""
        with background(self.write, self.stop.set) as work:

            def go_on() -> None:
                wanted = self.done + 50
                wait_until(lambda: work.done() or self.done > wanted, 60, what="the release goes on")
                assert not work.done(), work.exception()

            go_on()
            yield go_on
            go_on()
            self.stop.set()
            work.result(60)


def test_a_release_with_the_compat_names_alone(start: Callable[[str], Cycle], database: Database) -> None:
    cycle = start(SCHEMA)
    cycle.be_patient()
    cycle.m.prepare()
    with Release(database, OLD).writing() as go_on:
        cycle.m.sync()
        cycle.verified()
        for kind in ("cutover", "revert", "cutover"):
            go_on()
            cycle.exchange(kind)
            cycle.caught_up()
    with Release(database, NEW).writing():
        cycle.m.finalize(drop_legacy=False)
