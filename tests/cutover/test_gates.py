"""The gates of an exchange, each shut once: what it says, and that it opens again (H12, H35, H36, H38)."""

from __future__ import annotations

import pytest

import cutover.final_drain
import swap.doctor.examine
import swap.sync.backlog_trend
from cutover.gates import _indexes, check_gates
from cutover.restore_capture import restore_capture
from swap.core.config import Verify
from swap.core.errors import RefusedError
from swap.doctor.server import read_server
from swap.prepare.slot import slot_name
from swap.state.migration import Migration
from swap.sync.replay import Barrier, Replayed, replay
from tests.cutover.test_lock_retries import SCHEMA, reader
from tests.support.cycling import Cycle, Start, doctor
from tests.support.migration import background, install
from tests.support.mode import Mode
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_for_lock_wait, wait_until

INDEXED = SCHEMA + "CREATE INDEX users_mail ON users (email); CREATE TABLE notes (user_id bigint REFERENCES users, body text);"


def gate(cycle: Cycle) -> None:
    m = cycle.m
    m.reload()
    check_gates(m)


def test_each_gate_says_what_is_wrong_and_opens_again(
    start: Start, database: Database, connect: Connect, capture_mode: Mode
) -> None:
    """H38: DDL on the source, on a reference, on the shadow; capture dropped, disabled, altered; an index that is invalid;
    statistics that are not there; a verification that is none. Nothing is changed, and what was undone is forgotten."""
    cycle = start(INDEXED)
    m = cycle.m.synced()
    admin = connect(database.superuser)

    def refused(match: str) -> None:
        with pytest.raises(RefusedError, match=match) as raised:
            gate(cycle)
        assert raised.value.hint != raised.value.default_hint
        with pytest.raises(RefusedError, match=match):
            cycle.exchange("cutover")

    def shut(change: str, undo: str, match: str, *, captures: bool = False) -> None:
        admin.execute(change.encode())
        refused(match)
        admin.execute(undo.encode())
        if captures:  # what was written meanwhile may be in no queue
            refused("changed since the last verification")
            cycle.verified()
        gate(cycle)

    refused("no verification of this direction")
    admin.execute("UPDATE users_new SET email = 'wrong' WHERE id = 3")
    assert cycle.verify().verdict == "different"
    refused("says different")
    admin.execute("UPDATE users_new SET email = 'user3' WHERE id = 3")
    cycle.verified()

    shut("ALTER TABLE users ADD shoe int", "ALTER TABLE users DROP shoe", r"\+ public.users: column shoe")
    shut("ALTER TABLE notes ALTER body SET DEFAULT ''", "ALTER TABLE notes ALTER body DROP DEFAULT", "public.notes: column body")
    shut("CREATE INDEX late ON users_new (email)", "DROP INDEX late", r"\+ public.users_new: index CREATE INDEX late")
    shut(
        "ALTER TABLE users_new ADD CHECK (id > 0)",
        "ALTER TABLE users_new DROP CONSTRAINT users_new_id_check",
        "users_new_id_check",
    )
    if capture_mode == "trigger":
        off = "ALTER TABLE users {} TRIGGER swap_capture"
        shut(off.format("DISABLE"), off.format("ENABLE ALWAYS"), "swap_capture", captures=True)
    else:
        less = f"ALTER PUBLICATION swap_{m.plan.tag} SET (publish = '{{}}')"
        admin.execute(less.format("insert, update").encode())
        refused(f"swap_{m.plan.tag} leaves out")
        admin.execute(less.format("insert, update, delete, truncate").encode())
        refused(f"swap_{m.plan.tag} was changed by another program")
        for gone in (False, True):
            if gone:
                admin.execute("SELECT pg_drop_replication_slot(%s)", [slot_name(m.conn, m.plan)])
                refused("The replication slot .* is gone")
            restore_capture(m)
            cycle.caught_up()
            gate(cycle)
    guard = 'ALTER TABLE notes {} TRIGGER "~swap_guard_1_insert"'
    names = admin.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'notes'::regclass AND tgname ~ 'guard.*insert'"
    ).fetchone()
    assert names is not None
    guard = f'ALTER TABLE notes {{}} TRIGGER "{names[0]}"'
    shut(guard.format("DISABLE"), guard.format("ENABLE ALWAYS"), "swap_guard", captures=True)

    table, ours = ("users", "swap_capture") if capture_mode == "trigger" else ("notes", names[0])
    body = "SELECT pg_get_functiondef(tgfoid) FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s"
    (definition,) = admin.execute(body, [table, ours]).fetchone() or ("",)
    altered = definition.replace("BEGIN", "BEGIN RETURN NULL;", 1)
    shut(altered, definition, f"the function of trigger {ours} was altered", captures=capture_mode == "logical")

    valid = "UPDATE pg_index SET indisvalid = {} WHERE indexrelid = 'users_mail_new'::regclass"
    shut(valid.format("false"), valid.format("true"), "users_mail_new")
    admin.execute(valid.format("false").encode())
    with pytest.raises(RefusedError, match="users_mail_new is missing or invalid"):
        _indexes(m.conn, m.run)
    admin.execute(valid.format("true").encode())
    never = "UPDATE pg_class SET reltuples = -1 WHERE oid = 'users_new'::regclass"
    shut(never, "ANALYZE users_new", "users_new has no statistics")

    m.config = m.config.model_copy(update={"verify": Verify(max_age_s=60)})
    age = "UPDATE swap.verification SET finished_at = finished_at {} interval '1 hour'"
    shut(age.format("-"), age.format("+"), "allows 60")
    admin.execute("ALTER TABLE users ADD shoe int")
    assert cycle.verify().verdict != "identical"
    admin.execute("ALTER TABLE users DROP shoe")
    refused("says (different|incomplete)")  # of another structure, though that is undone
    cycle.verified()
    assert cycle.exchange("cutover").outcome == "committed"


