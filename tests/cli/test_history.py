"""Who did what: every command that writes is journalled with its options, its end and its machine, and one that was killed too."""

from __future__ import annotations

import socket

import swap
from swap.cli.recorded import given
from tests.support.operator import MakeOperator
from tests.support.waiting import wait_until


def test_what_was_done_to_a_run(operator: MakeOperator) -> None:
    op = operator(users=60, settings="\n")
    assert op("history").json["commands"] == []
    op("prepare")
    op("sync", "--once", "--jobs", "1")
    op.refused("cutover", "--yes", "--no-snapshot", code=3)
    running = op.start("sync")
    wait_until(lambda: op.status()["worker"]["running"], what="the worker")
    running.process.kill()
    running.wait()
    op("verify")
    told = op("history").json
    done = [(c["command"], c["exit_code"]) for c in told["commands"]]
    assert done == [("swap prepare", 0), ("swap sync", 0), ("swap cutover", 3), ("swap sync", None), ("swap verify", 0)]
    prepare, sync, cutover, killed, verify = told["commands"]
    assert (sync["options"], sync["host"], sync["role"]) == ("--once --jobs 1 --json", socket.gethostname(), "swap_owner")
    assert sync["version"] == swap.__version__
    assert sync["outcome"].startswith("caught up: syncing")
    assert "no verification" in cutover["outcome"]
    assert (killed["ended"], verify["outcome"], prepare["ended"]) == (False, "identical", True)
    assert {"prepared", "syncing"} <= {e["kind"] for e in told["events"]}
    text = op.cli("history", config=op.config, dsn=op.db.owner).stdout
    assert "swap sync: has not ended, or was killed; " in text
    assert "swap cutover --yes --no-snapshot --json: " in text
    assert [c["command"] for c in op("history", "--limit", "1").json["commands"]] == ["swap verify"]


def test_no_connection_string_is_kept() -> None:
    arguments = ["--once", "--dsn", "postgresql://a:secret@h/d", "--on=host=x password=secret", "--jobs", "2"]
    assert given(arguments) == "--once --jobs 2"
    assert "secret" not in given(["postgresql://a:secret@h/d", "--json"])
