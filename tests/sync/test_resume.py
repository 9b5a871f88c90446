"""Every command can be killed at any moment and run again, or run twice (I4); one worker at a time; orderly stops."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql

from tests.support.commands import Cli, RunningCli
from tests.support.dump import schema_dump
from tests.support.migration import Driver, install, waiting_for
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_for_lock_wait, wait_until
from tests.support.watched import HOLD, SCHEMA, WatchedOperator


@pytest.fixture
def op(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> WatchedOperator:
    return WatchedOperator(cli, database, connect(database.superuser), tmp_path)


IN_PLACE = """
[identity]
existing = "column"
[[reference]]
table = "public.sessions"
column = "user_id"
strategy = "column"
"""


def in_place(op: WatchedOperator) -> None:
    """From now on both keys are in the application's tables, which `sync` fills."""
    op.config.write_text(op.config.read_text(encoding="utf-8") + IN_PLACE, encoding="utf-8")


@pytest.fixture
def undisturbed(new_database: Callable[[str], Database], server: DatabaseServer) -> Callable[[], str]:
    """The schema after a prepare and a sync that nobody disturbed."""

    def make() -> str:
        db = new_database("template0")
        install(db, SCHEMA)
        m = Driver.begin(db)
        try:
            m.synced()
            return comparable(schema_dump(server, db.dbname), m.plan.tag)
        finally:
            m.conn.close()

    return make


def comparable(dump: str, tag: int) -> str:
    """Objects of swap carry the source's oid, which differs from database to database."""
    return dump.replace(str(tag), "TAG")


# kill -9.


@pytest.mark.parametrize("table", ["users", "sessions"])
def test_prepare_killed_while_it_waits_for_a_lock(
    op: WatchedOperator, connect: Connect, server: DatabaseServer, undisturbed: Callable[[], str], table: str
) -> None:
    """I4: given SIGKILL before capture began, or between two references, when it is run again, then the end state is
    that of a run nobody disturbed."""
    writer = connect(op.db.app)
    writer.execute("BEGIN")
    writer.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(sql.Identifier(table)))
    running = op.start("prepare")
    blocked = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'public.{}'::regclass"
    wait_until(lambda: op.ask(blocked.format(table)), 20, "prepare waits for the table")
    running.kill()
    assert op.phase() == "preparing"
    assert op("status").json["phase"] == "none"
    writer.execute("COMMIT")
    assert op("prepare").json["phase"] == "prepared"
    op.assert_finished()
    tag = op.ask("SELECT 'public.users'::regclass::oid::bigint")
    assert comparable(schema_dump(server, op.db.dbname), tag) == undisturbed()


@pytest.mark.both_modes
@pytest.mark.parametrize("part", ["users", "public.sessions", "identity", "public.sessions.user_uuid_id"])
def test_sync_killed_in_the_middle_of_a_range(op: WatchedOperator, connect: Connect, part: str) -> None:
    """I4: given SIGKILL with a range's rows written and not committed, and writes meanwhile, when it is run again,
    then nothing is missing and nothing is there twice."""
    app = connect(op.db.app)

    def write() -> None:
        app.execute("DELETE FROM users WHERE id = 11000")
        app.execute("UPDATE users SET n = 1 WHERE id = 11001")
        app.execute("UPDATE users SET id = -1 WHERE id = 11002")
        if part != "public.sessions.user_uuid_id":  # whose range holds these rows
            app.execute("DELETE FROM sessions WHERE id = 100; UPDATE sessions SET user_id = 5 WHERE id = 101")

    if part in ("identity", "public.sessions.user_uuid_id"):
        in_place(op)
    op("prepare")
    op.hold(part, 1)
    running = op.start("sync")
    wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "a range is written")
    assert op.phase() == "backfilling"
    if part != "identity":  # whose ranges lock the rows they fill
        write()
    running.kill()
    op.let_go()
    if part == "identity":
        write()
    op.assert_finished()


