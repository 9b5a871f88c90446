"""`swap check`: exit code 0 while the run needs nobody, and the reason where it does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from swap.cli.check import problems
from swap.cli.status import EMPTY
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import Connect
from tests.support.waiting import wait_until

NOTHING: dict[str, Any] = EMPTY


def test_healthy_from_before_prepare_to_the_end(operator: MakeOperator) -> None:
    op = operator()
    assert op("check").json == {
        "healthy": True, "problems": [], "warnings": [], "phase": "none", "run_id": None, "next": "swap doctor",
    }  # fmt: skip
    op("prepare")
    assert op("check").json["healthy"]
    op("sync", "--once")
    op("pause")
    assert op("check").json["healthy"], "an operator paused it"
    op("abort", "--yes")
    assert op("check").json["phase"] == "aborted"


def test_a_shadow_that_another_session_dropped(ready_operator: MakeOperator, connect: Connect) -> None:
    op = ready_operator()
    connect(op.db.owner).execute("DROP TABLE public.users_new CASCADE")
    result = op("check", check=False)
    assert result.code == 3
    assert result.json["healthy"] is False
    assert "users_new is missing" in result.json["problems"][0]
    assert "users_new is missing" in result.json["error"]["message"]


def test_capture_that_another_session_altered(ready_operator: MakeOperator, connect: Connect) -> None:
    op = ready_operator(mode="trigger")
    connect(op.db.superuser).execute("ALTER TABLE public.users DISABLE TRIGGER USER")
    assert "capture is not as it was made" in op.refused("check", code=3)["message"]
    op("prepare")
    assert op("check").json["healthy"]


def test_a_database_that_is_away(cli: Cli, ready_operator: MakeOperator) -> None:
    op = ready_operator()
    assert cli("check", config=op.config, dsn="host=127.0.0.1 port=1", check=False).code == 9


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"slot": {"problem": "The slot is lost."}}, "The slot is lost"),
        ({"falling_behind": "more changes come than are replayed"}, "more changes come"),
        ({"verification": {"verdict": "different"}}, "found differences"),
        ({"pooler": [{"pooler": "p:6432", "database": "app", "paused": True}]}, 'RESUME "app"'),
        ({"left_over": "public.users_new exists."}, "users_new exists"),
    ],
)
def test_each_thing_that_needs_a_person(status: dict[str, Any], said: str) -> None:
    (found,) = problems(NOTHING | status)
    assert said in found


@pytest.mark.parametrize(
    "status",
    [
        {"slot": {"problem": None}}, {"paused": True}, {"pending_changes": 5_000_000}, {"verification": {"verdict": "incomplete"}},
        {"pooler": [{"pooler": "p", "database": "app", "paused": False}, {"pooler": "p", "database": "b", "paused": None}]},
    ],
)  # fmt: skip
def test_what_needs_nobody(status: dict[str, Any]) -> None:
    assert list(problems(NOTHING | status)) == []


def test_a_monitoring_plugin(ready_operator: MakeOperator, connect: Connect, cli: Cli) -> None:
    """0, 1, 2 and 3 are OK, WARNING, CRITICAL and UNKNOWN, on one line with what was measured."""
    op = ready_operator()

    def plugin(dsn: str = op.db.owner) -> tuple[int, str]:
        result = cli("check", "--nagios", config=op.config, dsn=dsn, check=False)
        (line,) = result.stdout.splitlines()
        assert result.stderr == ""
        return result.code, line

    code, line = plugin()
    assert (code, line.split(" | ")[0]) == (1, "SWAP WARNING - no `swap sync` runs: nothing is copied or replayed")
    assert re.search(r"\| pending_changes=\d+ .*verification_age=[\d.]+s$", line)
    running = op.start("sync")
    wait_until(lambda: plugin()[0] == 0, what="a worker")
    op("pause")
    assert plugin()[0] == 1
    running.interrupt()
    connect(op.db.owner).execute("DROP TABLE public.users_new CASCADE")
    code, line = plugin()
    assert (code, line.startswith("SWAP CRITICAL - public.users_new is missing")) == (2, True)
    code, line = plugin("host=127.0.0.1 port=1")
    assert (code, line.startswith("SWAP UNKNOWN - ")) == (3, True)
    assert op("check", "--nagios", check=False).json["level"] == "CRITICAL"
