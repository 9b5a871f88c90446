"""What an operator can take from under a run (H38): each command says what is gone and what to do, what the application
writes meanwhile is as documented, and what RUNBOOK.md says to do then leads on from there."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql

from swap.core.sql_text import verbatim
from tests.support.commands import Cli
from tests.support.dump import schema_dump
from tests.support.migration import Session
from tests.support.mode import Mode
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_until
from tests.support.watched import WatchedOperator

WRITES = (
    b"INSERT INTO users (email) VALUES ('new')",
    b"UPDATE users SET n = 3 WHERE email = 'new'",
    b"INSERT INTO sessions (user_id) SELECT id FROM users WHERE email = 'user2'",
    b"DELETE FROM users WHERE email = 'new'",
)
CUTOVER = ("cutover", "--yes", "--no-snapshot")


@pytest.fixture
def op(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> WatchedOperator:
    return WatchedOperator(cli, database, connect(database.superuser), tmp_path)


@pytest.fixture
def app(connect: Connect, op: WatchedOperator) -> Session:
    return connect(op.db.app)


def write(app: Session) -> list[bool]:
    """Which of WRITES the application can make."""
    done = []
    for statement in WRITES:
        try:
            app.execute(statement)
            done.append(True)
        except psycopg.Error:
            done.append(False)
    return done


def ready(op: WatchedOperator, *, cut_over: bool = False) -> None:
    for command in (("prepare",), ("sync", "--once"), ("verify",), *([CUTOVER] if cut_over else [])):
        op(*command)


def refused(op: WatchedOperator, *args: str, code: int = 3) -> dict[str, str]:
    result = op(*args, check=False)
    assert result.code == code, result
    return dict(result.json["error"])


def drop_under_sync(op: WatchedOperator, what: str) -> str:
    """While a `sync` follows that has nothing to do: what it ends with."""
    running = op.start("sync", "--json")
    works = "SELECT 1 FROM swap.lock JOIN pg_stat_activity USING (pid) WHERE name = 'worker' AND application_name = 'swap sync'"
    wait_until(lambda: op.ask(works), 20, "sync is at work")
    op.watcher.execute(verbatim(f"DROP {what}"))
    result = running.wait()
    assert result.code == 3, result
    return str(result.json["error"]["message"])


def test_the_shadow(op: WatchedOperator, app: Session, server: DatabaseServer) -> None:
    before = schema_dump(server, op.db.dbname)
    ready(op)
    assert "public.users_new is gone" in drop_under_sync(op, "TABLE users_new")
    assert all(write(app))
    assert op("status").json["missing"] == ["public.users_new"]
    assert "swap abort" in refused(op, "sync", "--once")["hint"]
    assert refused(op, "verify", code=5)
    for command in (CUTOVER, ("prepare",)):
        assert "public.users_new is gone" in refused(op, *command)["message"]
    op("abort", "--yes")
    assert schema_dump(server, op.db.dbname) == before
    op("prepare")
    assert op("sync", "--once").json["phase"] == "syncing"


def test_the_retired_table(op: WatchedOperator, app: Session) -> None:
    ready(op, cut_over=True)
    assert "public.users_old is gone" in drop_under_sync(op, "TABLE users_old CASCADE")
    assert all(write(app))
    error = refused(op, "revert", "--yes")
    assert ("public.users_old is gone" in error["message"], "swap finalize" in error["hint"]) == (True, True)
    status = op("status").json
    assert (status["missing"], status["revert"]["possible"]) == (["public.users_old"], False)
    op("finalize", "--yes")
    assert all(write(app))


@pytest.mark.parametrize("cut_over", [False, True], ids=["before", "after"])
def test_the_queue(cut_over: bool, op: WatchedOperator, app: Session, capture_mode: Mode) -> None:
    """With triggers the one loss that the application notices: its writes fail until they are off. A slot keeps WAL."""
    ready(op, cut_over=cut_over)
    queue = f"swap.users_{op.ask('SELECT tag FROM swap.fence')}_changes_0"
    assert f"{queue} is gone" in drop_under_sync(op, f"TABLE {queue}")
    assert all(write(app)) == (capture_mode == "logical")
    error = refused(op, *(("revert", "--yes") if cut_over else CUTOVER))
    assert {"trigger": "may fail", "logical": "go on. The server keeps WAL"}[capture_mode] in error["state"]
    op("finalize" if cut_over else "abort", "--yes")
    assert all(write(app))


@pytest.mark.parametrize("table", ["run", "chunk", "fence", "lock"])
def test_a_table_of_the_journal(table: str, op: WatchedOperator) -> None:
    op("prepare")
    op.watcher.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("swap", table)))
    error = refused(op, "sync", "--once")
    assert f"swap.{table}" in error["message"]
    assert "Something was dropped" in error["hint"]


CHECKS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint WHERE conname ~ '^swap_\\d+_'
"""


