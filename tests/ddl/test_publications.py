"""H17: publications are carried over by name, publish the same columns, and never make a write fail."""

from __future__ import annotations

from typing import Any

import pytest

from swap.prepare.drift import drift
from tests.support.whole import MakeWhole, Whole

TABLES = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, secret text, uuid_id uuid NOT NULL DEFAULT gen_random_uuid(), boss_id bigint REFERENCES users);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, n int);
INSERT INTO users (email) SELECT 'u' || n FROM generate_series(1, 30) n;
INSERT INTO sessions (user_id, n) SELECT id, id FROM users;
"""
LISTED = "SELECT p.pubname, tablename, attnames::text[], rowfilter FROM pg_publication p JOIN pg_publication_tables t USING (pubname) ORDER BY 1, 2"
ACCEPT = {"findings": ["publication:pub of public.users", "publication:pub of public.sessions"]}
CASES: dict[str, tuple[str, list[Any]]] = {
    "plain": (
        "FOR TABLE users, sessions",
        [("pub", "sessions", ["id", "user_id", "n", "user_legacy_id"], None),
         ("pub", "users", ["legacy_id", "email", "secret", "id", "boss_id", "boss_legacy_id"], None)],
    ),
    "lists": (
        "FOR TABLE users (id, email, uuid_id, boss_id), sessions (id, user_id)",
        [("pub", "sessions", ["id", "user_id"], None), ("pub", "users", ["email", "id", "boss_id"], None)],
    ),
    "filters": (
        "FOR TABLE users (id, email) WHERE (email <> 'u7'), sessions WHERE (n > 3) WITH (publish = 'insert, delete')",
        [("pub", "sessions", ["id", "user_id", "n", "user_legacy_id"], "(n > 3)"), ("pub", "users", ["email", "id"], "(email <> 'u7'::text)")],
    ),
}  # fmt: skip


@pytest.mark.trigger_only("logical capture refuses a publication of the application's own")
@pytest.mark.parametrize(("listed", "after"), CASES.values(), ids=CASES)
def test_listed_tables_follow_by_name(listed: str, after: list[Any], whole: MakeWhole) -> None:
    more = "ALTER TABLE users REPLICA IDENTITY FULL; ALTER TABLE sessions REPLICA IDENTITY FULL;" if "WHERE" in listed else ""
    one = whole(TABLES, later=f"{more} CREATE PUBLICATION pub {listed}", accept=ACCEPT)
    before = one.query(LISTED)
    one.sync()
    assert [(p, t) for p, t, _, _ in one.query(LISTED)] == [(p, t) for p, t, _, _ in before]  # no shadow among them
    one.exchange("cutover")
    assert one.query(LISTED) == after
    write(one)
    one.exchange("revert")
    one.assert_dump("cutover")
    one.abort()
    one.assert_dump("prepare")


def write(one: Whole) -> None:
    one.query("INSERT INTO users (email) VALUES ('new')", role="app")
    if not one.query("SELECT 1 FROM pg_publication_rel WHERE prattrs IS NOT NULL AND prqual IS NOT NULL"):  # FULL and a list
        one.query("UPDATE users SET email = 'other' WHERE email = 'new'", role="app")
        one.query("DELETE FROM sessions WHERE n < 4", role="app")


@pytest.mark.trigger_only("logical capture refuses a publication of the application's own")
@pytest.mark.parametrize("what", ["ALL TABLES", "TABLES IN SCHEMA public"])
def test_a_publication_of_everything_fails_nobody(what: str, whole: MakeWhole) -> None:
    """Once it is accepted, replay updates and deletes in a shadow that is published before it has a primary key."""
    one = whole(TABLES, superuser=f"CREATE PUBLICATION pub FOR {what}", accept=ACCEPT)
    one.query(
        "UPDATE users SET email = 'changed' WHERE id < 5; DELETE FROM sessions WHERE user_id = 9; DELETE FROM users WHERE id = 9",
        role="app",
    )
    one.sync()
    one.query("UPDATE users SET email = 'again' WHERE id < 5", role="app")
    one.exchange("cutover")
    assert ("pub", "users") in [(p, t) for p, t, _, _ in one.query(LISTED)]
    one.query(
        "UPDATE users SET email = 'third' WHERE legacy_id < 5; DELETE FROM users WHERE legacy_id = 10 AND false", role="app"
    )
    one.exchange("revert")
    one.assert_dump("cutover")
    one.abort()
    one.assert_dump("prepare")


@pytest.mark.trigger_only("logical capture refuses a publication of the application's own")
def test_decoded_changes_carry_the_uuid(whole: MakeWhole) -> None:
    """A subscriber gets the same column names before and after, the rows of the new table, and nothing of the shadow."""
    one = whole(TABLES, later="CREATE PUBLICATION pub FOR TABLE users (id, email)", accept=ACCEPT)
    one.query("SELECT pg_create_logical_replication_slot('s', 'pgoutput')", role="superuser")
    changes = (
        "SELECT data FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'pub')"
    )
    one.exchange("cutover")
    one.query(changes, role="superuser")
    ((key,),) = one.query("INSERT INTO users (email) VALUES ('new') RETURNING id", role="app")
    decoded = b"".join(data for (data,) in one.query(changes, role="superuser"))
    assert str(key).encode() in decoded
    assert b"users_new" not in decoded
    assert b"legacy_id" not in decoded
    one.query("SELECT pg_drop_replication_slot('s')", role="superuser")


def test_a_publication_made_meanwhile_is_drift(whole: MakeWhole) -> None:
    one = whole(TABLES)
    one.sync()
    one.query("CREATE PUBLICATION pub FOR TABLE users")
    assert drift(one.m) == ["+ public.users: publication pub columns={} where="]