def test_sync_killed_between_ranges_again_and_again(op: WatchedOperator) -> None:
    """I4: every call goes on where the last one was killed."""
    # Ranges at most double: 5, 10 and 20 thousand rows, so there is a fourth on the fastest machine.
    op.watcher.execute("INSERT INTO users SELECT n, 'user' || n FROM generate_series(12001, 42000) n")
    op.watcher.execute("SELECT setval('users_id_seq', 50000)")
    op("prepare")
    op.hold("users", 2)
    kept = 0
    for number in (2, 3):
        op.watcher.execute(
            sql.SQL(
                "DROP TRIGGER hold ON swap.chunk; CREATE TRIGGER hold BEFORE UPDATE ON swap.chunk FOR EACH ROW"
                " WHEN (NEW.part = 'users' AND NEW.number >= {}) EXECUTE FUNCTION swap.hold()"
            ).format(sql.Literal(number))
        )
        running = op.start("sync")
        wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "a range is written")
        running.kill()
        done = op.ask("SELECT sum(rows) FROM swap.chunk WHERE part = 'users'")
        assert done > kept
        kept = done
        op.let_go()
        wait_until(
            lambda: not op.ask("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'swap %'"), what="its sessions end"
        )
        op.watcher.execute(sql.SQL("SELECT pg_advisory_lock({})").format(sql.Literal(HOLD)))
    status = op("status").json
    assert status["phase"] == "backfilling"
    assert next(t for t in status["tables"] if t["name"] == "public.users")["rows_copied"] == kept
    op.let_go()
    op.assert_finished()


def test_sync_killed_while_it_builds_an_index_concurrently(op: WatchedOperator, connect: Connect) -> None:
    """I4, H38: given an index of a reference left INVALID, when sync is run again, then it is built anew."""
    reader = connect(op.db.app)
    in_place(op)
    op("prepare")
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    invalid = "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid AND i.indrelid = 'public.sessions'::regclass"
    op.hold("public.sessions.user_uuid_id", 1)
    running = op.start("sync")
    wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "the reference is being filled")
    reader.execute("SELECT count(*) FROM sessions")  # a snapshot that the index build has to wait for
    op.let_go()
    name = wait_until(lambda: op.ask(invalid), 20, "the index is being built")
    running.kill()
    op.watcher.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'swap %'")
    assert op.ask(invalid) == name
    reader.execute("COMMIT")
    op.assert_finished()
    assert op.ask(f"SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.{name}'::regclass") is True


@pytest.mark.both_modes
def test_a_killed_sync_that_followed_is_taken_over(op: WatchedOperator, connect: Connect) -> None:
    """I4, I11: given SIGKILL in the middle of a replayed batch."""
    app, other = connect(op.db.app), connect(op.db.owner)
    op("prepare")
    op("sync", "--once")
    other.execute("BEGIN")
    other.execute("SELECT 1 FROM users_new WHERE id = 5 FOR UPDATE")
    app.execute("UPDATE users SET n = n + 1 WHERE id < 10")
    running = op.start("sync")
    blocked = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'swap sync%' AND wait_event_type = 'Lock'"
    wait_until(lambda: op.ask(blocked), 20, "a batch is in hand")
    running.kill()
    other.execute("COMMIT")
    wait_until(
        lambda: not op.ask("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'swap sync%'"), what="its session ends"
    )
    assert op("status").json["pending_changes"] == 9
    op.assert_finished()


# Twice without harm.


@pytest.mark.slow
@pytest.mark.both_modes
def test_every_command_twice(op: WatchedOperator, server: DatabaseServer) -> None:
    """I4: the second call of each finds nothing left to do."""
    first = op("prepare").json
    prepared = schema_dump(server, op.db.dbname)
    assert op("prepare").json == first
    assert schema_dump(server, op.db.dbname) == prepared
    op("sync", "--once")
    synced = schema_dump(server, op.db.dbname)
    assert op("sync", "--once").json["replayed"] == 0
    assert op("prepare").json["phase"] == "syncing"
    assert schema_dump(server, op.db.dbname) == synced
    op("pause")
    op("pause")
    op("resume")
    op("resume")
    assert not op("status").json["paused"]
    op.assert_finished()


