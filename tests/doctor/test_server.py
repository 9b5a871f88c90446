"""What `doctor` says of the server, of other sessions, and of scans and locks."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from swap.core.config import Config
from swap.core.errors import LockError
from swap.doctor.disk import check_disk
from swap.doctor.examine import examine
from swap.doctor.server import check_ages, check_session, check_version, check_wal, read_server
from tests.support.doctoring import Tool, blockers, configured, named, only


def test_versions() -> None:
    assert [check_version(v).status for v in (140012, 150000, 180006, 190000)] == ["blocker", "ok", "ok", "warning"]


def test_a_pooler_a_standby_and_a_wal_level_are_recognised(tool: Tool) -> None:
    with closing(tool.connect()) as conn:
        server = read_server(conn)
        assert [f.status for f in check_session(server, conn.info.backend_pid)] == ["ok"]
    pooled = only(check_session(server, server.backend_pid + 1))
    assert (pooled.status, pooled.acceptable) == ("blocker", True)
    assert only(check_session(server._replace(standby=True), server.backend_pid)).status == "blocker"
    logical = configured(sync={"mode": "logical"})
    low = server._replace(wal_level="replica", may_replicate=True, slots_used=server.slots_max)
    found = check_wal(low, logical, slot_exists=False)
    assert [f.name for f in found] == ["wal-level", "wal-level"]
    assert "replica" in check_wal(low, logical, slot_exists=True)[0].detail
    assert only(check_wal(low, configured(sync={"mode": "trigger"}), slot_exists=False)).status == "ok"


def test_disk() -> None:
    gb = 1024**3
    assert [check_disk(10 * gb, free).status for free in (None, 5 * gb, 15 * gb, 50 * gb)] == [
        "warning",
        "blocker",
        "warning",
        "ok",
    ]
    assert "about 10 GB needed" in check_disk(10 * gb, 5 * gb).detail


def test_disk_is_seen_by_a_local_role_that_may(tool: Tool) -> None:
    tool.run(f"GRANT pg_read_all_settings TO {tool.role}", superuser=True)
    assert "are free" in only(named(tool.doctor(), "disk")).detail


def test_prepared_and_long_transactions_are_named(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """H34: both hold locks, and no timeout ends them."""
    monkeypatch.setattr("swap.doctor.server.LONG_TRANSACTION_S", 0)
    tool.run(f"GRANT pg_read_all_stats TO {tool.role}", superuser=True)
    with closing(psycopg.connect(tool.conninfo)) as conn:
        conn.execute("SELECT 1")
        tool.run("BEGIN; INSERT INTO users (email) VALUES ('late'); PREPARE TRANSACTION 'it''s'")
        pid = conn.info.backend_pid
        findings = tool.doctor()
    found = only([f for f in named(findings, "long-transactions") if f.object == f"pid {pid}"])
    assert found.status == "warning"
    assert f"pg_terminate_backend({pid})" in found.hint
    prepared = only(named(findings, "prepared-transactions"))
    assert (prepared.status, prepared.object) == ("warning", "it's")
    tool.run(prepared.hint.rpartition("or ")[2])
    assert only(named(tool.doctor(), "prepared-transactions")).status == "ok"


def test_event_triggers_and_overridden_settings(tool: Tool) -> None:
    """H18, H32."""
    tool.run(
        f"""CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
            CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION ev();
            ALTER ROLE {tool.role} SET statement_timeout = '10ms'; ALTER ROLE {tool.role} SET default_transaction_read_only = on""",
        superuser=True,
    )
    findings = tool.doctor()
    assert only(named(findings, "event-triggers", "warning")).object == "watcher"
    assert "statement_timeout=10ms" in only(named(findings, "settings")).detail
    assert blockers(findings) == []


def test_ending_blockers_needs_its_role(tool: Tool) -> None:
    found = named(tool.doctor(cutover={"kill_blockers": "all"}), "statistics-visible", "warning")
    assert any("kill_blockers" in f.detail for f in found)
    tool.run(f"GRANT pg_signal_backend, pg_read_all_stats TO {tool.role}", superuser=True)
    assert only(named(tool.doctor(cutover={"kill_blockers": "all"}), "statistics-visible")).status == "ok"


def test_uuidv7_is_there_on_every_server(tool: Tool) -> None:
    """Before 18 a function of swap's stands in for the server's."""
    found = only(named(tool.doctor(identity={"column": "fresh", "generate": "uuidv7"}), "identity"))
    assert found.status == "ok"


def test_a_scan_that_does_not_end_is_said(tool: Tool) -> None:
    tool.run("CREATE TABLE logs (actor_id bigint); INSERT INTO logs VALUES (1)")
    declared = configured(reference=[{"table": "public.logs", "column": "actor_id", "where": "pg_sleep(60) IS NOT NULL"}])
    with closing(tool.connect()) as conn:
        findings = examine(conn, declared, scan_timeout_ms=100)
    found = only(named(findings, "reference-data"))
    assert (found.status, found.object, found.detail) == ("warning", "public.logs.actor_id", "not checked within 0.1 s")


def test_a_where_cannot_write(tool: Tool) -> None:
    """The scans are read-only: a condition with a side effect is an error, not a change."""
    tool.run("CREATE TABLE logs (actor_id bigint); INSERT INTO logs VALUES (1); CREATE SEQUENCE seen")
    findings = tool.doctor(reference=[{"table": "public.logs", "column": "actor_id", "where": "nextval('public.seen') > 0"}])
    assert any("read-only" in f.detail for f in named(findings, "reference-where"))


def test_a_locked_table_is_not_waited_for(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """I2; afterwards the session has its own setting again."""
    monkeypatch.setattr("swap.doctor.examine.LOCK_WAIT_MS", 100)
    with closing(psycopg.connect(tool.conninfo)) as other, closing(tool.connect()) as conn:
        other.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LockError, match="could not be read"):
            examine(conn, configured())
        assert conn.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_hook_is_missed(tool: Tool) -> None:
    assert only(named(tool.doctor(), "snapshot-hook")).status == "warning"
    assert only(named(tool.doctor(hooks={"pre_swap_snapshot": ["./x.sh"]}), "snapshot-hook")).status == "ok"


def test_full_passes_that_are_rarer_than_a_verification_counts() -> None:
    for full_pass_s, said in ((1800, []), (3600, ["warning"]), (7200, ["warning"])):
        config = Config.model_validate(
            {"source": {"table": "public.users"}, "verify": {"full_pass_s": full_pass_s, "max_age_s": 3600}}
        )
        assert [f.status for f in check_ages(config)] == said
