"""The whole cycle under load, by the real commands, as a role that is not a superuser (I1, I3 to I6, I8, I9, H43, H46)."""

from __future__ import annotations

import json
import re

import psycopg
import pytest
from psycopg import sql

from swap.demo.load import Load, check
from tests.support.dump import schema_dump, without_fence
from tests.support.mode import Mode
from tests.support.operator import MakeOperator, Operator
from tests.support.servers import DatabaseServer

MORE = 60


@pytest.mark.sampled(2)
@pytest.mark.timeout(300)
@pytest.mark.both_modes
@pytest.mark.parametrize("variant", ["adopt", "fresh"])
def test_cycle_loses_nothing(operator: MakeOperator, server: DatabaseServer, variant: str, capture_mode: Mode) -> None:
    op = operator(variant)
    before_prepare = schema_dump(server, op.db.dbname)
    visible = op.visible()
    with Load(op.db.app, workers=3, rate=120) as load:
        assert op("doctor").code == 0
        op("prepare")
        sync = op.start("sync")
        sync.until(lambda: op.status()["phase"] == "syncing", 120, "the build to finish")
        assert op.visible() == visible
        assert op("verify").json["verdict"] == "identical"
        with load.quiet():
            before_cutover = schema_dump(server, op.db.dbname)
        done = op("cutover", "--yes", "--no-snapshot").json
        assert done["outcome"] == "committed"
        load.wait_for(MORE, timeout=60)
        assert op.visible() == visible
        status = op.status()
        assert (status["phase"], status["direction"], status["mode"]) == ("cut_over", "reverse", capture_mode)
        assert op("verify", "--method", "exact").json["verdict"] == "identical"
        op("revert", "--yes")
        load.wait_for(MORE, timeout=60)
        assert op.visible() == visible
        assert op.status()["phase"] == "syncing"
        assert without_fence(schema_dump(server, op.db.dbname)) == without_fence(before_cutover)
        assert op("verify").json["verdict"] == "identical"
        op("cutover", "--yes", "--no-snapshot")
        load.wait_for(MORE, timeout=60)
        assert op("verify").json["verdict"] == "identical"
        assert op.visible() == visible
        stats = load.stop()
        report = check(op.db.superuser, load)
        assert stats.errors == ()
        assert report.ok, report.details
        assert report.acknowledged > 0
    op("finalize", "--yes")
    assert sync.wait().code == 0  # sync ends by itself
    assert op.status()["phase"] == "finalized"
    assert op.visible() == visible
    assert op("revert", "--yes", check=False).code == 8
    assert before_prepare != before_cutover


@pytest.mark.sampled(2)
@pytest.mark.timeout(300)
@pytest.mark.both_modes
@pytest.mark.parametrize("variant", ["adopt", "fresh"])
def test_abort_leaves_no_trace(operator: MakeOperator, server: DatabaseServer, variant: str) -> None:
    """H46: also after a cutover and a revert."""
    op = operator(variant)
    before = schema_dump(server, op.db.dbname)
    op("prepare")
    op("abort", "--yes")
    assert schema_dump(server, op.db.dbname) == before
    op("prepare")
    op("sync", "--once")
    op("verify")
    op("cutover", "--yes", "--no-snapshot")
    op("sync", "--once")
    assert op("abort", "--yes", check=False).code == 8
    op("verify")
    op("revert", "--yes")
    op("abort", "--yes")
    assert schema_dump(server, op.db.dbname) == before
    assert op.status()["phase"] == "aborted"
    assert op("abort", "--yes").code == 0


def test_dry_run_prints_what_runs(operator: MakeOperator, server: DatabaseServer) -> None:
    """Dry run, plan and the real run share their statements, as the server's own log shows; a dry run changes nothing."""
    op = operator("adopt")
    before = schema_dump(server, op.db.dbname)
    dry = op("prepare", "--dry-run").json["statements"]
    planned = op("plan").json
    plan = {p["name"]: p["statements"] for p in planned["phases"]}
    assert planned["reads"] == "fast"  # the role sees no snapshots of others
    assert [s["sql"] for s in plan["prepare"]] == [s["sql"] for s in dry]
    assert schema_dump(server, op.db.dbname) == before
    with psycopg.connect(op.db.superuser) as conn:  # goes with the database
        name = sql.Identifier(op.db.dbname)
        conn.execute(sql.SQL("ALTER ROLE swap_owner IN DATABASE {} SET log_statement = 'all'").format(name))
    op("prepare")
    ran(server, dry)
    op("sync", "--once")
    ran(server, [*plan["backfill"], *plan["build"], *plan["references"]])
    op("verify")
    script = op("cutover", "--dry-run").json["statements"]
    assert json.dumps(script) == json.dumps(plan["cutover"])
    assert any("CREATE STATISTICS" in s["sql"] for s in op("cutover", "--dry-run", "--reads", "exact").json["statements"])
    as_superuser(op, "GRANT pg_read_all_stats TO swap_owner")
    try:
        script = exchanges_read_exactly(op, server, script)
    finally:
        as_superuser(op, "REVOKE pg_read_all_stats FROM swap_owner")
    weaker = {"SHARE ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"}  # triggers; a publication
    assert {s["lock"] for s in script} <= {"ACCESS EXCLUSIVE", *weaker, None}
    script = op("abort", "--dry-run").json["statements"]
    op("abort", "--yes")
    ran(server, script)
    ran(server, plan["validate"])  # after the cutover or after the revert: what is NOT VALID then


def exchanges_read_exactly(op: Operator, server: DatabaseServer, fast: list[dict[str, str]]) -> list[dict[str, str]]:
    """A cutover and a revert. What the plan and a dry run print does not depend on how many attempts there were, failed ones too."""
    revert = None
    for command in ("cutover", "revert"):
        script: list[dict[str, str]] = op(command, "--dry-run").json["statements"]
        planned = op("plan").json
        plan = {p["name"]: p["statements"] for p in planned["phases"]}
        assert planned["reads"] == "exact"
        assert script == plan[command]
        if revert is None:
            assert script[: len(fast)] == fast
            revert = plan["revert"]
        op(command, "--yes", *(["--no-snapshot"] if command == "cutover" else []))
        ran(server, script)
        as_superuser(op, "UPDATE swap.fence SET generation = generation + 3 WHERE tag < 0")  # as attempts that failed
        op("verify")
    assert script == revert
    assert op("plan").json["phases"][4]["statements"] == op("cutover", "--dry-run").json["statements"]
    return script


def as_superuser(op: Operator, text: str) -> None:
    with psycopg.connect(op.db.superuser) as conn:
        conn.execute(text.encode())


def ran(server: DatabaseServer, printed: list[dict[str, str]]) -> None:
    """What was printed is in the server's log, word for word. A range's bounds are known only when it is its turn; the
    exchange's locks are taken one after the other, with what is left of the time set between them."""
    log = " ".join(server.log_tail(1_000_000).split())
    for statement in printed:
        text = " ".join(statement["sql"].split())
        parts = text.split("; ") if "LOCK TABLE" in text else re.split(":low|:high", text)
        for part in parts:
            assert part in log, statement
