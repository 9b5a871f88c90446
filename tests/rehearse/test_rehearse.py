"""`swap rehearse` as an operator runs it: one cycle that must not go, and the pin."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swap.cli.question import rehearsed
from swap.core.config import load_config
from swap.core.connection import Database as Conninfo
from swap.plan.planning import read_plan
from swap.rehearse.commands import Commands
from swap.rehearse.inherited import CLEAR, REFUSE, settle_inherited
from swap.rehearse.pin import unlike
from tests.rehearse.conftest import NewClone
from tests.support.commands import Cli, CliResult
from tests.support.operator import MakeOperator, Operator

SUITE = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as conn:
    print("state", os.environ["SWAP_REHEARSAL_STATE"], "database", os.environ["PGDATABASE"])
    conn.execute("SELECT id + 1 FROM public.users LIMIT 1")
"""
STATEMENTS = """
SELECT * FROM public.users WHERE id = $1;
SELECT count(*) FROM public.sessions s JOIN public.users u ON u.id = s.user_id;
SELECT email FROM public.users WHERE id = 17;
"""
STATES = ["before", "prepared", "cut over", "reverted", "finalized"]


# Planted: a trigger of the DBA's that takes a stronger lock than CREATE TRIGGER does.
PLANTED = """
CREATE FUNCTION public.jealous() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$BEGIN IF current_query() LIKE '%swap_guard_insert%' THEN EXECUTE format('LOCK TABLE public.%s', 'us' || 'ers'); END IF; END$$;
CREATE EVENT TRIGGER jealous ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION public.jealous()
"""


def rehearse(op: Operator, cli: Cli, *args: str) -> CliResult:
    return cli("rehearse", *args, "--dwell", "0", "--json", config=op.config, dsn=op.db.owner, check=False, timeout_s=600)


