"""The replication slot under what a server does to it: large and prepared transactions, checkpoints, limits, a slow walsender."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from psycopg import pq

from cutover.run import ExchangeCommand
from swap.core.blockers import blockers
from swap.prepare.slot import Slot, read_slot, slot_name
from swap.sync.logical.barrier import StreamBarrier
from swap.sync.logical.lag import Lag, read_lag
from swap.sync.logical.position import CaptureLostError
from swap.sync.loop import Sync
from tests.logical.test_logical import LOGICAL, settings, stream
from tests.support.cycling import doctor
from tests.support.migration import (
    Driver,
    Migrate,
    Session,
    Synced,
    allow_replication,
    background,
    install,
    migrations,
    waiting_for,
)
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait, wait_until
from tests.sync.test_capture import SCHEMA

WITH_UUID = SCHEMA + "ALTER TABLE users ADD uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();"
PUBLISHED = "SELECT schemaname, tablename, attnames::text[] FROM pg_publication_tables"
MIB = 1024 * 1024


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


def the_slot(m: Driver, conn: Session) -> Slot:
    slot = read_slot(conn, slot_name(conn, m.plan))
    assert slot is not None
    return slot


def the_lag(m: Driver) -> Lag:
    lag = read_lag(m.conn, m.run.plan, m.run.id)
    assert lag is not None
    return lag


def test_a_transaction_larger_than_the_servers_memory_for_it(synced: Synced, database: Database, connect: Connect) -> None:
    """H6: given a transaction with savepoints that decoding spills to disk, and a small one that commits before it, then both
    are captured whole."""
    m = synced(database, SCHEMA, **LOGICAL)
    m.forget()
    superuser, app, other = connect(database.superuser), connect(database.app), connect(database.app)
    with settings(superuser, logical_decoding_work_mem="64kB"), stream(m) as fence:
        with app.transaction():
            app.execute("INSERT INTO users (id, email) SELECT n, 'bulk' || n FROM generate_series(1000, 6000) n")
            with app.transaction(force_rollback=True):
                app.execute("DELETE FROM users WHERE id > 2000")
            with app.transaction():
                app.execute("UPDATE users SET secret = 'later' WHERE id > 5000")
            other.execute("UPDATE users SET secret = 'earlier' WHERE id = 1")
        fence.wait_delivered()
        spilled = "SELECT 1 FROM pg_stat_replication_slots WHERE slot_name = %s AND spill_txns > 0"
        wait_until(lambda: superuser.execute(spilled, [slot_name(m.conn, m.plan)]).fetchone(), what="it was spilled")
        assert set(m.captured()) == {1, *range(1000, 6001)}  # changed twice, a row is one entry or, on a slow machine, two
        m.drain()
        m.assert_same()


def test_a_transaction_that_was_prepared_before_the_slot(migrate: Migrate, database: Database, connect: Connect) -> None:
    """H6, H13: `prepare` waits for it; what it wrote is copied, what comes after is streamed."""
    m = migrate(database, WITH_UUID, cutover={"lock_timeout_ms": 30_000}, **LOGICAL)
    writer, watcher = connect(database.app), connect(database.superuser)
    writer.execute("BEGIN; INSERT INTO users (id, email) VALUES (800, 'in two phases'); PREPARE TRANSACTION 'two'")

    def give_up() -> None:
        writer.execute("ROLLBACK PREPARED 'two'")

    with background(m.prepare, give_up) as prepared:
        assert wait_for_lock_wait(watcher, m.pid) == [0]  # no session
        assert "a prepared transaction" in str(*blockers(watcher, m.pid))
        writer.execute("COMMIT PREPARED 'two'")
        prepared.result()
    writer.execute("UPDATE users SET secret = 'after' WHERE id = 800")
    m.sync()
    m.assert_same()


def test_a_backfill_that_outlasts_checkpoints(synced: Synced, database: Database, connect: Connect) -> None:
    """H13: given a range that is not finished, writers, and checkpoints, then the stream confirms meanwhile, and nothing is
    lost. The slot lets go of the WAL itself when no transaction of before is open any more, the range's own for one."""
    m = synced(database, WITH_UUID, prepared=True, **LOGICAL)
    app, watcher = connect(database.app), connect(database.superuser)
    m.hold_chunks("users", 1)
    watcher.execute("SELECT pg_advisory_lock(1)")

    def let_go() -> None:
        watcher.execute("SELECT pg_advisory_unlock_all()")

    def confirmed_past(position: int) -> bool:
        return the_slot(m, watcher).confirmed >= position

    with background(m.sync, let_go) as finished:
        wait_until(lambda: waiting_for(watcher, 1), what="the range is read")
        for n in range(2):
            app.execute("UPDATE users SET secret = %s WHERE id IN (1, 2)", [str(n)])
            app.execute("DELETE FROM users WHERE id = %s", [n + 6])
            watcher.execute("CHECKPOINT")
            row = watcher.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, pg_switch_wal()").fetchone()
            assert row
            app.execute("UPDATE users SET secret = 'behind it' WHERE id = 3")
            wait_until(partial(confirmed_past, int(row[0])), what="the stream goes on")
        let_go()
        finished.result(30)
    m.assert_same()
    with stream(m) as fence:

        def little_is_kept() -> bool:
            watcher.execute("CHECKPOINT")
            fence.wait_delivered()
            return the_slot(m, watcher).retained_bytes < 16 * MIB

        wait_until(little_is_kept, what="the slot lets go of the WAL")


