"""Logical capture: every commit reaches the change table once at least, and no row is read before it can be seen."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

import swap.sync.logical.position
from swap.core.connection import Connection
from swap.core.errors import DefectError, RefusedError
from swap.ddl.change_tables import change_table
from swap.demo.load import Load
from swap.prepare.slot import Slot, end_slot, read_slot, slot_name
from swap.sync.logical.barrier import StreamBarrier, delivered, streaming
from swap.sync.logical.position import CaptureLostError, check_journalled
from swap.sync.logical.stream import Stream
from swap.sync.replay import Barrier, replay_all
from tests.support.cycling import doctor
from tests.support.migration import Driver, Migrate, Session, Synced, allow_replication, background, install, migrations
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_for_lock_wait, wait_until
from tests.sync.test_capture import SCHEMA

LOGICAL = {"sync": {"mode": "logical"}}


@pytest.fixture
def migrate() -> Iterator[Migrate]:
    yield from migrations()


@pytest.fixture
def m(synced: Synced, database: Database) -> Driver:
    made = synced(database, SCHEMA, **LOGICAL)
    made.forget()
    return made


@pytest.fixture
def app(connect: Connect, database: Database, m: Driver) -> Session:
    return connect(database.app)


@contextmanager
def stream(m: Driver) -> Iterator[StreamBarrier]:
    """The stream of the run, as `sync` reads it, and its barrier."""
    with streaming(m.database, m.run.plan, m.run.id) as barrier:
        assert barrier is not None
        yield barrier


@contextmanager
def foreign_fence(m: Driver) -> Iterator[Barrier]:
    """That of a verification; `m.stop` ends it."""
    with delivered(m.database, m.run, lambda: "stopped" if m.stop.is_set() else "") as barrier:
        assert barrier is not None
        yield barrier


def sync_once(m: Driver) -> None:
    assert m.sync().reason == "caught_up"


def takeover(m: Driver) -> None:
    with m.locks.taking_over(), stream(m) as own:
        own.wait_delivered()


@contextmanager
def settings(superuser: Session, **values: str) -> Iterator[None]:
    """Settings of the whole server for the length of a test."""
    try:
        for name, value in values.items():
            superuser.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        reload(superuser)
        for name, value in values.items():
            wait_until(partial(_is_set, superuser, name, value))
        yield
    finally:
        for name in values:
            superuser.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
        reload(superuser)


def _is_set(superuser: Session, name: str, value: str) -> bool:
    return superuser.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


def reload(superuser: Session) -> None:
    superuser.execute("SELECT pg_reload_conf()")


def test_writers_in_every_kind_of_transaction(m: Driver, app: Session, database: Database, connect: Connect) -> None:
    """H6, H7: savepoints, rollbacks, two phases, replica role; a column added in between; a transaction of many chunks."""
    replica = connect(database.superuser)
    replica.execute("SET session_replication_role = replica")
    with stream(m) as barrier:
        with app.transaction():
            app.execute("UPDATE users SET secret = 'a' WHERE id = 1")
            with app.transaction(force_rollback=True):
                app.execute("DELETE FROM users WHERE id = 2")
            with app.transaction():
                app.execute("UPDATE users SET secret = 'c' WHERE id = 3")
        with app.transaction(force_rollback=True):
            app.execute("TRUNCATE users CASCADE")
        replica.execute("UPDATE users SET secret = 'r' WHERE id = 4")
        app.execute("BEGIN; UPDATE users SET secret = 'p' WHERE id = 5; PREPARE TRANSACTION 'two'")
        barrier.wait_delivered()
        assert m.captured() == [1, 3, 4]
        m.drain()
        app.execute("COMMIT PREPARED 'two'")
        with closing(psycopg.connect(database.owner, autocommit=True)) as owner:
            owner.execute("ALTER TABLE users ADD extra text")
            app.execute("UPDATE users SET extra = 'e' WHERE id = 6")
            owner.execute("ALTER TABLE users DROP extra")
        app.execute("INSERT INTO users (id, email) SELECT n, 'bulk' || n FROM generate_series(1000, 26000) n")
        barrier.wait_delivered()
        assert sorted(m.captured())[3:5] == [5, 6]  # type: ignore[type-var]
        m.drain()
        m.assert_same()


def test_a_change_that_arrives_after_the_watermark_passed_its_transaction(m: Driver, app: Session) -> None:
    """H8 in logical mode: given a commit that was not delivered yet, when replay ends complete far beyond its id, then
    it is due as soon as it arrives."""
    app.execute("UPDATE users SET secret = 'late' WHERE id = 1")
    (xid,) = app.execute("SELECT pg_current_xact_id()::text").fetchone() or ("0",)
    m.replay()
    m.conn.execute(sql.SQL("UPDATE {} SET watermark = pg_current_snapshot()::text").format(sql.Identifier("swap", "capture")))
    assert m.watermark().sees(int(xid) - 1)
    assert m.differences() == [1]
    with stream(m) as barrier:
        barrier.wait_delivered()
        assert m.pending() == 1
        m.drain()
    m.assert_same()


def test_a_decoded_commit_that_is_not_visible_is_replayed_when_it_is(
    m: Driver, app: Session, database: Database, connect: Connect
) -> None:
    """H9: given a commit that waits for a synchronous standby that does not answer, when it is decoded, then replay neither
    takes the old row for the new one nor forgets the key, and what others commit goes on."""
    superuser, other = connect(database.superuser), connect(database.app)
    m.conn.execute("SET synchronous_commit = local")
    superuser.execute("SET synchronous_commit = local")
    other.execute("SET synchronous_commit = local")
    with stream(m) as barrier, settings(superuser, synchronous_standby_names="nobody"):

        def stop() -> None:
            superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            reload(superuser)

        with background(lambda: app.execute("UPDATE users SET secret = 'waits' WHERE id = 1"), stop) as commit:
            wait_until(lambda: 1 in m.captured(), what="the commit is decoded")
            assert not commit.done()
            assert m.replay().complete
            assert m.pending() == 1
            assert m.differences() == []  # nobody sees the new row yet
            other.execute("UPDATE users SET secret = 'goes on' WHERE id = 2")
            barrier.wait_delivered()
            m.replay()
            assert m.differences() == []
            assert m.pending() >= 1
            watermark = m.watermark()
            assert len(watermark.xip) >= 1
            assert m.replay().complete
            stop()
            commit.result(timeout=30)
        m.drain()
    assert m.pending() == 0
    m.assert_same()


def test_a_barrier_lies_behind_commits_that_were_not_flushed(
    m: Driver, app: Session, database: Database, connect: Connect
) -> None:
    """H10: given writers with synchronous_commit = off, when a barrier is passed, then nothing that was visible before it
    is missing; a flushed or sent position would not say so."""
    superuser = connect(database.superuser)
    app.execute("SET synchronous_commit = off")
    with settings(superuser, wal_writer_delay="10s"), stream(m) as barrier:
        for n in range(20):
            app.execute("UPDATE users SET secret = %s WHERE id = 1", [str(n)])
            barrier.wait_delivered()
            assert m.captured().count(1) == n + 1


def test_rows_that_exchange_values_before_all_of_it_is_delivered(m: Driver, app: Session) -> None:
    """H3 in logical mode: given a queued key whose row now holds a value that a key not delivered yet gave up, then replay
    passes a barrier and takes both; without one it is a defect, and says so."""
    with stream(m) as barrier:
        app.execute("UPDATE users SET secret = 'first' WHERE id = 1")
        barrier.wait_delivered()
    app.execute("UPDATE users SET email = 'free' WHERE id = 2")
    app.execute("UPDATE users SET email = 'user2' WHERE id = 1")
    with pytest.raises(DefectError, match="no queued change explains"):
        m.replay()
    with stream(m) as barrier:
        m.replay(barrier=barrier)
        m.drain()
    m.assert_same()


def test_rows_exchange_values_behind_the_fence(m: Driver, app: Session) -> None:
    """H3: given an exchange of unique values that arrives with the barrier itself, then the whole queue is taken in two passes."""
    with stream(m) as barrier:
        app.execute("UPDATE users SET email = 'free' WHERE id = 2")
        app.execute("UPDATE users SET email = 'user2' WHERE id = 1")
        app.execute("UPDATE users SET email = 'user1' WHERE id = 2")
        replay_all(m, barrier)
        m.assert_same()


def test_verification_fences_first(m: Driver, app: Session) -> None:
    """DESIGN 9: given changes that nobody has delivered, and no `sync`, when it verifies, then they are pending, not different."""
    app.execute("UPDATE users SET secret = 'undelivered' WHERE id IN (1, 2)")
    app.execute("DELETE FROM users WHERE id = 9")
    assert set(m.differences()) == {1, 2, 9}
    report = m.verify()
    assert report.verdict == "identical", report
    assert report.tables[0].pending == 3
    assert m.locks.try_worker()


@pytest.mark.parametrize("who", [sync_once, takeover])
def test_a_verification_that_reads_the_slot_lets_go(
    m: Driver, app: Session, monkeypatch: pytest.MonkeyPatch, who: Callable[[Driver], None]
) -> None:
    """H42: given a verification that runs the stream itself, and however long the slot takes, when somebody is to move data,
    then he is not refused, and delivers what it waits for."""
    reads = threading.Event()

    def takes_long(stream: Stream, position: int, timeout_s: float) -> bool:
        if threading.current_thread() is not threading.main_thread():
            reads.set()
            return threading.Event().wait(timeout_s)
        return wait_past(stream, position, timeout_s)

    wait_past = Stream.wait_past
    monkeypatch.setattr(Stream, "wait_past", takes_long)
    app.execute("UPDATE users SET secret = 'undelivered' WHERE id = 1")
    with foreign_fence(m) as barrier, background(barrier.wait_delivered, m.stop.set) as closed:
        assert reads.wait(30)
        who(m)
        closed.result(30)


def test_a_slot_that_goes_meanwhile_ends_a_verification(m: Driver) -> None:
    """Given a verification that waits for the stream, which `finalize` or `abort` has ended, then it does not wait on: it holds
    the change tables, for which they wait before they are done."""
    assert m.locks.try_worker()
    with foreign_fence(m) as barrier:
        end_slot(m.conn, m.plan)
        with pytest.raises(RefusedError, match="is gone while"):
            barrier.wait_delivered()


def test_what_is_not_streamed_yet_survives_kill_and_crash(
    operator: MakeOperator, server: DatabaseServer, connect: Connect
) -> None:
    """I4: given a stream that is killed and a server that crashes, then every change is replayed, once at least."""
    op = operator("fresh", mode="logical")
    op.ready()
    sync, app = op.start("sync"), connect(op.db.owner)
    for n in range(200):
        app.execute("UPDATE organizations SET name = %s WHERE id = 1", [str(n)])
        app.execute("INSERT INTO users (email, organization_id) VALUES (%s, 1)", [f"k{n}@example.org"])
    sync.kill()
    for n in range(200, 300):
        app.execute("INSERT INTO users (email, organization_id) VALUES (%s, 1)", [f"k{n}@example.org"])
    server.crash()
    server.restart()
    again = connect(op.db.owner)
    again.execute("DELETE FROM users WHERE email = 'k7@example.org'")
    op("sync", "--once")
    assert op("verify", "--method", "exact").json["verdict"] == "identical"
    assert op.status()["pending_changes"] == 0


def test_a_record_that_a_crash_tore_apart(operator: MakeOperator, server: DatabaseServer, connect: Connect) -> None:
    """I4, I7: the walsender waits for the page that its rest would have been on; without load nobody else fills that."""
    op = operator("fresh", mode="logical")
    op.ready()
    superuser = connect(op.db.superuser)
    # The WAL writer writes whole pages: two of the three that the record is on. Almost all of the third one is its rest.
    length = "3 * 8192 - 500 - (pg_current_wal_insert_lsn() - '0/0') % 8192"
    torn = f"SELECT (pg_logical_emit_message(false, 'torn', repeat('x', ({length})::int)) - '0/0')::bigint"
    ((end,),) = superuser.execute(torn).fetchall()
    written = "SELECT pg_current_wal_flush_lsn() - '0/0' >= %s"
    wait_until(lambda: superuser.execute(written, [end // 8192 * 8192]).fetchone() == (True,), what="its first pages are written")
    server.crash()
    server.restart()
    assert op("verify").json["verdict"] == "identical"  # reads the slot itself
    op("sync", "--once")


def test_keepalives_are_answered_while_the_writer_waits(m: Driver, app: Session, database: Database, connect: Connect) -> None:
    """Given a change table that cannot be written, when longer than wal_sender_timeout passes, then the stream lives on,
    and nothing is confirmed that is not committed there."""
    superuser, watcher = connect(database.superuser), connect(database.superuser)
    with settings(superuser, wal_sender_timeout="1s"), stream(m) as barrier:
        name = slot_name(m.conn, m.plan)
        before = read_slot(watcher, name)
        with superuser.transaction():
            for n in (0, 1):
                superuser.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(change_table(m.plan, n).sql))
            app.execute("UPDATE users SET secret = 'kept' WHERE id = 1")
            reached = watcher.execute("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint").fetchone()
            end = watcher.execute("SELECT clock_timestamp() + interval '4s'").fetchone()
            wait_until(lambda: watcher.execute("SELECT clock_timestamp() > %s", end).fetchone() == (True,))
            slot = read_slot(watcher, name)
            assert before
            assert slot
            assert reached
            assert slot.active_pid == before.active_pid
            assert slot.confirmed < reached[0]
        barrier.wait_delivered()
        assert m.captured() == [1]
        wait_until(lambda: (read_slot(watcher, name) or slot).confirmed >= reached[0], what="the position is confirmed")


def test_a_transaction_that_was_open_when_the_slot_was_made(migrate: Migrate, database: Database, connect: Connect) -> None:
    """H6, H13: `prepare` waits for it and says for which; what it wrote is copied, what comes after is streamed."""
    adopted = SCHEMA + "ALTER TABLE users ADD uuid_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();"
    m = migrate(database, adopted, cutover={"lock_timeout_ms": 30_000}, **LOGICAL)
    writer, watcher = connect(database.app), connect(database.superuser)
    writer.execute("BEGIN")
    writer.execute("INSERT INTO users (id, email) VALUES (800, 'in flight')")
    with background(m.prepare, writer.close) as prepared:
        assert wait_for_lock_wait(watcher, m.pid) == [writer.info.backend_pid]
        assert read_slot(watcher, slot_name(watcher, m.plan)) is not None
        writer.execute("COMMIT")
        prepared.result()
    writer.execute("UPDATE users SET secret = 'after' WHERE id = 800")
    m.sync()
    m.assert_same()


def test_prepare_goes_on_after_a_slot_that_was_not_journalled(migrate: Migrate, database: Database) -> None:
    """I4: given a `prepare` killed between the slot and its journal row, then the next one makes the slot again."""
    m = migrate(database, SCHEMA, **LOGICAL)
    name = slot_name(m.conn, m.plan)
    m.conn.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
    m.synced().assert_same()


@pytest.mark.parametrize("loss", ["dropped", "ahead"])
def test_a_lost_slot_stops_the_run(m: Driver, app: Session, loss: str) -> None:
    """H13: given a slot that was dropped by hand, or that outran the journal (a failover), then `sync` says so and ends."""
    name = slot_name(m.conn, m.plan)
    if loss == "dropped":
        m.conn.execute("SELECT pg_drop_replication_slot(%s)", [name])
    else:
        app.execute("UPDATE users SET secret = 'skipped' WHERE id = 1")
        m.conn.execute("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [name])
    with pytest.raises(CaptureLostError) as raised:
        m.sync()
    assert raised.value.exit_code == 3
    assert "swap prepare" in raised.value.hint


def test_a_stream_at_work_is_not_behind_its_slot(m: Driver, app: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """H13: given a stream that notes changes and confirms them while somebody looks at the slot, as `status` and `prepare` do
    beside a `sync`, then the slot is not called ahead of what was noted."""
    noted = check_journalled(m.conn, m.plan, m.run.id)[1]

    def confirmed() -> bool:
        """The server is told of a position only when the stream has come past the commit that noted it."""
        app.execute("UPDATE users SET secret = 'changed' WHERE id = 1")
        takeover(m)
        slot = read_slot(m.conn, slot_name(m.conn, m.plan))
        return slot is not None and slot.confirmed > noted

    def meanwhile(conn: Connection, name: str) -> Slot | None:
        monkeypatch.undo()
        wait_until(confirmed, 30)
        return read_slot(conn, name)

    monkeypatch.setattr(swap.sync.logical.position, "read_slot", meanwhile)
    slot, position = check_journalled(m.conn, m.plan, m.run.id)
    assert noted < slot.confirmed <= position


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_mode_is_changed_under_load(operator: MakeOperator, connect: Connect) -> None:
    """Given a prepared run with a `sync` and writers at work, when its capture changes to the other mode and back, then no
    change is missed, nothing is copied again, and nothing of the other mode is left."""
    op = operator("fresh", mode="logical")
    op.config.write_text(op.config.read_text(encoding="utf-8").replace('mode = "logical"', 'mode = "trigger"'), encoding="utf-8")
    superuser = connect(op.db.superuser)
    left = (
        "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()), (SELECT count(*) FROM pg_publication),"
        " (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.users'::regclass AND tgname ~ '^swap_(capture|truncate)')"
    )
    with Load(op.db.app, workers=2, rate=60) as load:
        op("prepare")
        op("prepare", "--mode", "logical")  # before the copy
        assert superuser.execute(left).fetchone() == (1, 1, 0)
        op("sync", "--once")
        sync = op.start("sync")
        copied = superuser.execute("SELECT count(*), max(done_at) FROM swap.chunk").fetchone()
        for mode, there in (("trigger", (0, 0, 4)), ("logical", (1, 1, 0)), ("trigger", (0, 0, 4))):
            load.wait_for(20, timeout=60)
            op("prepare", "--mode", mode)
            assert op.status()["mode"] == mode
            assert superuser.execute(left).fetchone() == there
            load.wait_for(20, timeout=60)
            assert op("verify", "--method", "exact").json["verdict"] == "identical"
        assert superuser.execute("SELECT count(*), max(done_at) FROM swap.chunk").fetchone() == copied
        op("cutover", "--yes", "--no-snapshot")
        assert op.refused("prepare", "--mode", "logical", code=8)
        assert load.stop().errors == ()
    op("sync", "--once", check=False)
    sync.kill()


def test_an_abandoned_slot_is_found(database: Database, connect: Connect) -> None:
    """H13: `doctor` names a slot that no run reads, with the statement that drops it, whatever the mode."""
    install(database, SCHEMA)
    allow_replication(database)
    assert [f for f in doctor(database) if f.name == "abandoned-slot"] == []
    superuser = connect(database.superuser)
    superuser.execute("SELECT pg_create_logical_replication_slot('swap_1_2', 'pgoutput')")
    (found,) = [f for f in doctor(database) if f.name == "abandoned-slot"]
    assert (found.object, found.status) == ("swap_1_2", "warning")
    superuser.execute(found.hint.encode())
    assert [f for f in doctor(database) if f.name == "abandoned-slot"] == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE users REPLICA IDENTITY FULL", "default replica identity"),
        ("CREATE PUBLICATION theirs FOR TABLE users", "publication theirs"),
    ],
)
def test_what_capture_would_break_is_refused(database: Database, connect: Connect, change: LiteralString, says: str) -> None:
    """I1: a subscriber of the application's own would be sent another key; in trigger mode nothing of it matters."""
    install(database, SCHEMA)
    allow_replication(database)
    connect(database.superuser).execute(change)
    (found,) = [f for f in doctor(database, **LOGICAL) if f.name == "logical-capture"]
    assert found.status == "blocker"
    assert says in found.detail
    assert [f for f in doctor(database, sync={"mode": "trigger"}) if f.name == "logical-capture"] == []