# Rows that somebody holds.


@pytest.mark.parametrize("table", ["users", "sessions"])
def test_a_range_holds_no_row_while_others_hold_some(op: WatchedOperator, connect: Connect, table: str) -> None:
    """I1, H62: given a transaction that holds the last row of a range which is being filled, when it goes on to the first, then it
    gets it, and no session waits for the range's rows, nor `sync` for another's. All other rows are filled meanwhile, and what was
    held is filled in the end."""
    in_place(op)
    op("prepare")
    ours, theirs = (connect(op.db.app, options="-c statement_timeout=10s", autocommit=a) for a in (False, True))
    column = sql.Identifier("email" if table == "users" else "user_id")
    hold, update = sql.SQL("SELECT FROM {t} WHERE id = {k} FOR UPDATE"), sql.SQL("UPDATE {t} SET {c} = {c} WHERE id = {k}")
    first, last = op.ask(f"SELECT ARRAY[min(id), max(id)] FROM {table}")
    ours.execute(hold.format(t=sql.Identifier(table), k=sql.Literal(last)))
    running = op.start("sync", "--once")
    running.wait_line("waiting.*others hold rows of a range", 30)
    assert op.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0
    uuid = "uuid_id" if table == "users" else "user_uuid_id"
    assert op.ask(f"SELECT array_agg(id) FROM {table} WHERE {uuid} IS NULL") == [last]
    theirs.execute(update.format(t=sql.Identifier(table), c=column, k=sql.Literal(first + 1)))
    ours.execute(update.format(t=sql.Identifier(table), c=column, k=sql.Literal(first)))
    ours.commit()
    assert running.wait().code == 0
    op.assert_finished()
    assert op.ask(f"SELECT sum(rows) FROM swap.chunk WHERE part ~ '^{part(table)}'") == op.ask(f"SELECT count(*) FROM {table}")


def part(table: str) -> str:
    return "identity" if table == "users" else "public.sessions.user_uuid_id"


# One worker; orderly stops; pause and resume.


@pytest.fixture
def following(op: WatchedOperator) -> RunningCli:
    """A `sync` that has built everything and follows."""
    op("prepare")
    running = op.start("sync")
    running.until(lambda: op.phase() == "syncing", 30, "the build to finish")
    return running


def pending(op: WatchedOperator) -> int:
    return int(op("status").json["pending_changes"])


@pytest.mark.both_modes
def test_a_second_sync_is_refused(op: WatchedOperator, following: RunningCli) -> None:
    """I11, H42: exit 3 and a line that names the session at work; the first goes on."""
    holder = op.ask("SELECT pid FROM swap.lock WHERE name = 'worker'")
    for _ in range(2):
        second = op.cli("sync", config=op.config, dsn=op.db.owner, check=False)
        assert second.code == 3
        assert second.stdout == ""
        lines = second.stderr.strip().splitlines()
        assert len(lines) == 3
        assert f"pid {holder}" in lines[0]
    assert op("prepare").code == 0
    assert following.process.poll() is None
    op.watcher.execute("UPDATE users SET n = 5 WHERE id = 5")
    wait_until(lambda: pending(op) == 0, 20, "the first still replays")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_sync_after_the_batch_in_hand(
    op: WatchedOperator, following: RunningCli, connect: Connect, number: signal.Signals
) -> None:
    """I4: given a batch that waits, when the signal comes, then the batch is finished, and the exit code is 0."""
    app, other = connect(op.db.app), connect(op.db.owner)
    worker = op.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'swap sync'")
    other.execute("BEGIN")
    other.execute("SELECT 1 FROM users_new WHERE id = 5 FOR UPDATE")
    app.execute("UPDATE users SET n = n + 1 WHERE id = 5")
    assert wait_for_lock_wait(op.watcher, worker) == [other.info.backend_pid]
    following.process.send_signal(number)
    assert wait_for_lock_wait(op.watcher, worker) == [other.info.backend_pid]
    assert following.process.poll() is None
    other.execute("COMMIT")
    result = following.wait()
    assert result.code == 0
    assert "stopped after the batch in hand" in result.stdout
    assert op.ask("SELECT n FROM users_new WHERE id = 5") == 1
    assert pending(op) == 0