def test_wal_that_is_kept_too_long_is_foretold_and_lost(synced: Synced, database: Database, connect: Connect) -> None:
    """H13: given max_slot_wal_keep_size and nobody who reads, then status says how much is kept and when the slot will be
    lost; lost, it stops the run by name, and nothing hides it."""
    m = synced(database, SCHEMA, **LOGICAL)
    app, superuser = connect(database.app), connect(database.superuser)
    with settings(superuser, max_slot_wal_keep_size="32MB"):
        app.execute("UPDATE users SET secret = repeat('x', 100)")
        lag = the_lag(m)
        assert (lag.active, lag.problem) == (False, None)
        assert lag.wal_status in ("reserved", "extended")
        assert 0 < lag.lag_bytes <= (lag.retained_bytes or 0)
        assert lag.lag_s >= 0
        assert 0 < (lag.left_bytes or 0) <= 48 * MIB  # to a segment
        assert lag.lost_in_s is not None

        def lost() -> bool:
            app.execute("UPDATE users SET secret = 'more' WHERE id = 1")
            superuser.execute("SELECT pg_switch_wal()")
            superuser.execute("CHECKPOINT")
            return the_lag(m).wal_status == "lost"

        wait_until(lost, 30, "the slot is lost")
        assert "lost" in (the_lag(m).problem or "")
        with pytest.raises(CaptureLostError, match="removed WAL"):
            m.sync()


def test_doctor_counts_walsenders(database: Database, connect: Connect) -> None:
    """H13: every walsender in use is a blocker with logical capture, and none of its business with triggers."""
    install(database, SCHEMA)
    allow_replication(database)

    def found(**config: object) -> list[tuple[str, str]]:
        return [(f.status, f.detail) for f in doctor(database, **config) if f.name == "logical-capture"]

    with ExitStack() as stack:
        used = "SELECT count(*) >= current_setting('max_wal_senders')::int FROM pg_stat_replication"
        watcher = connect(database.superuser)
        assert [status for status, _ in found(**LOGICAL)] == ["ok"]
        while watcher.execute(used).fetchone() == (False,):
            sender = pq.PGconn.connect(f"{database.superuser}?replication=database".encode())
            assert sender.status == pq.ConnStatus.OK, sender.error_message
            stack.callback(sender.finish)
        ((status, detail),) = found(**LOGICAL)
        assert (status, "max_wal_senders" in detail) == ("blocker", True)
        assert found(sync={"mode": "trigger"}) == []


def test_doctor_names_a_standby_that_capture_would_wait_for(database: Database, connect: Connect) -> None:
    """H13: from 17 on the slot fails over, and gets nothing while a standby that the server is to wait for is away."""
    install(database, SCHEMA)
    allow_replication(database)
    superuser = connect(database.superuser)
    if superuser.info.server_version < 170000:
        pytest.skip("slots fail over from 17 on")
    superuser.execute("SELECT pg_create_physical_replication_slot('away')")
    try:
        with settings(superuser, synchronized_standby_slots="away"):
            (found,) = [f for f in doctor(database, **LOGICAL) if f.name == "logical-capture"]
            assert (found.status, found.object) == ("blocker", "away")
            assert [f for f in doctor(database, sync={"mode": "trigger"}) if f.name == "logical-capture"] == []
    finally:
        superuser.execute("SELECT pg_drop_replication_slot('away')")


