"""The application's own check right after the cutover, and the way back when it fails ([hooks] post_swap_check, I6, I13)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.commands import Cli
from tests.support.cycling import Cycle, Start
from tests.support.operator import Operator
from tests.support.servers import Connect, Database, DatabaseServer

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 40) n;
INSERT INTO sessions (user_id) SELECT id FROM users WHERE id > 20;
"""
FAILS, PASSES = "echo 'login failed' >&2\nexit 3", 'test "$SWAP_PHASE" = cut_over && echo "$SWAP_TABLE"'


@pytest.fixture
def ready(start: Start) -> Cycle:
    made = start(SCHEMA)
    made.ready()
    return made


def test_the_application_is_checked_and_the_way_back_taken(
    ready: Cycle, cli: Cli, database: Database, server: DatabaseServer, connect: Connect, tmp_path: Path
) -> None:
    """Given a check that fails, the cutover is reverted with every write since; or it stays, and says how long a revert takes."""
    script = tmp_path / "check.sh"
    op = Operator(cli, database, tmp_path, f"[hooks]\npost_swap_check = {json.dumps(['./check.sh'])}")
    owner = connect(database.owner)
    env = {"PATH": f"{server.bindir}{os.pathsep}{os.environ['PATH']}"}

    def checks(body: str) -> None:
        script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        script.chmod(0o755)

    def failed(*options: str) -> dict[str, object]:
        result = op("cutover", "--yes", "--no-snapshot", *options, check=False, env=env)
        assert result.code == 6, result
        assert result.json["outcome"] == "committed"
        assert result.json["post_swap_check"]["exit_code"] == 3
        assert result.json["reverse_verification"] == "identical"
        assert "login failed" in result.json["error"]["hint"]
        assert "check.sh failed with exit code 3." in " ".join(result.stderr.split())
        return dict(result.json)

    born = "INSERT INTO users (email) VALUES ('meanwhile')"
    checks(f'psql -X -q -v ON_ERROR_STOP=1 -c "{born}" || exit 9\n{FAILS}')
    back = failed("--revert-on-failure")
    assert dict(back["revert"])["outcome"] == "committed"  # type: ignore[call-overload]
    assert "The cutover was reverted" in str(back["error"])
    assert op.status()["phase"] == "syncing"
    assert owner.execute("SELECT id FROM users WHERE email = 'meanwhile'").fetchone() == (41,)
    op("verify")

    checks(FAILS)
    stays = failed()
    assert "A revert is possible now, and holds writes as long: about " in str(stays["error"])
    status = op.status()
    assert (status["phase"], status["revert"]["possible"]) == ("cut_over", True)
    op("revert", "--yes")
    op("verify")

    checks(PASSES)
    done = op("cutover", "--yes", "--no-snapshot").json
    assert (done["post_swap_check"]["passed"], done["reverse_verification"]) == (True, "identical")
    calls = owner.execute("SELECT name, exit_code, output FROM swap.hook ORDER BY id").fetchall()
    assert [(name, code) for name, code, _ in calls] == [("post_swap_check", 3)] * 2 + [("post_swap_check", 0)]
    assert calls[-1][2] == "public.users"


def test_a_way_back_needs_a_check(ready: Cycle, cli: Cli, database: Database, tmp_path: Path) -> None:
    op = Operator(cli, database, tmp_path, "\n")
    error = op.refused("cutover", "--yes", "--no-snapshot", "--revert-on-failure", code=2)
    assert "post_swap_check" in error["hint"]
    assert op.status()["phase"] == "syncing"
