"""`swap check`: exit code 0 while the run needs nobody, and the reason where it does."""

from __future__ import annotations

from typing import Any

import pytest

from swap.cli.check import problems
from swap.cli.status import EMPTY
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import Connect

NOTHING: dict[str, Any] = EMPTY


def test_healthy_from_before_prepare_to_the_end(operator: MakeOperator) -> None:
    op = operator()
    assert op("check").json == {"healthy": True, "problems": [], "phase": "none", "run_id": None, "next": "swap doctor"}
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
