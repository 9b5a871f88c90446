"""How long an exchange waits for its locks and holds them, and who is in its way (I2, H33, H34)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

import cutover.transaction
from cutover.final_drain import compare_touched
from swap.core.config import Cutover
from swap.core.connection import translate
from swap.core.errors import LockError
from swap.core.lock_budget import LockBudget
from swap.core.lock_retries import acquire, with_locks
from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.ddl.exchange import lock_statements
from swap.state.migration import Migration
from swap.sync.replay import replay_batch
from tests.support.cycling import Cycle, Start
from tests.support.migration import background
from tests.support.servers import Connect, Database
from tests.support.waiting import blocked_by, wait_for_lock_wait, wait_until

SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, uuid_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE);
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, note text);
INSERT INTO users (email) SELECT 'user' || n FROM generate_series(1, 9) n;
INSERT INTO sessions (user_id) SELECT id FROM users;
"""
VIEWS = "CREATE VIEW town AS SELECT id, email FROM users; CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM town;"


def reader(connect: Connect, db: Database, *tables: str) -> psycopg.Connection[Any]:
    """An open transaction that has read these tables, in this order."""
    conn = connect(db.superuser, autocommit=False)
    for table in tables:
        conn.execute(verbatim(f"SELECT FROM {table}"))
    return conn


# Waiting.

WAIT_S = 0.4  # of a budget of 0.5 s or 1 s: a machine that takes longer only leaves less of it


def test_all_waits_of_one_attempt_share_one_budget(start: Start, database: Database, connect: Connect) -> None:
    """I2, H33: given readers of a materialized view, of a view, of the source and of a reference, of which the first three
    go one after the other while the attempt waits for each, then each wait has what those before it left of the budget."""
    cycle = start(SCHEMA + VIEWS)
    cycle.ready()
    conn, budget_ms = cycle.m.conn, 1000
    admin = connect(database.superuser)
    readers = [reader(connect, database, t) for t in ("counts", "town", "users")]
    last = reader(connect, database, "sessions")
    left_ms: list[int] = []
    conn.add_notice_handler(lambda said: left_ms.append(int((said.message_primary or "").removesuffix("ms"))))
    tell = verbatim("DO $$ BEGIN RAISE WARNING '%', current_setting('statement_timeout'); END $$")
    locks = [s for lock in lock_statements(cycle.m.plan, "cutover") for s in (lock, tell)]

    def attempt() -> None:
        conn.execute("BEGIN")
        with pytest.raises(psycopg.errors.LockNotAvailable, match=f"not all granted within {budget_ms} ms"):
            acquire(conn, locks, budget_ms)
        conn.execute("ROLLBACK")

    with background(attempt, last.rollback) as attempting:
        for r in readers:
            wait_until(lambda r=r: attempting.done() or r.info.backend_pid in blocked_by(admin, cycle.m.pid))  # type: ignore[misc]
            time.sleep(WAIT_S)
            r.rollback()
        attempting.result(30)
    assert left_ms, "the first lock was granted"
    assert all(left <= budget_ms - n * 1000 * WAIT_S for n, left in enumerate(left_ms, 1)), left_ms


def test_the_locks_of_two_tables_have_one_budget(database: Database, connect: Connect) -> None:
    """I2: `prepare`, `finalize` and the follow-up wait through the same function. The statements after the locks have no
    limit. With a budget for each table the server's own message, of lock_timeout, would be the error."""
    conn, admin = connect(database.superuser), connect(database.superuser)
    conn.execute("CREATE TABLE a (); CREATE TABLE b ();")
    tables = [TableName("public", "a"), TableName("public", "b")]
    first, second = reader(connect, database, "a"), reader(connect, database, "b")

    def release() -> None:
        wait_for_lock_wait(admin, conn.info.backend_pid)
        time.sleep(WAIT_S)
        first.rollback()

    with background(release), pytest.raises(LockError, match="not all granted within 500 ms"):
        with_locks(conn, tables, "ACCESS EXCLUSIVE", LockBudget(500, 1), lambda: None)
    second.rollback()
    limit = "SHOW statement_timeout"
    shown = with_locks(conn, tables, "ACCESS EXCLUSIVE", LockBudget(20_000, 1), lambda: conn.execute(limit).fetchone())
    assert shown == ("0",)