@pytest.mark.timeout(700)  # a whole cycle, of processes that each import everything
def test_a_suite_and_a_statement_that_only_know_integers(operator: MakeOperator, cli: Cli, tmp_path: Path) -> None:
    """No-go, with the reasons. Production is not touched; pooler and hooks of its configuration are left out."""
    op = operator(
        settings='[hooks]\npre_swap_snapshot = ["/nonexistent"]\n[pgbouncer]\nadmin_dsn = "host=nowhere.invalid dbname=pgbouncer"'
    )
    (tmp_path / "suite.py").write_text(SUITE)
    (tmp_path / "statements.sql").write_text(STATEMENTS)
    with psycopg.connect(op.db.superuser, autocommit=True) as conn:
        conn.execute(PLANTED)
    result = rehearse(
        op, cli, "--clone", "dump", "--check", f"{sys.executable} suite.py", "--check", "true", "--statements", "statements.sql", "--report", "night.html"
    )  # fmt: skip
    with psycopg.connect(op.db.superuser, autocommit=True) as conn:
        conn.execute("DROP EVENT TRIGGER jealous; DROP FUNCTION public.jealous()")
    assert result.code == 5, result.json["reasons"]
    document = result.json
    assert document["verdict"] == "no-go"
    assert {r["kind"] for r in document["reasons"]} == {"check", "statement", "lock"}, document["reasons"]
    assert [s["code"] for s in document["steps"]] == [0] * 12
    checks = [c for c in document["checks"] if "suite.py" in c["check"]]
    assert [(c["state"], c["code"]) for c in checks] == list(zip(STATES, [0, 0, 1, 0, 1], strict=True))
    assert "state before" in checks[0]["output"]
    assert checks[0]["errors"] == []
    assert [(e["sqlstate"], e["statement"]) for e in checks[2]["errors"]] == [
        ("42883", "SELECT id + 1 FROM public.users LIMIT 1")
    ]
    verdicts = {s["sql"]: s["verdict"] for s in document["statements"]}
    by_key, joined, literal = (verdicts[s.strip().removesuffix(";")] for s in STATEMENTS.strip().splitlines())
    assert (by_key, literal) == ("same", "fails")
    assert joined in ("same", "changed")  # the load has added rows, and the server may have counted them
    assert document["statements"][0]["flags"] == ["an integer literal against id"]
    assert document["schema"] == {"lost": [], "changed": []}
    assert document["load"]["writes"] > 0
    assert [document["load"][k] for k in ("lost", "unexpected", "misplaced", "errors")] == [[], [], [], {}]
    assert document["left_out"] == [
        "[pgbouncer]: 1 poolers are not paused", "[hooks] pre_swap_snapshot is not run: no snapshot is made",
    ]  # fmt: skip
    assert {x["verdict"] for x in document["locks"]} >= {"confirmed"}
    mismatches = [x for x in document["lock_statements"] if x["verdict"] == "mismatch"]
    assert {(x["phase"], x["table"], x["said"], x["seen"], x["how"]) for x in mismatches} == {
        ("prepare", "public.users", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE", "tried"),
    }, mismatches  # fmt: skip
    told = {(x["phase"], x["verdict"]) for x in document["lock_statements"]}
    assert told >= {("cutover", "confirmed"), ("revert", "confirmed"), ("finalize", "confirmed"), ("prepare", "held already")}, (
        told
    )
    assert [x for x in document["lock_statements"] if x["verdict"] == "seen only"] == []
    assert document["lock_waits"] is not None  # a private server's log is read
    assert document["samples"]["backlog"]
    assert 0.8 < document["prediction"]["factor"] < 1.25  # bytes: production has some bloat
    with psycopg.connect(op.db.owner) as conn:
        assert conn.execute("SELECT to_regnamespace('swap'), to_regclass('public.users_new')").fetchone() == (None, None)
    _reports(tmp_path / "night.html", document)
    _the_pin(op, tmp_path / "night.json")


def _reports(html: Path, document: dict[str, Any]) -> None:
    page = html.read_text(encoding="utf-8")
    assert '<span class="verdict no-go">' in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
    assert page.count("<svg") >= 4
    stored = json.loads(html.with_suffix(".json").read_text())
    assert stored == {k: document[k] for k in stored}
    assert html.with_suffix(".md").read_text().startswith("# Rehearsal of public.users: no-go\n\n- **check**: ")
    assert html.stat().st_mode & 0o077 == 0


def _the_pin(op: Operator, report: Path) -> None:
    """What was rehearsed is what may be cut over, and nothing else. The clone was a dump: its oids are others."""
    document = {**json.loads(report.read_text()), "verdict": "go", "reasons": []}
    report.write_text(json.dumps(document))
    other = report.with_name("other.json")
    op.config.write_text('[source]\ntable = "public.users"\n')
    op.ready()
    op.config.write_text(op.config.read_text() + "[cutover]\nrequire_rehearsal = true\n")
    assert "no rehearsal was named" in op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]
    document = json.loads(report.read_text())
    for change, said in (
        ({"began_at": "2020-01-01T00:00:00+00:00"}, "s old"),
        ({"began_at": "2999-01-01T00:00:00+00:00"}, "from now: one of two clocks is wrong"),
        ({"verdict": "no-go"}, "says no-go"),
        ({"pin": {**document["pin"], "server_version": 150001}}, "PostgreSQL 15.1 was rehearsed"),
        ({"pin": {**document["pin"], "tool": "0.0.1"}}, "swap 0.0.1 was rehearsed"),
        ({"pin": {**document["pin"], "plan": {**document["pin"]["plan"], "cutover": "x"}}}, "the plan's phase cutover differs"),
    ):
        other.write_text(json.dumps(document | change))
        assert said in op.refused("cutover", "--yes", "--no-snapshot", "--require-rehearsal", str(other), code=3)["message"]
    odd: list[tuple[dict[str, Any], str]] = [
        ({"format": 2}, "another format"), ({"began_at": "2026-01-01T00:00:00"}, "(began_at)"), ({"pin": None}, "as far as its first cutover"),
        ({"pin": {**document["pin"], "plan": 1}}, "(pin.plan)"), ({"kind": "run"}, "(kind)"),
    ]  # fmt: skip
    for change, said in odd:
        other.write_text(json.dumps(document | change))
        assert said in op.refused("cutover", "--yes", "--no-snapshot", "--require-rehearsal", str(other), code=2)["message"]
    _beside(op, report)
    with psycopg.connect(op.db.owner) as conn:
        conn.execute("ALTER TABLE public.users ADD COLUMN later text")
    told = op.refused("cutover", "--yes", "--no-snapshot", "--require-rehearsal", str(report), code=3)["message"]
    assert told == "This is not what was rehearsed: the structure of public.users differs."
    with psycopg.connect(op.db.owner) as conn:
        conn.execute("ALTER TABLE public.users DROP COLUMN later")
    done = op("cutover", "--yes", "--no-snapshot", "--require-rehearsal", str(report.with_suffix(".html")), check=False)
    assert done.code == 0, done
    run = op("report", str(op.status()["run_id"]), "--out", str(report.with_name("run.html"))).json
    assert (run["kind"], run["verdict"], run["reasons"]) == ("run", "cut over", [])
    assert [s["command"].split(" ")[0] for s in run["steps"]] == ["copy", "verify"]
    assert ("cutover", "committed") in {(e["kind"], e["message"]) for e in run["events"]}
    assert "<svg" in report.with_name("run.html").read_text()
    op.refused("report", "77", code=2)
    for again in (
        ("verify",),
        ("revert", "--yes"),
        ("verify",),
        ("cutover", "--yes", "--no-snapshot", "--require-rehearsal", str(report)),
    ):
        op(*again)  # the rehearsal's cycle had the revert too: the same report is good for the next try


