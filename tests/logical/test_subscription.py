"""A subscription that applies into the source and a reference while they are being migrated (H7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import sql

from swap.core.errors import RefusedError
from tests.support.cycling import Start
from tests.support.migration import Session, install
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, n int);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE);
CREATE INDEX ON sessions (user_id);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 50) n; INSERT INTO sessions (user_id) SELECT id FROM users;
"""
ACCEPT = {"accept": {"findings": ["subscription:feed into public.users", "subscription:feed into public.sessions"]}}


class Feed:
    """The publisher's session, and what its changes arrive in."""

    def __init__(self, publisher: Session, subscriber: Session) -> None:
        self.publisher, self.subscriber = publisher, subscriber

    def write(self, *statements: str) -> None:
        """And wait until they have arrived."""
        for statement in statements:
            self.publisher.execute(statement.encode())
        (lsn,) = self.publisher.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
        arrived = "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots WHERE slot_name = 'feed'"
        wait_until(lambda: self.publisher.execute(arrived, [lsn]).fetchone() == (True,), 30, "the changes have arrived")

    def enable(self, on: bool) -> None:
        self.subscriber.execute(sql.SQL("ALTER SUBSCRIPTION feed {}").format(sql.SQL("ENABLE" if on else "DISABLE")))
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'feed'"
        wait_until(lambda: self.publisher.execute(active).fetchone() == (on,), 30, "its worker has begun or ended")


@pytest.fixture
def feed(database: Database, new_database: Callable[[str], Database], connect: Connect) -> Iterator[Feed]:
    """Both databases on one server, so the slot comes first: CREATE SUBSCRIPTION would wait for itself."""
    published = new_database("template0")
    for db in (published, database):
        install(db, SCHEMA)
    publisher, subscriber = connect(published.superuser), connect(database.superuser)
    publisher.execute("CREATE PUBLICATION feed FOR TABLE users, sessions")
    publisher.execute("SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
    subscriber.execute(
        sql.SQL(
            "CREATE SUBSCRIPTION feed CONNECTION {} PUBLICATION feed WITH (create_slot = false, copy_data = false, enabled = false)"
        ).format(sql.Literal(published.superuser))
    )
    made = Feed(publisher, subscriber)
    made.enable(True)
    yield made
    made.enable(False)
    subscriber.execute("ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
    subscriber.execute("DROP SUBSCRIPTION feed")
    publisher.execute("SELECT pg_drop_replication_slot('feed')")


def test_a_subscription_applies_while_a_run_is_going_on(feed: Feed, start: Start, database: Database) -> None:
    """What its worker writes is captured and guarded; an exchange is refused while it is enabled, because its changes
    would go nowhere; and after a revert it goes on where it was."""
    with pytest.raises(RefusedError, match=r"subscription: feed into public\.users"):
        start(None)
    one = start(None, **ACCEPT)
    one.m.prepare()
    feed.subscriber.execute("SELECT setval('users_id_seq', 5000)")  # which a subscription does not bring along
    feed.write(
        "INSERT INTO users (id, email) VALUES (1001, 'fed'), (1002, 'fed too')",
        "INSERT INTO sessions (id, user_id) VALUES (1001, 1001)",
        "UPDATE users SET n = 7 WHERE id IN (3, 1002); UPDATE users SET id = 2000 WHERE id = 1002",
        "DELETE FROM users WHERE id = 9",
    )
    one.caught_up()
    one.m.assert_same()
    assert count(feed, "SELECT count(*) FROM sessions_new WHERE user_id = 1001 AND user_uuid_id IS NOT NULL") == 1
    feed.write(
        "UPDATE users SET n = 8 WHERE id = 2000; DELETE FROM users WHERE id = 10",
        "INSERT INTO users (id, email) VALUES (1003, 'c')",
    )
    assert one.m.pending() == 4  # and the session of the row that went
    one.caught_up()
    with pytest.raises(RefusedError, match="subscription feed applies into") as raised:
        one.exchange("cutover")
    assert "ALTER SUBSCRIPTION feed DISABLE" in raised.value.hint
    feed.enable(False)
    one.cutover()
    feed.publisher.execute("UPDATE users SET n = 9 WHERE id = 2000")
    one.exchange("revert")
    feed.enable(True)
    feed.write("INSERT INTO users (id, email) VALUES (1004, 'd')")
    assert count(feed, "SELECT n FROM users WHERE id = 2000") == 9
    one.caught_up()
    one.m.assert_same()


def test_an_enabled_subscription_would_lose_changes(feed: Feed, start: Start) -> None:
    """Why: into a table that is not among its own it applies nothing, and says nothing."""
    feed.enable(False)
    one = start(None, **ACCEPT)
    one.ready()
    one.cutover()
    feed.enable(True)
    feed.write("UPDATE users SET n = 99 WHERE id = 5")
    assert count(feed, "SELECT count(*) FROM users WHERE n = 99") == 0


def count(feed: Feed, statement: str) -> Any:
    (value,) = feed.subscriber.execute(statement.encode()).fetchone() or (None,)
    return value
