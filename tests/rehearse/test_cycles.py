"""Whole rehearsals that go, one for each kind of clone, of load and of inheritance (`make soak`): each is minutes of processes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psycopg
import pytest

from swap.demo.server import Server
from tests.rehearse.conftest import Databases, NewClone
from tests.rehearse.test_rehearse import rehearse
from tests.support.commands import Cli
from tests.support.operator import MakeOperator
from tests.support.servers import DatabaseServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

SCRIPT = "UPDATE public.users SET login_count = login_count + 1 WHERE email = (SELECT min(email) FROM public.users);\n"
HOOK = """#!/bin/sh
echo "$SWAP_CLONE_ACTION" >> {directory}/calls
[ "$SWAP_CLONE_ACTION" = remove ] || echo '{dsn}'
"""


@pytest.mark.parametrize("kind", ["template", "dump", "basebackup", "hook", "on"])
def test_each_kind_of_clone_goes(
    operator: MakeOperator, cli: Cli, tmp_path: Path, databases: Databases, new_clone: NewClone, server: DatabaseServer, kind: str
) -> None:
    """With a script of pgbench, with a command, and with the mix; and nothing is left."""
    if kind in ("dump", "basebackup") and not isinstance(server, Server):
        pytest.skip("the programs of a server in a container are in that container")
    op = operator(settings="\n")
    clone = new_clone(op.db)
    (tmp_path / "load.sql").write_text(SCRIPT)
    hook = tmp_path / "clone.sh"
    hook.write_text(HOOK.format(directory=tmp_path, dsn=clone.owner))
    hook.chmod(0o755)
    how = {
        "template": ("--clone", "template", "--clone-dsn", op.db.superuser, "--load", "load.sql"),
        "dump": ("--clone", "dump"),
        "basebackup": ("--clone", "basebackup", "--clone-dsn", op.db.superuser),
        "hook": ("--clone", "hook", "--hook", str(hook), "--load", "sh -c 'exec sleep 3600'"),
        "on": ("--on", clone.owner, "--load", "none"),
    }[kind]
    if kind == "on":
        with psycopg.connect(op.db.owner, autocommit=True) as conn:
            conn.execute("CREATE INDEX later ON public.sessions (user_id, id)")
    before = databases()
    result = rehearse(op, cli, *how, "--check", "true")
    assert result.code == 0, (result.json.get("reasons"), result.json["error"])
    document = result.json
    assert [s["code"] for s in document["steps"]] == [0] * 12
    assert {c["code"] for c in document["checks"]} == {0}
    assert document["schema"] == {"lost": [], "changed": []}
    assert databases() == before
    told = [w for w in document["warnings"] if w.startswith("the clone is not what production is now")]
    assert [w.rpartition(": ")[2] for w in told] == ["the structure of public.sessions differs"] * (kind == "on")
    if kind == "template":
        assert document["load"]["transactions"] > 0
    if kind == "hook":
        assert (tmp_path / "calls").read_text().split() == ["create", "remove"]
    with psycopg.connect(op.db.owner) as conn:
        assert conn.execute("SELECT to_regnamespace('swap')").fetchone() == (None,)


def test_an_inherited_run_is_taken_over(ready_operator: MakeOperator, cli: Cli, new_clone: NewClone) -> None:
    """It goes on from where it is, verifies anew, and says so."""
    op = ready_operator()
    result = rehearse(op, cli, "--on", new_clone(op.db).owner, "--inherited", "take-over")
    assert result.code == 0, (result.json.get("reasons"), result.json["error"])
    assert result.json["warnings"][0].startswith("an inherited run (syncing) was taken over")
    assert [s["code"] for s in result.json["steps"]] == [0] * 12
    assert op.status()["phase"] == "syncing"


@pytest.mark.parametrize("phase", ["prepare", "sync --once", "verify", "cutover", "revert", "finalize"])
def test_an_impatient_operator_stops_it_in_each_phase(operator: MakeOperator, cli: Cli, databases: Databases, phase: str) -> None:
    """Given logical capture, when Ctrl-C is pressed twice, then the clone, its slots and every session in it are gone, and production is
    as it was."""
    op = operator(settings="\n", mode="logical")
    before = databases()
    running = cli.start(
        "rehearse", "--clone", "template", "--clone-dsn", op.db.superuser, "--dwell", "0", "--json", config=op.config, dsn=op.db.owner,
    )  # fmt: skip
    running.wait_line(rf"\$ swap {phase}", timeout_s=600)
    (clone,) = databases() - before
    for _ in range(2):
        os.kill(running.pid, signal.SIGINT)
    ended = running.wait()
    assert (ended.code, json.loads(ended.stdout)["error"]["code"]) == (6, 6)
    assert databases() == before
    with psycopg.connect(op.db.superuser) as conn:
        assert conn.execute("SELECT slot_name FROM pg_replication_slots WHERE database = %s", [clone]).fetchall() == []
        assert conn.execute("SELECT to_regnamespace('swap')").fetchone() == (None,)