def test_a_barrier_that_is_not_passed_in_time_rolls_back(synced: Synced, database: Database, connect: Connect) -> None:
    """H10, H13, I2: given a walsender that stops while the lock is held, then the attempt is rolled back within
    max_lock_hold_ms, the publication is the one of before, and the next attempt commits; it turns in that very transaction."""
    limits = {"lock_timeout_ms": 20_000, "max_lock_hold_ms": 800, "max_attempts": 10}
    m = synced(database, SCHEMA, cutover=limits, **LOGICAL)
    assert m.verify().verdict == "identical"
    reader, watcher = connect(database.app), connect(database.superuser)
    reader.execute("BEGIN; SELECT FROM users")
    command = ExchangeCommand(m, "cutover")
    rolled_back = "SELECT detail FROM swap.attempt WHERE outcome = 'rolled_back'"
    with ExitStack() as stack, background(command.execute, reader.close) as cutover:
        wait_for_lock_wait(watcher, m.pid)
        sender = the_slot(m, watcher).active_pid
        assert sender is not None
        os.kill(sender, signal.SIGSTOP)
        stack.callback(os.kill, sender, signal.SIGCONT)
        reader.execute("COMMIT")
        found = wait_until(lambda: watcher.execute(rolled_back).fetchone(), 30, "the attempt is rolled back")
        assert found is not None
        assert "longer than 800 ms" in found[0]
        assert sorted(watcher.execute(PUBLISHED).fetchall()) == [("public", "sessions", ["id"]), ("public", "users", ["id"])]
        stack.close()
        done = cutover.result(60)
    assert done.outcome == "committed"
    assert done.attempts >= 2
    after = [("public", "sessions", ["id"]), ("public", "users", ["id", "legacy_id"])]
    assert [(s, t, sorted(c)) for s, t, c in sorted(watcher.execute(PUBLISHED).fetchall())] == after


@pytest.mark.slow
@pytest.mark.parametrize("then", ["finish", "give up"])
def test_a_change_of_mode_is_killed_on_its_way(operator: MakeOperator, connect: Connect, then: str) -> None:
    """I4, H13: given changes of mode that are killed after some statement, and a write after each, when they are run again in
    the end, then no write is missing; when the run goes on as it was, or is aborted, nothing of the other mode is left."""
    op = operator("fresh", users=60, mode="trigger")
    allow_replication(op.db)
    op("prepare")
    op("sync", "--once")
    app, superuser = connect(op.db.owner), connect(op.db.superuser)
    left = (
        "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()), (SELECT count(*) FROM pg_publication),"
        " (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.users'::regclass AND tgname ~ '^swap_(capture|truncate)')"
    )
    assert superuser.execute(left).fetchone() == (0, 0, 4)

    def killed(mode: str, n: int) -> bool:
        done = op("prepare", "--mode", mode, check=False, env={"SWAP_FAILPOINT": f"kill:{n}"})
        app.execute("INSERT INTO users (email, organization_id) VALUES (%s, 1)", [f"{mode}{n}@example.org"])
        app.execute("UPDATE users SET revision = revision + 1 WHERE email LIKE 'user1%'")
        return done.code != 0

    if then == "finish":
        for mode, there in (("logical", (1, 1, 0)), ("trigger", (0, 0, 4))):
            numbers = itertools.count(8, 10)
            while killed(mode, next(numbers)):
                pass
            assert next(numbers) > 22
            assert superuser.execute(left).fetchone() == there
            op("sync", "--once")
            assert op("verify", "--method", "exact").json["verdict"] == "identical"
    else:
        seen = set()
        for n in itertools.count(14, 4):
            done = not killed("logical", n)
            found = superuser.execute(left).fetchone()
            if done or found == (1, 1, 0):
                break
            seen.add(found)
            op("prepare")
            assert superuser.execute(left).fetchone() == (0, 0, 4)
        assert (1, 1, 4) in seen


@pytest.mark.parametrize("waits", ["delivering", "wait_delivered"])
def test_a_stream_that_delivers_nothing_keeps_nobody_out(
    synced: Synced, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """I13: given a `sync` that waits for a walsender which is stuck, when another command wants to work, then it does while the
    walsender is stuck."""
    m = synced(database, SCHEMA, **LOGICAL)
    watcher, stuck = connect(database.superuser), ExitStack()
    waiting = getattr(StreamBarrier, waits)
    began = threading.Event()

    def stick(barrier: StreamBarrier) -> Any:
        if not began.is_set():
            sender = the_slot(m, watcher).active_pid
            assert sender is not None
            os.kill(sender, signal.SIGSTOP)
            stuck.callback(os.kill, sender, signal.SIGCONT)
            began.set()
        return waiting(barrier)

    monkeypatch.setattr(StreamBarrier, waits, stick)
    other = Driver.resume(database, **LOGICAL)
    with closing(other), stuck, background(Sync(m, jobs=1, once=False).run, m.stop.set) as sync:
        assert began.wait(30)
        with other.locks.taking_over(20):
            assert not sync.done()
        stuck.close()
        m.stop.set()
        assert sync.result(60).reason == "stopped"
