"""Texts for afterwards ([[default]], [[view]], [[function]], [[trigger]], [[index]]) over two cutovers, with either capture, to `finalize`: the
case `texts_afterwards` once more. And a function that [[function]] names is watched, though no table is bound to it (H38)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.dump import without_fence
from tests.support.fixture_run import Case, FixtureRun, cases, normalised, own_removed
from tests.support.migration import allow_replication
from tests.support.servers import Connect, Database, DatabaseServer

CASE: Case = next(c for c in cases() if c.name == "texts_afterwards")
WRITES = "INSERT INTO users (email) VALUES ('later'); INSERT INTO sessions DEFAULT VALUES"
OLD = "CREATE OR REPLACE FUNCTION is_old(who bigint) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT who < {}'"
FACTS = (
    "SELECT (SELECT count(*) FROM recent), (SELECT count(*) FROM over_recent), (SELECT count(*) FROM users WHERE is_old(id)),"
    " (SELECT (one_of(id)).email FROM users WHERE email = 'user4'), (SELECT count(*) FROM users WHERE note = id::text)"
)


@pytest.mark.parametrize("capture", ["trigger", "logical"])
def test_two_cutovers_and_finalize(
    capture: str, database: Database, server: DatabaseServer, tmp_path: Path, connect: Connect
) -> None:
    """Each cutover brings the texts, each revert takes them back, and `finalize` leaves them; the application writes in each state."""
    run = FixtureRun(CASE, database, server, tmp_path / "swap.toml")
    run.install()
    if capture == "logical":
        allow_replication(database)
    run.run("prepare", "--mode", capture)
    run.run("sync", "--once")
    assert run.run("verify")["verdict"] == "identical"
    app, before = connect(database.superuser), run.dump()
    for n in range(2):
        run.run("cutover", "--yes", "--no-snapshot")
        after = run.dump()
        run.compare("expected.sql", normalised(after))
        app.execute(WRITES)
        recent, over, old, email, noted = facts(app)
        assert (recent, over, old, email) == (4 + n - 1 + n, 4 + n - 1 + n, 2, "user4")
        assert noted == 1 + n
        assert run.run("verify")["verdict"] == "identical"
        if n == 0:
            run.run("revert", "--yes")
            assert own_removed(without_fence(run.dump())) == own_removed(without_fence(before))
            app.execute(WRITES)
            run.run("sync", "--once")
            assert run.run("verify")["verdict"] == "identical"
    run.run("finalize", "--yes")
    assert facts(app) == (recent, over, old, email, noted)
    left = connect(database.superuser).execute(
        "SELECT count(*) FROM pg_proc p WHERE p.proname LIKE 'is_old%' OR p.proname LIKE 'one_of%'"
    )
    assert left.fetchone() == (2,)


def facts(conn: psycopg.Connection[Any]) -> tuple[Any, ...]:
    row = conn.execute(FACTS).fetchone()
    assert row is not None
    return tuple(row)


def test_a_named_function_is_watched(database: Database, server: DatabaseServer, tmp_path: Path) -> None:
    """`is_old` binds no table. Replaced before the cutover, its new text would be lost: drift. After the cutover a release may bring
    another text of the new one; its rights are watched."""
    run = FixtureRun(CASE, database, server, tmp_path / "swap.toml")
    run.install()
    run.run("prepare")
    run.run("sync", "--once")
    run.run("verify")
    with closing(psycopg.connect(database.owner, autocommit=True)) as owner:
        owner.execute(OLD.format(4).encode())
        assert "is_old(bigint)" in run.run("cutover", "--yes", "--no-snapshot", code=3)["error"]["message"]
        assert run.run("verify", code=5)["verdict"] == "different"
        owner.execute(OLD.format(3).encode())
        run.run("verify")
        run.run("cutover", "--yes", "--no-snapshot")
        owner.execute("CREATE OR REPLACE FUNCTION is_old(who uuid) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'")
        run.run("verify")
        owner.execute("GRANT EXECUTE ON FUNCTION is_old(uuid) TO pg_monitor")
        assert "is_old(uuid)" in run.run("revert", "--yes", code=3)["error"]["message"]
        owner.execute("REVOKE EXECUTE ON FUNCTION is_old(uuid) FROM pg_monitor")
        run.run("revert", "--yes")
