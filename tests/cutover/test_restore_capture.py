"""What captures or guards is taken away while a run goes on (H38): each command says what by name, nothing that was written
meanwhile is lost by an exchange, and `swap prepare` puts it back."""

from __future__ import annotations

from pathlib import Path

import pytest

import cutover.restore_capture
from cutover.restore_capture import capture_faults, restore_capture
from swap.core.errors import RefusedError
from swap.core.sql_text import verbatim
from tests.cutover.test_lock_retries import SCHEMA
from tests.support.commands import Cli
from tests.support.cycling import Cycle, Start
from tests.support.migration import Session, allow_replication, background, install
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait
from tests.support.watched import WatchedOperator

PARTITIONED = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (user_id bigint NOT NULL REFERENCES users, day int) PARTITION BY LIST (day);
CREATE TABLE sessions_1 PARTITION OF sessions FOR VALUES IN (1);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions SELECT id, 1 FROM users;
"""
IN_PLACE = {"reference": [{"table": "public.sessions", "column": "user_id", "strategy": "column"}]}
BODY = "SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE tgrelid = 'users'::regclass AND tgname = '{}'"


def altered(admin: Session, trigger: str) -> str:
    (text,) = admin.execute(BODY.format(trigger).encode()).fetchone() or ("",)
    return str(text).replace("BEGIN", "BEGIN RETURN NULL;", 1)


def refused(cycle: Cycle, kind: str, match: str) -> str:
    with pytest.raises(RefusedError, match=match) as raised:
        cycle.exchange(kind)
    return raised.value.hint


def put_back(cycle: Cycle) -> None:
    m = cycle.m
    m.reload()
    assert capture_faults(m)
    restore_capture(m)
    assert capture_faults(m) is None
    m.reload()


def interrupted(*args: object) -> None:
    raise KeyboardInterrupt


def missed(admin: Session, n: int) -> None:
    """Writes of every kind, while nothing captures them."""
    admin.execute("UPDATE users SET email = %s WHERE email = (SELECT max(email) FROM users)", [f"missed{n}"])
    admin.execute("DELETE FROM users WHERE email ~ '^new'")
    admin.execute("INSERT INTO users (email) VALUES (%s)", [f"new{n}"])


def exchanged(cycle: Cycle, admin: Session, kind: str, *, written: int) -> None:
    """Nothing is lost of what was missed."""
    before = emails(admin)
    assert {f"missed{written}", f"new{written}"} <= before
    assert cycle.exchange(kind).outcome == "committed"
    assert emails(admin) == before
    cycle.caught_up()


def emails(admin: Session) -> set[str]:
    return {r[0] for r in admin.execute("SELECT email FROM users").fetchall()}


@pytest.mark.trigger_only("what else captures is the publication, which has a test of its own")
def test_triggers(start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropped, disabled, enabled for some sessions only, its function altered or dropped; of capture, of the guard and the
    fence. Named by the gate and by `verify`; put back with what was missed, and the exchange loses nothing. I4: whoever
    interrupts that in the middle runs it again."""
    cycle = start(SCHEMA, **IN_PLACE)
    admin = connect(database.superuser)
    cycle.ready()
    for number, kind in enumerate(("cutover", "revert")):
        fence = admin.execute("SELECT tgfoid::regprocedure::text FROM pg_trigger WHERE tgname = 'swap_fence'").fetchone()
        assert (fence is None) == (kind == "cutover")  # there is none before the first exchange
        changes = {
            "swap_capture": "DROP TRIGGER swap_capture ON users",
            "swap_capture_deleted": "ALTER TABLE users DISABLE TRIGGER swap_capture_deleted",
            "swap_capture_moved": altered(admin, "swap_capture_moved"),
            "swap_truncate": "ALTER TABLE users ENABLE TRIGGER swap_truncate",
            "~swap_guard_1_update": 'ALTER TABLE sessions DISABLE TRIGGER "~swap_guard_1_update"',
        }
        changes |= {"swap_fence": f"DROP FUNCTION {fence[0]} CASCADE"} if fence else {}
        for name, change in changes.items():
            admin.execute(verbatim(change))
            assert "`swap prepare`" in refused(cycle, kind, f"not as it was made: .*{name}( |$|;)")
        missed(admin, number)
        report = cycle.verify()
        assert report.verdict == "different"
        assert all(name in next(c.detail for c in report.checks if c.name == "capture_installed") for name in changes)
        with monkeypatch.context() as patch:
            patch.setattr(cutover.restore_capture, "queue_differing", interrupted)
            with pytest.raises(KeyboardInterrupt):
                put_back(cycle)
        refused(cycle, kind, "verification")
        put_back(cycle)
        refused(cycle, kind, "verification")
        cycle.caught_up()
        exchanged(cycle, admin, kind, written=number)


@pytest.mark.trigger_only("what else captures is the publication, which has a test of its own")
def test_put_back_by_hand(start: Start, database: Database, connect: Connect) -> None:
    """Given capture or a guard that is disabled and enabled again after a clean verification, which leaves no trace in
    the structure, then the exchange is refused until another verification has compared what was written meanwhile."""
    cycle = start(SCHEMA, **IN_PLACE)
    admin = connect(database.superuser)
    cycle.ready()
    guard = 'ALTER TABLE sessions {0} TRIGGER "~swap_guard_1_insert"'
    for number, kind in enumerate(("cutover", "revert")):
        admin.execute("ALTER TABLE users DISABLE TRIGGER swap_capture")
        missed(admin, number)
        admin.execute("ALTER TABLE users ENABLE ALWAYS TRIGGER swap_capture")
        admin.execute(verbatim(f"{guard.format('DISABLE')}; {guard.format('ENABLE ALWAYS')}"))
        says = "changed since the last verification: .*sessions: trigger ~swap_guard_1_insert; .*users: trigger swap_capture"
        assert "`swap verify`" in refused(cycle, kind, says)
        assert {f.kind for f in cycle.verify().findings} == {"different", "missing"}
        admin.execute("UPDATE users SET email = email")
        cycle.caught_up()
        exchanged(cycle, admin, kind, written=number)