def _beside(op: Operator, report: Path) -> None:
    """`swap status` shows what was predicted beside what the run takes; and the question before a cutover begins with it."""
    said = json.loads(report.read_text())["prediction"]
    predicted = {p["command"].split()[1]: p["seconds"] for p in reversed(said["phases"])}  # the first of a name
    document = op("status", "--rehearsal", str(report)).json["rehearsal"]
    assert [(s["name"], s["expected_s"], s["running"]) for s in document["steps"]] == [
        (name, predicted[name], False) for name in ("sync", "verify")
    ]
    assert (document["expected_locked_ms"], document["locked_ms"]) == ([said["locked_ms"]["low"], said["locked_ms"]["high"]], [])
    told = op.cli("status", "--rehearsal", str(report), config=op.config, dsn=op.db.owner).stdout
    assert re.search(r"^rehearsed +go, .* ago$", told, re.MULTILINE), told
    assert re.search(r"^rehearsed +sync: [\d.]+ s \([\d.]+ s to [\d.]+ s\) predicted, [\d.]+ s taken$", told, re.MULTILINE), told
    lines = [str(line) for line in rehearsed(report.with_suffix(".html"))]
    assert re.search(r"^rehearsed +go, .* ago; writers were held [\d.]+ ms to [\d.]+ ms$", lines[0]), lines
    assert re.search(r"expected: cutover [\d.]+ s, revert [\d.]+ s$", lines[1]), lines
    assert [str(line) for line in rehearsed(None)] == ["rehearsed  no report was named (--require-rehearsal)"]
    op.refused("status", "--rehearsal", str(op.config), code=2)


def test_a_clone_that_is_not_as_production_is(operator: MakeOperator, new_clone: NewClone) -> None:
    """A cutover would refuse its rehearsal: so it is told before."""
    op = operator(settings="\n")
    there, here = (Conninfo.from_options(dsn, "test") for dsn in (op.db.owner, new_clone(op.db).owner))
    with there.session() as conn, here.session() as clone:
        plan = read_plan(clone, load_config(op.config))
        assert unlike(conn, clone, plan) == []
        conn.execute("CREATE INDEX later ON public.sessions (user_id, created_at)")
        clone.execute("ALTER TABLE public.users ADD COLUMN later text")
        assert unlike(conn, clone, plan) == [f"the structure of public.{t} differs" for t in ("sessions", "users")]


def test_an_inherited_run(ready_operator: MakeOperator, cli: Cli, tmp_path: Path, new_clone: NewClone) -> None:
    """A clone with production's own run in it: refused, unless it is said what becomes of that."""
    op = ready_operator()
    clone = new_clone(op.db)
    refused = rehearse(op, cli, "--on", clone.owner)
    assert refused.code == 3
    assert "--inherited clear" in refused.json["error"]["hint"]
    config = load_config(op.config)
    commands = Commands(clone.owner, op.config, tmp_path)
    with Conninfo.from_options(clone.owner, "test").session() as conn:
        assert settle_inherited(conn, config, commands, CLEAR) == "an inherited run (syncing) was cleared in the clone"
        assert settle_inherited(conn, config, commands, REFUSE) is None
        assert conn.execute("SELECT to_regclass('public.users_new')").fetchone() == (None,)


def test_options_that_do_not_fit(operator: MakeOperator, cli: Cli) -> None:
    op = operator(settings="\n")
    for args, said in (
        ((), "Name the clone"),
        (("--clone", "hook"), "belong together"),
        (("--clone", "hook", "--hook", ""), "--hook is empty"),
        (("--on", " "), "--on is empty"),
        (("--on", "x", "--clone-dsn", op.db.superuser), "--clone-dsn is about"),
        (("--clone", "basebackup", "--keep"), "--keep is not possible"),
        (("--clone", "dump", "--keep"), "--keep is not possible"),
        (("--clone", "dump", "--report", "/nowhere/x.html"), "No such file or directory: /nowhere"),
        (("--clone", "dump", "--report", "/tmp"), "/tmp is a directory"),
        (("--on", "garbage"), "--on: The connection string"),
    ):
        result = rehearse(op, cli, *args)
        assert (result.code, said in result.json["error"]["message"]) == (2, True), (args, result.json)
    for args in (("--on", "host=127.0.0.1 port=1"), ("--clone", "template", "--clone-dsn", "host=127.0.0.1 port=1")):
        result = rehearse(op, cli, *args)
        assert (result.code, result.json["error"]["message"].split(":")[0]) == (9, args[-2]), result.json
        assert args[-2] in result.json["error"]["hint"]
