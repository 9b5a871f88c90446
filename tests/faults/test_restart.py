"""The server is restarted under every command (H37, I4): it ends with exit code 9, a verification with 5 or 9, and what it was
doing goes on when it is run again. A fast shutdown: sessions are ended in the middle of a statement, and told so."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from tests.support.commands import Cli, RunningCli
from tests.support.migration import waiting_for
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_until
from tests.support.watched import HOLD, WatchedOperator

CUTOVER = ("cutover", "--yes", "--no-snapshot")


@pytest.fixture
def op(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> WatchedOperator:
    return WatchedOperator(cli, database, connect(database.superuser), tmp_path)


@pytest.mark.parametrize("held", ["users", "public.sessions"])
def test_in_a_backfill(held: str, op: WatchedOperator, server: DatabaseServer, connect: Connect) -> None:
    op("prepare")
    op.hold(held, 1)
    running = op.start("sync", "--json")
    wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "a range is written")
    restart(op, server, connect, running)
    op.assert_finished()


@pytest.mark.slow
def test_in_every_other_phase(op: WatchedOperator, server: DatabaseServer, connect: Connect) -> None:
    """One after the other, on one database: prepare, an index build, following, a verification, a cutover's wait for its lock,
    following in reverse, a revert's wait."""
    blocked = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'swap {}%' AND wait_event_type = 'Lock'"

    def hold(statement: str) -> None:
        holder = connect(op.db.superuser)
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute(statement.encode())

    def interrupted(*args: str, code: tuple[int, ...] = (9,)) -> None:
        running = op.start(*args, "--json")
        wait_until(lambda: op.ask(blocked.format(args[0])), 20, f"{args[0]} waits")
        restart(op, server, connect, running, code)

    hold("LOCK TABLE sessions IN ROW EXCLUSIVE MODE")
    interrupted("prepare")
    op("prepare")
    hold("LOCK TABLE sessions_new IN ROW EXCLUSIVE MODE")
    interrupted("sync", "--once")  # the backfill goes on, CREATE INDEX waits
    op.assert_finished()
    follow(op, server, connect)
    hold("LOCK TABLE users_new IN ACCESS EXCLUSIVE MODE")
    interrupted("verify", code=(5, 9))
    assert op("verify").json["verdict"] == "identical"
    hold("SELECT count(*) FROM users")
    interrupted(*CUTOVER)
    assert op("status").json["phase"] == "syncing"
    assert op(*CUTOVER).json["outcome"] == "committed"
    follow(op, server, connect)
    assert op("verify").json["verdict"] == "identical"
    hold("SELECT count(*) FROM users")
    interrupted("revert", "--yes")
    assert op("revert", "--yes").json["outcome"] == "committed"
    op.assert_finished()


def restart(
    op: WatchedOperator, server: DatabaseServer, connect: Connect, running: RunningCli, code: tuple[int, ...] = (9,)
) -> None:
    server.restart()
    result = running.wait()
    assert result.code in code, result
    assert "Traceback" not in result.stderr
    op.watcher = connect(op.db.superuser)


def follow(op: WatchedOperator, server: DatabaseServer, connect: Connect) -> None:
    """A `sync` that follows, with a batch in hand that has to wait."""
    table, key = ("users_new", "id") if op.phase() == "syncing" else ("users_old", "legacy_id")
    other = connect(op.db.owner)
    other.execute("BEGIN")
    other.execute(sql.SQL("SELECT 1 FROM {} WHERE id = 5 FOR UPDATE").format(sql.Identifier(table)))
    op.watcher.execute(sql.SQL("UPDATE users SET n = n + 1 WHERE {} = 5").format(sql.Identifier(key)))
    running = op.start("sync", "--json")
    wait_until(
        lambda: op.ask("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'swap sync%' AND wait_event_type = 'Lock'"),
        20,
        "a batch is in hand",
    )
    restart(op, server, connect, running)
    assert op("sync", "--once").json["pending_changes"] == 0