@pytest.mark.trigger_only("what else captures is the publication, which has a test of its own")
def test_put_back_by_hand_while_the_exchange_waits(start: Start, database: Database, connect: Connect) -> None:
    """The same between the gate and the lock: it is asked again under it."""
    cycle = start(SCHEMA, cutover={"lock_timeout_ms": 20_000})
    admin = connect(database.superuser)
    cycle.ready()
    other = connect(database.superuser, autocommit=False)
    other.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    with background(lambda: cycle.exchange("cutover"), other.rollback) as running:
        wait_for_lock_wait(admin, cycle.m.pid)
        other.execute("ALTER TABLE users DISABLE TRIGGER swap_capture")
        other.execute("UPDATE users SET email = 'missed' WHERE email = 'user5'")
        other.execute("ALTER TABLE users ENABLE ALWAYS TRIGGER swap_capture")
        other.commit()
        with pytest.raises(RefusedError, match=r"changed since the last verification: public\.users: trigger swap_capture"):
            running.result(60)


@pytest.mark.trigger_only("guards are triggers in either mode, and this is about them alone")
def test_a_guard_of_a_partitioned_table(start: Start, database: Database, connect: Connect) -> None:
    """Its parts on the partitions have other numbers afterwards, which is no drift; what else was changed still is."""
    cycle = start(PARTITIONED)
    admin = connect(database.superuser)
    cycle.ready()
    admin.execute('DROP TRIGGER "~swap_guard_1_insert" ON sessions')
    admin.execute("CREATE INDEX stray ON users (email)")
    refused(cycle, "cutover", "sessions: trigger ~swap_guard_1_insert is missing")
    put_back(cycle)
    report = cycle.verify()
    assert [(c.name, "stray" in c.detail, "guard" in c.detail) for c in report.checks if c.status == "failed"] == [
        ("drift", True, False)
    ]
    admin.execute("DROP INDEX stray")
    cycle.caught_up()
    assert cycle.exchange("cutover").outcome == "committed"
    cycle.caught_up()


def test_the_publication(start: Start, database: Database, connect: Connect) -> None:
    """Dropped; the table taken out of it and put back, which waits for no writer. `prepare` makes a new slot and compares."""
    install(database, "")
    allow_replication(database)
    cycle = start(SCHEMA, sync={"mode": "logical"})
    admin = connect(database.superuser)
    cycle.ready()
    name = f"swap_{cycle.m.plan.tag}"
    for number, (kind, key) in enumerate((("cutover", "id"), ("revert", "legacy_id, id"))):
        there_and_back = (f"ALTER PUBLICATION {name} DROP TABLE users", f"ALTER PUBLICATION {name} ADD TABLE users ({key})")
        for says, change, undo in (("does not hold", f"DROP PUBLICATION {name}", ""), ("was changed", *there_and_back)):
            admin.execute(verbatim(change))
            missed(admin, number)
            admin.execute(verbatim(undo))
            assert "`swap prepare`" in refused(cycle, kind, f"not as it was made: the publication {name} {says}")
            if undo:
                assert says in next(c.detail for c in cycle.verify().checks if c.name == "capture_installed")
            else:
                with pytest.raises(RefusedError, match=f"The publication {name} is gone"):
                    cycle.verify()
            put_back(cycle)
            cycle.caught_up()
        exchanged(cycle, admin, kind, written=number)


def test_every_command_says_it(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> None:
    """After the cutover, with a `sync` at work: `status`, `verify` and `revert` name it, `prepare` takes over and puts it
    back, `sync` goes on, and the revert keeps what was written without capture."""
    op = WatchedOperator(cli, database, connect(database.superuser), tmp_path)
    for command in (("prepare",), ("sync", "--once"), ("verify",), ("cutover", "--yes", "--no-snapshot")):
        op(*command)
    following = op.start("sync")
    op("verify")
    logical = op("status").json["mode"] == "logical"
    if logical:
        what = op.ask("SELECT pubname FROM pg_publication")
        op.watcher.execute(verbatim(f"ALTER PUBLICATION {what} DROP TABLE users"))
    else:
        what = "swap_capture"
        op.watcher.execute("DROP TRIGGER swap_capture ON users")
    op.watcher.execute("UPDATE users SET n = 77 WHERE legacy_id = 7")
    status = op("status").json
    assert what in status["capture_problem"]
    assert (status["revert"]["possible"], what in status["revert"]["reason"]) == (False, True)
    assert what in op.cli("status", config=op.config, dsn=database.owner).stdout
    assert what in next(c["detail"] for c in op("verify", check=False).json["checks"] if c["name"] == "capture_installed")
    error = op("revert", "--yes", check=False).json["error"]
    assert (what in error["message"], error["code"], "swap prepare" in error["hint"]) == (True, 3, True)
    op("prepare")
    assert op("status").json["capture_problem"] is None
    assert following.terminate().code == 0
    op("sync", "--once")
    assert op("verify").json["verdict"] == "identical"
    op("revert", "--yes")
    assert op.ask("SELECT n FROM users WHERE id = 7") == 77