def test_a_cancelled_wait_is_an_operators_stop(database: Database, connect: Connect) -> None:
    """Somebody's pg_cancel_backend is not taken for a lock that was not free."""
    conn, admin = connect(database.superuser), connect(database.superuser)
    conn.execute("CREATE TABLE a ()")
    other = reader(connect, database, "a")
    pid = conn.info.backend_pid

    def cancel() -> None:
        wait_for_lock_wait(admin, pid)
        admin.execute("SELECT pg_cancel_backend(%s)", [pid])

    conn.execute("BEGIN")
    with background(cancel, other.rollback), pytest.raises(psycopg.errors.QueryCanceled):
        acquire(conn, [verbatim("LOCK TABLE a")], 20_000)


# Bystanders.


def test_who_waited_behind_the_attempt_is_told(start: Start, database: Database, connect: Connect) -> None:
    """H33: how many at once, and the longest wait, in the outcome and where there is none."""
    cycle = start(SCHEMA, cutover={"max_attempts": 1, "lock_timeout_ms": 20_000, "max_lock_hold_ms": 20_000})
    cycle.ready()
    admin, bystander = connect(database.superuser), connect(database.app)
    first = reader(connect, database, "users")
    with background(lambda: cycle.exchange("cutover"), first.rollback) as running:
        wait_for_lock_wait(admin, cycle.m.pid)
        with background(lambda: bystander.execute("SELECT FROM users"), first.rollback):
            wait_for_lock_wait(admin, bystander.info.backend_pid)
            time.sleep(WAIT_S)
            first.rollback()
        outcome = running.result(60)
    assert outcome.blocked_sessions_max == 1
    assert outcome.blocked_ms_max > 0
    cycle.m.sync()
    cycle.verified()

    cycle.m.config = cycle.m.config.model_copy(update={"cutover": Cutover(max_attempts=1, lock_timeout_ms=3000)})
    first = reader(connect, database, "users")
    with background(lambda: cycle.exchange("revert"), first.rollback) as running:
        wait_for_lock_wait(admin, cycle.m.pid)
        bystander.execute("SELECT FROM users")
        with pytest.raises(LockError, match=r"at most 1 sessions waited behind them, \d+ ms"):
            running.result(30)


# Holding.

HELD = "SELECT 1 FROM pg_locks WHERE pid = %s AND relation = to_regclass('users') AND mode = 'AccessExclusiveLock' AND granted"
HOLD = {"max_attempts": 500, "lock_timeout_ms": 50, "max_lock_hold_ms": 300}


def assert_a_writer_goes_on(cycle: Cycle, database: Database, connect: Connect) -> None:
    """A writer who comes while the exchange holds its locks writes into the table of before: the locks are given up."""
    admin, writer = connect(database.superuser), connect(database.app)
    wait_until(lambda: admin.execute(HELD, [cycle.m.pid]).fetchone(), what="the exchange holds its locks")
    written = "UPDATE users SET email = email || ' waited' WHERE email = 'user5' RETURNING pg_typeof(id)::text"
    assert writer.execute(written).fetchone() == ("bigint",)


def assert_drained(database: Database, connect: Connect) -> None:
    """What was written between the attempts is in the new table."""
    owner = connect(database.owner)
    assert owner.execute("SELECT email FROM users WHERE legacy_id = 5").fetchone() == ("user5 waited",)


@contextmanager
def slow_script(admin: psycopg.Connection[Any]) -> Iterator[None]:
    """Each ALTER TABLE of swap_owner takes 0.1 s: none is slow, all of them are."""
    admin.execute(
        "CREATE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF current_user = 'swap_owner' THEN PERFORM pg_sleep(0.1); END IF; END $$;"
        " CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.slow()"
    )
    yield
    admin.execute("DROP EVENT TRIGGER slow")