def drop_checks(op: WatchedOperator) -> None:
    for (statement,) in op.watcher.execute(CHECKS.encode()).fetchall():
        op.watcher.execute(statement.encode())


@pytest.mark.slow
def test_the_state_schema_before_a_cutover(op: WatchedOperator, app: Session, connect: Connect, capture_mode: Mode) -> None:
    """RUNBOOK.md, 'Something was dropped'."""
    ready(op)
    with pytest.raises(errors.DependentObjectsStillExist):
        connect(op.db.owner).execute("DROP SCHEMA swap")
    assert "The schema swap is gone" in drop_under_sync(op, "SCHEMA swap CASCADE")
    assert all(write(app))
    status = op("status").json
    assert (status["phase"], "users_new" in status["left_over"]) == ("none", True)
    for command in (("sync",), ("verify",), CUTOVER, ("abort", "--yes")):
        assert "Something was dropped" in refused(op, *command, code=8)["hint"]
    drop_checks(op)
    assert all(write(app))
    op.watcher.execute("DROP TABLE users_new")
    for finding in op("doctor", check=False).json["checks"]:
        if finding["status"] == "blocker" and finding["name"] == "names":
            kind = "TABLE" if "the shadow" in finding["detail"] else "INDEX"
            op.watcher.execute(verbatim(f"DROP {kind} IF EXISTS {finding['object']}"))
        elif finding["status"] == "blocker" or finding["name"] == "abandoned-slot":
            assert finding["name"] in {"trigger": (), "logical": ("publication", "abandoned-slot")}[capture_mode]
            op.watcher.execute(verbatim(finding["hint"].partition(";")[0]))
    ready(op, cut_over=True)
    assert all(write(app))


def test_the_state_schema_after_a_cutover(op: WatchedOperator, app: Session) -> None:
    """RUNBOOK.md, 'Something was dropped'."""
    ready(op, cut_over=True)
    assert "The schema swap is gone" in drop_under_sync(op, "SCHEMA swap CASCADE")
    assert write(app) == [False, True, True, True]
    assert "Something was dropped" in refused(op, "revert", "--yes", code=8)["hint"]
    assert "users_old" in op("status").json["left_over"]
    op.watcher.execute(
        "ALTER TABLE users ALTER legacy_id SET DEFAULT nextval('users_id_seq');"
        "ALTER TABLE sessions ALTER user_legacy_id DROP NOT NULL; DROP TABLE users_old"
    )
    op.watcher.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^swap_' AND database = current_database()"
    )
    for (name,) in op.watcher.execute("SELECT pubname FROM pg_publication WHERE pubname ~ '^swap_'").fetchall():
        op.watcher.execute(sql.SQL("DROP PUBLICATION {}").format(sql.Identifier(str(name))))
    op.watcher.execute("ALTER TABLE users REPLICA IDENTITY DEFAULT; ALTER TABLE users ALTER legacy_id DROP NOT NULL")
    drop_checks(op)
    assert all(write(app))
    assert op.ask("SELECT count(*) FROM users WHERE legacy_id IS NULL") == 0