def lose(superuser: Session, name: str, loss: str) -> None:
    """The slot is dropped, or the server removes WAL that it needs."""
    if loss == "dropped":
        superuser.execute("SELECT pg_drop_replication_slot(%s)", [name])
        return

    def lost() -> bool:
        superuser.execute("SELECT pg_switch_wal()")
        superuser.execute("CREATE TABLE something (); DROP TABLE something")
        superuser.execute("SELECT pg_switch_wal()")
        superuser.execute("CHECKPOINT")
        status = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s"
        return superuser.execute(status, [name]).fetchone() == ("lost",)

    with settings(superuser, max_slot_wal_keep_size="1MB"):
        wait_until(lost, 30, "the slot is lost")


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "says"), [("dropped", "gone"), ("invalidated", "lost")])
def test_capture_begins_again_after_a_lost_slot(operator: MakeOperator, connect: Connect, loss: str, says: str) -> None:
    """H13: given a slot that is lost before a cutover, after it, before a revert and before the end, and changes that nobody captured. Every
    command refuses by its name, and the hint of each leads out: what differs is queued and nothing is copied again. `finalize` needs no
    slot, and leaves nothing of it."""
    op = operator("fresh", mode="logical")
    superuser, owner = connect(op.db.superuser), connect(op.db.owner)
    chunks = "SELECT count(*), max(done_at) FROM swap.chunk"
    missed = iter(range(9))

    def loses() -> None:
        slot = op.status()["slot"]
        assert (slot["problem"], slot["wal_status"]) == (None, "reserved")
        lose(superuser, slot["name"], loss)
        owner.execute("UPDATE users SET revision = revision + 1 WHERE email IN (SELECT email FROM users ORDER BY email LIMIT 3)")
        owner.execute("INSERT INTO users (email, organization_id) VALUES (%s, 1)", [f"missed{next(missed)}@example.org"])

    def again(*commands: str) -> None:
        phase, copied = op.status()["phase"], superuser.execute(chunks).fetchone()
        loses()
        assert says in op.status()["slot"]["problem"]
        for command in commands:
            error = op.refused(*command.split(), code=3)
            assert re.match(rf"The replication slot swap_.* is {says}", error["message"]), command
            assert error["hint"].startswith("`swap prepare`"), command
        op("prepare")
        assert (op.status()["phase"], op.status()["pending_changes"]) == (phase, 4)
        op("sync", "--once")
        assert superuser.execute(chunks).fetchone() == copied
        assert op("verify", "--method", "exact").json["verdict"] == "identical"

    op.ready()
    again("verify", "cutover --yes --no-snapshot", "sync --once")
    op("cutover", "--yes", "--no-snapshot")
    again("sync --once", "verify", "revert --yes")
    op("revert", "--yes")
    again("sync --once")
    op("cutover", "--yes", "--no-snapshot")
    loses()
    op("finalize", "--yes")
    left = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname FROM pg_publication"
    assert superuser.execute(left).fetchall() == []


