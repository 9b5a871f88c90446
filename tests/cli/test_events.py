"""Hooks of events and the webhook: what is told, when, and that nothing of it is in the way of an exchange."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from swap.core.hook_settings import EVENTS
from tests.support.commands import CliResult
from tests.support.endpoint import Endpoint
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import Connect, Database

PASSWORD = "pa55 of the owner"
SAYS = """#!/bin/sh
echo "$SWAP_EVENT ${SWAP_PHASE} ${SWAP_EXIT_CODE:-} ${PGPASSWORD:-none} ${SWAP_NOTIFY_URL:-none} $PGDATABASE" >> told
echo "heard of $SWAP_EVENT"
test ! -e "refuse-$SWAP_EVENT" || exit 7
"""


def hooks(directory: Path) -> str:
    (directory / "say.sh").write_text(SAYS, encoding="utf-8")
    (directory / "say.sh").chmod(0o755)
    return "[hooks]\n" + "".join(f"{e} = {json.dumps(['./say.sh'])}\n" for e in EVENTS)


class Told:
    """An operator with a password and a webhook in the environment."""

    def __init__(self, op: Operator, endpoint: Endpoint, directory: Path) -> None:
        self.op, self.endpoint, self.directory = op, endpoint, directory
        self.env = {"SWAP_NOTIFY_URL": endpoint.url, "PGPASSWORD": PASSWORD}

    def __call__(self, *args: str, code: int = 0) -> CliResult:
        result = self.op(*args, check=False, env=self.env)
        assert result.code == code, result
        return result

    def heard(self) -> list[list[str]]:
        """The lines of the hooks since the last call, and that the webhook got the same events."""
        path = self.directory / "told"
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        sent = [r.document["event"] for r in self.endpoint.requests]
        assert sorted(sent) == sorted(words[0] for words in lines)
        assert PASSWORD not in str([r.text for r in self.endpoint.requests])
        self.endpoint.requests.clear()
        return lines


@pytest.fixture
def told(ready_operator: MakeOperator, endpoint: Endpoint, tmp_path: Path) -> Told:
    return Told(ready_operator(hooks(tmp_path)), endpoint, tmp_path)


def test_every_event_of_a_run_is_told_and_a_hook_that_fails_only_warns(told: Told, connect: Connect) -> None:
    owner, name = connect(told.op.db.owner), str(told.op.db.owner)
    database = psycopg.conninfo.conninfo_to_dict(name)["dbname"]
    result = told("sync", "--once")
    assert "heard of caught_up" in result.stderr
    assert told.heard() == [["caught_up", "syncing", "none", "none", database]]

    owner.execute("SET session_replication_role = replica")
    owner.execute("UPDATE users_new SET login_count = -5 WHERE id = 7")
    (told.directory / "refuse-verification_failed").touch()
    result = told("verify", code=5)
    assert "failed with exit code 7" in result.stderr
    (sent,) = [r.document for r in told.endpoint.requests]
    assert (sent["verdict"], sent["differences"], sent["table"], sent["phase"]) == ("different", 1, "public.users", "syncing")
    assert sent["text"] == f"swap: {sent['message']}"
    assert told.heard()[0][:2] == ["verification_failed", "syncing"]
    owner.execute("UPDATE users_new n SET login_count = o.login_count FROM users o WHERE o.id = n.id AND n.id = 7")
    told("verify")

    (told.directory / "refuse-before_cutover").touch()
    result = told("cutover", "--yes", "--no-snapshot", code=6)
    assert "hook before_cutover ./say.sh failed with exit code 7" in result.json["error"]["message"]
    assert result.json["error"]["state"] == "Nothing was changed."
    assert told.op.status()["phase"] == "syncing"
    assert [words[:3] for words in told.heard()] == [["before_cutover", "syncing", "none"], ["failed", "syncing", "6"]]
    (told.directory / "refuse-before_cutover").unlink()

    (told.directory / "refuse-after_cutover").touch()
    result = told("cutover", "--yes", "--no-snapshot")
    assert (result.json["outcome"], "hook after_cutover ./say.sh failed" in result.stderr) == ("committed", True)
    after = next(r.document for r in told.endpoint.requests if r.document["event"] == "after_cutover")
    assert after["locked_ms"] == pytest.approx(result.json["locked_ms"])
    assert [words[:2] for words in told.heard()] == [["before_cutover", "syncing"], ["after_cutover", "cut_over"]]

    told("verify")
    told("revert", "--yes")
    assert [words[:2] for words in told.heard()] == [["after_revert", "syncing"]]
    told("verify")
    (told.directory / "refuse-after_cutover").unlink()
    told("cutover", "--yes", "--no-snapshot")
    told.heard()
    told("finalize", "--yes")
    assert [words[:2] for words in told.heard()] == [["finalized", "finalized"]]
    told("finalize", "--max", code=2)
    told("cutover", "--yes", code=8)
    assert told.heard() == []  # neither had begun anything
    calls = owner.execute("SELECT DISTINCT name, exit_code FROM swap.hook ORDER BY 1, 2").fetchall()
    assert calls == sorted({(e, c) for e in EVENTS for c in (0, 7)} - {
        ("caught_up", 7), ("verification_failed", 0), ("after_revert", 7), ("finalized", 7), ("failed", 7),
    })  # fmt: skip


def test_no_request_begins_between_the_gates_and_the_end_of_the_attempts(told: Told, connect: Connect, tmp_path: Path) -> None:
    """Given an endpoint that fails and a session that holds the table, the events are sent again before the attempts and after
    them, and not meanwhile; the exit code is the cutover's own."""
    told.endpoint.always = 503
    blocker = connect(told.op.db.app)
    with blocker.transaction():
        blocker.execute("LOCK TABLE users IN ROW EXCLUSIVE MODE")
        result = told("cutover", "--yes", "--no-snapshot", "--max-attempts", "4", "--lock-timeout", "500", code=4)
    assert "2 events of this command did not reach the webhook" in result.stderr
    attempts = connect(told.op.db.owner).execute("SELECT min(at), max(at) FROM swap.attempt").fetchone()
    assert attempts is not None
    first, last = attempts
    assert (last - first).total_seconds() > 0.5
    assert [r.document["event"] for r in told.endpoint.requests if r.at < first] != []
    assert [r for r in told.endpoint.requests if first <= r.at <= last] == []


def test_an_address_from_the_environment_is_refused_like_one_of_the_file(
    ready_operator: MakeOperator, database: Database
) -> None:
    op = ready_operator()
    result = op("sync", "--once", check=False, env={"SWAP_NOTIFY_URL": "https://user:hidden@host/"})
    assert (result.code, "hidden" in result.stdout + result.stderr) == (2, False)
    assert "SWAP_NOTIFY_URL must hold no user name" in result.json["error"]["message"]