def test_a_signal_during_backfill_ends_it_after_the_range(op: WatchedOperator) -> None:
    """I4: exit 0, the range in hand committed, and the rest left for the next call."""
    op("prepare")
    op.hold("users", 1)
    running = op.start("sync")
    wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "a range is written")
    running.process.send_signal(signal.SIGTERM)
    op.let_go()
    result = running.wait()
    assert result.code == 0, result.stderr
    assert op.phase() == "backfilling"
    assert op.ask("SELECT count(*) FROM swap.chunk WHERE part = 'users' AND rows > 0") >= 1
    assert op.ask("SELECT count(*) FROM swap.chunk WHERE rows IS NULL") == 0
    op.assert_finished()


@pytest.mark.both_modes
def test_pause_and_resume_from_another_terminal(op: WatchedOperator, following: RunningCli, connect: Connect) -> None:
    """Given a sync that follows, when it is paused, then nothing is replayed, it says why, and `resume` lets it go on."""
    app = connect(op.db.app)
    assert op("pause").json == {"paused": True, "next": "swap resume"}
    following.wait_line("waiting: paused")
    app.execute("UPDATE users SET n = 7 WHERE id = 7")
    status = op("status").json
    assert (status["paused"], status["pending_changes"]) == (True, 1)
    assert op.ask("SELECT n FROM users_new WHERE id = 7") == 0
    assert op("resume").json == {"paused": False, "next": "swap status --watch"}
    wait_until(lambda: op.ask("SELECT n FROM users_new WHERE id = 7") == 7, 20, "replay goes on")
    assert following.terminate().code == 0


def test_pause_holds_the_backfill(op: WatchedOperator) -> None:
    """Given a range in hand, when paused, then no further range begins before `resume`."""
    op("prepare")
    op.hold("users", 1)
    running = op.start("sync")
    wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "a range is written")
    op("pause")
    running.wait_line("waiting: paused")
    op.let_go()
    wait_until(lambda: op.ask("SELECT rows FROM swap.chunk WHERE part = 'users' AND number = 1"), 20, "the range in hand commits")
    chunks = op.ask("SELECT count(*) FROM swap.chunk WHERE part = 'users'")
    assert op("status").json["paused"]
    assert op.ask("SELECT count(*) FROM swap.chunk WHERE part = 'users'") == chunks == 1
    op("resume")
    running.until(lambda: op.phase() == "syncing", 30, "the build to finish")
    assert running.terminate().code == 0
    op.assert_finished()


def test_watching_ends_in_order(op: WatchedOperator) -> None:
    op("prepare")
    watching = op.start("status", "--watch")
    here = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'swap status' AND state = 'idle'"
    wait_until(lambda: op.ask(here) == 1, what="status has asked")
    ended = watching.interrupt()
    assert ended.code == 0
    assert "prepared" in ended.stdout


def test_a_cancelled_statement_is_an_operators_stop(op: WatchedOperator) -> None:
    """I4: given pg_cancel_backend in the middle of a range, then the command says so and can be run again."""
    op("prepare")
    op.hold("users", 1)
    running = op.start("sync")
    wait_until(lambda: waiting_for(op.watcher, HOLD), 20, "a range is written")
    op.watcher.execute(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'swap sync%' AND wait_event = 'advisory'"
    )
    assert running.wait().code == 6
    op.let_go()
    op.assert_finished()