@contextmanager
def slow_drain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The drain is thirty statements of 0.1 s."""

    def slow(migration: Migration, *args: Any, **options: Any) -> Any:
        for _ in range(30):
            migration.conn.execute("SELECT pg_sleep(0.1)")
        return replay_batch(migration, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cutover.transaction, "replay_batch", slow)
        yield


@pytest.mark.parametrize("what", ["script", "drain"])
def test_many_statements_together_keep_the_hold_limit(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """I2: given statements that are each well within the limit and together seconds past it, then the attempt is rolled
    back at the limit, a writer who waited goes on, and a later attempt drains what he wrote and succeeds."""
    cycle = start(SCHEMA, cutover=HOLD)
    cycle.ready()
    slow = slow_script(connect(database.superuser)) if what == "script" else slow_drain(monkeypatch)
    with background(lambda: cycle.exchange("cutover"), cycle.m.stop.set) as running:
        with slow:
            assert_a_writer_goes_on(cycle, database, connect)
        outcome = running.result(60)
    assert any("held its locks longer than 300 ms" in reason for reason in outcome.waited)
    assert_drained(database, connect)
    cycle.caught_up()


def test_a_stalled_client_loses_its_locks(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I2: given the tool itself hangs under the lock, then the server ends its session, which is exit code 4, and nothing
    was changed."""
    cycle = start(SCHEMA, cutover=HOLD)
    cycle.ready()
    m, admin = cycle.m, connect(database.superuser)
    gone = sql.SQL("SELECT 1 FROM pg_stat_activity WHERE pid = {}").format(sql.Literal(m.pid))

    def stalled(*args: Any) -> int:
        wait_until(lambda: admin.execute(gone).fetchone() is None, 30, "the server has ended the session")
        return compare_touched(*args)

    with monkeypatch.context() as patch:
        patch.setattr(cutover.transaction, "compare_touched", stalled)
        with background(lambda: cycle.exchange("cutover"), cycle.m.stop.set) as running:
            assert_a_writer_goes_on(cycle, database, connect)
            error = running.exception(60)
    assert isinstance(error, psycopg.Error)
    assert isinstance(translate(error), LockError)
    m.reconnect("test")
    cycle.exchange("cutover")
    assert_drained(database, connect)
    cycle.caught_up()


def test_the_commit_waits_for_no_standby_under_its_locks(start: Start, database: Database, connect: Connect) -> None:
    """I2, H37: given a synchronous standby that does not answer, then the exchange is committed and read at once, and the
    command ends when the standby has it."""
    cycle = start(SCHEMA, cutover={"lock_timeout_ms": 20_000})
    cycle.ready()
    admin, app = connect(database.superuser), connect(database.app)
    admin.execute("SET synchronous_commit = local")
    first = reader(connect, database, "users")
    with background(lambda: cycle.exchange("cutover"), first.rollback) as running:
        wait_for_lock_wait(admin, cycle.m.pid)
        try:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            wait_until(lambda: connect(database.app).execute("SHOW synchronous_standby_names").fetchone() == ("nobody",))
            first.rollback()
            wait = sql.SQL("SELECT wait_event FROM pg_stat_activity WHERE pid = {}").format(sql.Literal(cycle.m.pid))
            wait_until(lambda: admin.execute(wait).fetchone() == ("SyncRep",), 30, "the command waits for the standby")
            app.execute("SET lock_timeout = '5s'; SELECT legacy_id FROM users")
            assert not running.done()
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
        assert running.result(30).outcome == "committed"
    cycle.caught_up()


def test_finalize_does_not_queue_behind_a_reader_of_the_retired_table(start: Start, database: Database, connect: Connect) -> None:
    """H33: it gives up by name after its attempts, and is run again."""
    cycle = start(SCHEMA, cutover={"max_attempts": 2, "lock_timeout_ms": 50})
    cycle.ready()
    cycle.cutover()
    report = reader(connect, database, "users_old")
    m = cycle.m
    with pytest.raises(LockError, match=r"ACCESS EXCLUSIVE lock on public\.users_old within 2 attempts of 50 ms"):
        m.finalize(drop_legacy=False)
    report.rollback()
    m.finalize(drop_legacy=False)
    left = "SELECT count(*) FROM pg_class WHERE relname ~ 'users_old|_changes_'"
    assert connect(database.superuser).execute(left).fetchone() == (0,)