def test_a_backlog_that_grows_is_refused_with_the_rates(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H12: given more changes than are replayed in the same time, then the cutover does not go on trying for ever."""
    cycle = start(SCHEMA)
    cycle.ready()
    app = connect(database.app)

    def outpaced(migration: Migration, barrier: Barrier | None) -> Replayed:
        for _ in range(2):
            app.execute("UPDATE users SET email = email || '.'")
            if barrier is not None:
                barrier.wait_delivered()
        return replay(migration, 0, barrier)  # one transaction of two

    with monkeypatch.context() as patch:
        patch.setattr(cutover.final_drain, "replay", outpaced)
        patch.setattr(swap.sync.backlog_trend, "WINDOW_S", 0.2)
        with pytest.raises(RefusedError, match=r"does not keep up: [\d,]+ changes/s come, [\d,]+/s are replayed, [\d,]+ wait"):
            cycle.exchange("cutover")
    assert cycle.exchange("cutover").outcome == "committed"
    cycle.caught_up()


@pytest.mark.parametrize(("slots", "status"), [(100, "blocker"), (250, "warning"), (6400, "ok")])
def test_too_few_entries_in_the_lock_table(
    database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, slots: int, status: str
) -> None:
    """An exchange locks every object at once; max_locks_per_transaction and the connections say how many there can be."""
    install(database, SCHEMA)
    monkeypatch.setattr(swap.doctor.examine, "read_server", lambda conn: read_server(conn)._replace(lock_slots=slots))
    (found,) = [f for f in doctor(database) if f.name == "lock-table"]
    assert found.status == status
    assert f"room for {slots}" in found.detail


# Deadlocks.


@pytest.mark.parametrize("lock_timeout_ms", [300, 5000], ids=["below deadlock_timeout", "above"])
def test_an_application_that_locks_the_other_way_round(
    start: Start, database: Database, connect: Connect, lock_timeout_ms: int
) -> None:
    """H35: given a transaction that holds a reference and wants the source, which the exchange holds, wanting the reference,
    then it is the exchange that gives way, and tries again; the application's statement waits and is no victim."""
    cycle = start(SCHEMA, cutover={"lock_timeout_ms": lock_timeout_ms, "max_lock_hold_ms": 20_000})
    cycle.ready()
    admin, app = connect(database.superuser), connect(database.superuser, autocommit=False)
    app.execute("SET LOCAL deadlock_timeout = '60s'")  # a busy machine may let it ask first
    app.execute("UPDATE sessions SET note = 'other way' WHERE id = 5")
    with background(lambda: cycle.exchange("cutover"), app.rollback) as running:
        wait_for_lock_wait(admin, cycle.m.pid)
        app.execute("UPDATE users SET email = 'other way' WHERE id = 5")
        app.commit()
        assert running.result(60).attempts > 1
    said = admin.execute(
        "SELECT u.email, s.note FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.legacy_id = 5"
    ).fetchone()
    assert said == ("other way", "other way")
    cycle.caught_up()


def test_trigger_events_that_are_pending_when_the_script_begins(start: Start, database: Database, connect: Connect) -> None:
    """H35: two rows exchange unique values, under a deferred constraint, in what is drained under the lock: a table with
    events to come cannot be altered."""
    deferred = "ALTER TABLE users ADD CONSTRAINT mail UNIQUE (email) DEFERRABLE INITIALLY DEFERRED;"
    cycle = start(SCHEMA + deferred, cutover={"lock_timeout_ms": 20_000, "max_lock_hold_ms": 20_000})
    cycle.ready()
    for kind in ("cutover", "revert"):
        app = reader(connect, database, "users")
        with background(lambda kind=kind: cycle.exchange(kind), app.rollback) as running:  # type: ignore[misc]
            # For the exchange's own lock: before it, an autovacuum may be waited for, and what is written then is drained ahead.
            asked = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted AND mode = 'AccessExclusiveLock'"
            superuser = connect(database.superuser)
            wait_until(lambda: superuser.execute(asked, [cycle.m.pid]).fetchone(), what="the exchange asks for its lock")  # noqa: B023
            app.execute(
                "UPDATE users u SET email = o.email FROM users o"
                " WHERE u.email IN ('user1', 'user2') AND o.email IN ('user1', 'user2') AND o.email <> u.email"
            )
            app.commit()
            assert running.result(60).drained_changes > 0
        cycle.caught_up()