def test_a_stream_that_is_cut_goes_on(m: Driver, app: Session, database: Database, connect: Connect) -> None:
    """Given a walsender that is ended, then the stream connects again from what is noted."""
    superuser = connect(database.superuser)
    with stream(m) as barrier:
        for n in range(3):
            app.execute("UPDATE users SET secret = %s WHERE id = 1", [str(n)])
            barrier.wait_delivered()
            superuser.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()"
            )
        app.execute("DELETE FROM users WHERE id = 9")
        barrier.wait_delivered()
        m.drain()
    m.assert_same()


def test_the_key_alone_is_published_on_either_side(m: Driver, database: Database, connect: Connect) -> None:
    """Nothing but the keys leaves the tables, and `verify` notices when the publication is changed by hand."""
    superuser = connect(database.superuser)
    published = "SELECT schemaname, tablename, attnames::text[] FROM pg_publication_tables"
    assert sorted(superuser.execute(published).fetchall()) == [("public", "sessions", ["id"]), ("public", "users", ["id"])]
    name = sql.Identifier(f"swap_{m.plan.tag}")
    superuser.execute(sql.SQL("ALTER PUBLICATION {} SET (publish = 'insert')").format(name))
    failed = [c for c in m.verify().checks if c.status != "ok"]
    assert [c.name for c in failed] == ["capture_installed"]
    superuser.execute(sql.SQL("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')").format(name))
    superuser.execute(sql.SQL("ALTER PUBLICATION {} DROP TABLE users").format(name))
    assert m.verify().verdict != "identical"


@pytest.mark.slow
def test_nothing_is_left_behind(operator: MakeOperator, connect: Connect) -> None:
    """H13: neither `abort` nor `finalize` leaves a slot, a publication or a replica identity."""
    op = operator("fresh", mode="logical")
    superuser = connect(op.db.superuser)
    left = (
        "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()), (SELECT count(*) FROM pg_publication),"
        " (SELECT relreplident::text FROM pg_class WHERE oid = 'public.users'::regclass)"
    )
    op("prepare")
    assert superuser.execute(left).fetchone() == (1, 1, "d")
    op("abort", "--yes")
    assert superuser.execute(left).fetchone() == (0, 0, "d")
    op.ready()
    op("cutover", "--yes", "--no-snapshot")
    assert superuser.execute(left).fetchone() == (1, 1, "i")
    needed = op.refused("finalize", "--yes", "--drop-legacy", code=3)["message"]
    assert "policy users_self" in needed  # the example's own; capture's publication is not in the way (H45)
    assert "publication" not in needed
    op("finalize", "--yes")
    assert superuser.execute(left).fetchone() == (0, 0, "d")
