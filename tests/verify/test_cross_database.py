"""`verify --against`: two databases, by digests of 128 bits a row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from tests.support.servers import Database
from tests.support.verifying import Verified


@pytest.fixture
def clone(caught_up: str, new_database: Callable[[str], Database]) -> Database:
    """Another copy of the database."""
    return new_database(caught_up)


def test_a_clone_is_digest_equal(verified: Verified, clone: Database) -> None:
    """The order of the rows does not matter. And equal tables are not called identical."""
    with closing(psycopg.connect(clone.owner, autocommit=True)) as conn:
        conn.execute("VACUUM FULL users")
    document = verified.op("verify", "--against", clone.owner).json
    assert document["verdict"] == "digest-equal"
    tables = {t["name"]: t for t in document["tables"]}
    assert {"public.users", "public.sessions", "public.user_roles", "public.audit_logs"} <= tables.keys()
    users = tables["public.users"]
    assert users["rows"] == users["rows_there"] == 300
    assert len(users["digest"]) == 32
    assert users["digest"] == users["digest_there"]
    assert (users["ranges"][0]["low"], users["ranges"][-1]["high"]) == (None, None)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE users SET score = round(score, scale(score) + 1) WHERE id = 12", "public.users"),
        ("UPDATE users a SET bio = b.bio FROM users b WHERE (a.id, b.id) IN ((21, 22), (22, 21))", "public.users"),
        ("DELETE FROM user_roles WHERE (user_id, role) = (20, 'admin')", "public.user_roles"),
        ("ALTER TABLE sessions ADD COLUMN added int", "public.sessions"),
    ],
)
def test_differences(verified: Verified, clone: Database, statement: str, table: str) -> None:
    with closing(psycopg.connect(clone.owner, autocommit=True)) as conn:
        conn.execute(statement.encode())
    result = verified.op("verify", "--against", clone.owner, check=False)
    assert result.code == 5
    assert result.json["verdict"] == "different"
    assert [t["name"] for t in result.json["tables"] if t["ranges_different"] or t["structure"]] == [table]


def test_a_table_that_is_not_there(verified: Verified, clone: Database) -> None:
    with closing(psycopg.connect(clone.owner, autocommit=True)) as conn:
        conn.execute("ALTER TABLE user_roles RENAME TO roles_of_users")
    result = verified.op("verify", "--against", clone.owner, check=False)
    assert (result.code, result.json["verdict"]) == (5, "different")
    assert ["there is no table public.user_roles there"] in [t["structure"] for t in result.json["tables"]]


@pytest.mark.parametrize("args", [("--repair",), ("--watch", "1"), ("--on", "host=nowhere"), ("--report", "x")])
def test_it_goes_with_nothing_else(verified: Verified, clone: Database, args: tuple[str, ...]) -> None:
    verified.op.refused("verify", "--against", clone.owner, *args, code=2)


def test_a_database_that_does_not_answer(verified: Verified) -> None:
    verified.op.refused("verify", "--against", "host=127.0.0.1 port=1 dbname=x", code=9)
