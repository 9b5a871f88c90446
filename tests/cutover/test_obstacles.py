"""What an exchange does not queue behind, and what it may end (H34): each is named, with who, since when, doing what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from cutover.kill import Killer
from cutover.obstacles import obstacles
from swap.core.blockers import Blocker
from swap.core.connection import Database as Conninfo
from swap.core.errors import LockError, RefusedError
from swap.core.sql_text import verbatim
from tests.cutover.test_lock_retries import SCHEMA, reader
from tests.support.cycling import Cycle, Start
from tests.support.migration import background
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_for_lock_wait, wait_until

QUICK = {"max_attempts": 3, "lock_timeout_ms": 50}
SEES = "pg_monitor, pg_signal_backend"


@pytest.fixture
def may(connect: Connect, database: Database) -> Iterator[None]:
    """swap_owner sees other sessions and may end them."""
    conn = connect(database.superuser)
    conn.execute(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'swap_owner') THEN CREATE ROLE swap_owner LOGIN; END IF; END $$"
    )
    conn.execute(verbatim(f"GRANT {SEES} TO swap_owner"))
    yield
    conn.execute(verbatim(f"REVOKE {SEES} FROM swap_owner"))


def waited(cycle: Cycle) -> list[str]:
    """Why each attempt failed, from the journal."""
    rows = cycle.m.conn.execute("SELECT detail FROM swap.attempt WHERE outcome = 'rolled_back' ORDER BY id").fetchall()
    return [r[0] for r in rows]


def events(cycle: Cycle) -> list[str]:
    return [r[0] for r in cycle.m.conn.execute("SELECT message FROM swap.event WHERE kind = 'blocker' ORDER BY id").fetchall()]


def wait_until_asleep(admin: psycopg.Connection[Any], *pids: int) -> None:
    """Until each of these sessions is in its pg_sleep: before that it is idle in its transaction."""
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s) AND wait_event = 'PgSleep'"
    wait_until(lambda: admin.execute(asleep, [list(pids)]).fetchone() == (len(pids),), what=f"{pids} are asleep")


def works(conn: psycopg.Connection[Any]) -> bool:
    conn.rollback()
    return conn.execute("SELECT 1").fetchone() == (1,)


# Not asked for.


def test_a_transaction_that_stays_is_not_queued_behind(start: Start, database: Database, connect: Connect) -> None:
    """H33: given a reader who was in the way of an attempt, while his transaction lasts none is made; another transaction of
    his is another matter. He is known by it without any right to see what he does."""
    cycle = start(SCHEMA, cutover=QUICK)
    cycle.ready()
    stays = reader(connect, database, "sessions")
    with pytest.raises(LockError, match=f"pid {stays.info.backend_pid} .*; still there, so no lock was asked for"):
        cycle.exchange("cutover")
    assert ["no lock was asked for" in w for w in waited(cycle)] == [False, True, True]
    stays.rollback()
    stays.execute("SELECT 1")
    cycle.be_patient()
    assert not any("no lock was asked for" in w for w in cycle.exchange("cutover").waited)


@pytest.mark.usefixtures("may")
def test_an_old_transaction_is_not_queued_behind_at_all(
    start: Start, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H34: a long report is named before the first attempt: who, and since when."""
    cycle = start(SCHEMA, cutover=QUICK)
    cycle.ready()
    report = reader(connect, database, "users")
    monkeypatch.setattr("cutover.obstacles.OLD_S", 0.0)
    with pytest.raises(
        LockError, match=rf"pid {report.info.backend_pid} postgres .*, idle in transaction for \d.* s; still there"
    ):
        cycle.exchange("cutover")
    assert all("no lock was asked for" in w for w in waited(cycle))


@contextmanager
def slow_vacuum(database: Database, connect: Connect) -> Iterator[int]:
    session, admin = connect(database.superuser), connect(database.superuser)
    session.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
    pid = session.info.backend_pid
    with background(lambda: session.execute("VACUUM (FREEZE) sessions")) as running:
        wait_until(lambda: admin.execute(HELD, [pid]).fetchone(), what="the vacuum has begun")
        yield pid
        admin.execute("SELECT pg_cancel_backend(%s)", [pid])
        assert isinstance(running.exception(30), psycopg.errors.QueryCanceled)


HELD = "SELECT 1 FROM pg_locks WHERE pid = %s AND mode = 'ShareUpdateExclusiveLock' AND granted AND relation = to_regclass('sessions')"


@pytest.mark.usefixtures("may")
def test_a_vacuum_and_an_index_build_are_named(start: Start, database: Database, connect: Connect) -> None:
    """H34: a VACUUM, and a CREATE INDEX CONCURRENTLY that waits for somebody else, who is named too. The index itself is
    one that the shadow does not have: the gate says so."""
    cycle = start(
        SCHEMA + "INSERT INTO sessions (user_id, note) SELECT 1, repeat('x', 500) FROM generate_series(1, 2000);", cutover=QUICK
    )
    cycle.ready()
    m, admin = cycle.m, connect(database.superuser)
    with slow_vacuum(database, connect) as pid, pytest.raises(LockError) as raised:
        cycle.exchange("cutover")
    assert re.search(rf"pid {pid} postgres \(.*\) works on public.sessions since 20.*: VACUUM", raised.value.message)
    writer, builder = connect(database.superuser, autocommit=False), connect(database.superuser)
    writer.execute("INSERT INTO sessions (user_id) VALUES (1)")
    with background(lambda: builder.execute("CREATE INDEX CONCURRENTLY late ON sessions (note)"), writer.rollback) as building:
        wait_for_lock_wait(admin, builder.info.backend_pid)
        (reason,) = obstacles(m)
        line = reason.text
        assert f"pid {builder.info.backend_pid} postgres" in line
        assert re.search(rf"since 20.*: CREATE INDEX CONCURRENTLY, which waits for pid {writer.info.backend_pid}$", line)
        with pytest.raises(RefusedError, match="late"):
            cycle.exchange("cutover")
        writer.rollback()
        building.result(30)
    admin.execute("DROP INDEX late")
    cycle.be_patient()
    assert cycle.exchange("cutover").outcome == "committed"


LAZY = "ALTER TABLE users SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, {})"
ROWS = "INSERT INTO users (email) SELECT repeat('x', 500) || n FROM generate_series(1, 1000) n;"
AUTOVACUUM = """
SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.backend_type = 'autovacuum worker' AND l.relation = 'users'::regclass AND l.granted AND a.query LIKE %s
"""
# A transaction of 100,100 subtransactions, each with an id of its own.
AGE = """
CREATE TEMPORARY TABLE aged (n int);
DO $$ BEGIN FOR n IN 1..100100 LOOP BEGIN INSERT INTO aged VALUES (n); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$
"""


@contextmanager
def autovacuum(admin: psycopg.Connection[Any], why: str = "") -> Iterator[int]:
    """A worker at `users`, which takes as long as it may."""
    admin.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    admin.execute("SELECT pg_reload_conf()")
    try:
        worker = wait_until(lambda: admin.execute(AUTOVACUUM, [f"%{why}%"]).fetchone(), what="an autovacuum of the source")
        assert worker is not None
        yield worker[0]
    finally:
        admin.execute("ALTER SYSTEM RESET autovacuum_naptime")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'")


@pytest.mark.slow
def test_a_vacuum_to_prevent_wraparound_is_let_finish(start: Start, database: Database, connect: Connect) -> None:
    """H34: a real one. It yields to nobody; it is named as far as the role may see, and no lock is asked for."""
    cycle = start(SCHEMA + ROWS + LAZY.format("autovacuum_freeze_max_age = 100000"), cutover=QUICK | {"max_attempts": 1})
    cycle.ready()
    admin = connect(database.superuser)
    admin.execute(AGE)
    with autovacuum(admin, "to prevent wraparound") as pid:
        with pytest.raises(LockError, match=rf"pid {pid} \(GRANT pg_monitor to see what it does\) works on public.users"):
            cycle.exchange("cutover")
        admin.execute("GRANT pg_monitor TO swap_owner")
        try:
            with pytest.raises(LockError) as raised:
                cycle.exchange("cutover")
        finally:
            admin.execute("REVOKE pg_monitor FROM swap_owner")
    said = rf"autovacuum to prevent wraparound, pid {pid}, works on public.users since 20.*: autovacuum: VACUUM .*public.users \(to prevent"
    assert re.search(said, raised.value.message)


@pytest.mark.slow
def test_an_ordinary_autovacuum_makes_way(start: Start, database: Database, connect: Connect) -> None:
    """H34: it gives up its work for whoever waits for a second, which no attempt does; whether the role sees it or not."""
    lazy = LAZY.format("autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0")
    cycle = start(SCHEMA + ROWS + lazy, cutover=QUICK | {"max_attempts": 50})
    cycle.ready()
    admin = connect(database.superuser)
    admin.execute("UPDATE users SET email = email || '!'")
    admin.execute("SELECT pg_stat_force_next_flush()")
    with autovacuum(admin):
        admin.execute("ALTER SYSTEM SET autovacuum_naptime = '1min'")  # as it is, or the next worker is there before the attempt
        admin.execute("SELECT pg_reload_conf()")
        assert cycle.exchange("cutover").outcome == "committed"
    cycle.caught_up()


# Ended.


def test_sessions_that_are_never_ended(
    start: Start, database: Database, connect: Connect, server: DatabaseServer, may: None
) -> None:
    """A superuser's, a replication role's, another swap's; and with `idle-in-transaction` one that is at work."""
    cycle = start(SCHEMA, cutover=QUICK | {"kill_blockers": "all"})
    cycle.ready()
    admin = connect(database.superuser)
    admin.execute("CREATE ROLE standby LOGIN REPLICATION; GRANT app TO standby")
    try:
        others = [
            database.superuser,
            server.conninfo(database.dbname, "standby"),
        ]
        sessions = [connect(o, autocommit=False) for o in others]
        sessions.append(Conninfo.from_options(database.owner, "verify").connect())
        sessions[-1].execute("BEGIN")
        for s in sessions:
            s.execute("SELECT FROM public.users")
        with pytest.raises(LockError) as raised:
            cycle.exchange("cutover")
        assert all(f"pid {s.info.backend_pid} " in raised.value.message for s in sessions)
        assert all(works(s) for s in sessions)
    finally:
        for s in sessions:
            s.close()
        admin.execute("DROP ROLE standby")
    told = events(cycle)
    assert len(told) == 2  # the superuser's and the replication role's, once each; another swap's is none to end
    assert all(line.startswith("not ended (its role is a superuser or may replicate") for line in told)
    cycle.m.config = cycle.m.config.model_copy(
        update={"cutover": cycle.m.config.cutover.model_copy(update={"kill_blockers": "idle-in-transaction"})}
    )
    active = connect(database.app, autocommit=False)
    active.execute("SELECT FROM users")
    with background(lambda: active.execute("SELECT pg_sleep(60)"), active.cancel) as sleeping:
        wait_until_asleep(admin, active.info.backend_pid)
        with pytest.raises(LockError):
            cycle.exchange("cutover")
        assert not sleeping.done()
        active.cancel()
        assert isinstance(sleeping.exception(30), psycopg.errors.QueryCanceled)
    last = events(cycle)[2:]
    assert len(last) == 1
    assert last[0].startswith(
        f"not ended (kill_blockers = idle-in-transaction leaves a session at work): pid {active.info.backend_pid} "
    )


def test_a_statement_is_cancelled_before_its_session_is_terminated(
    start: Start, database: Database, connect: Connect, may: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two sessions at work, of which one rolls back when it is cancelled and one does not, then only the other is
    terminated; the journal has each by name."""
    cycle = start(SCHEMA, cutover={"max_attempts": 500, "lock_timeout_ms": 50, "kill_blockers": "all"})
    cycle.ready()
    monkeypatch.setattr("cutover.kill.GRACE_S", 3.0)  # of a busy machine too
    polite, stubborn = (connect(database.app, autocommit=False) for _ in range(2))
    a, b = polite.info.backend_pid, stubborn.info.backend_pid

    def at_work(conn: psycopg.Connection[Any]) -> None:
        conn.execute("SELECT FROM users; SAVEPOINT s")  # without one a cancelled transaction gives up its locks by itself
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(60)")

    def gives_way() -> None:
        at_work(polite)
        polite.rollback()

    with background(gives_way, polite.cancel) as first, background(lambda: at_work(stubborn), stubborn.cancel) as second:
        wait_until_asleep(connect(database.superuser), a, b)
        assert cycle.exchange("cutover").outcome == "committed"
        first.result(30)
        second.result(30)
    assert works(polite)
    with pytest.raises(psycopg.OperationalError):
        stubborn.execute("SELECT 1")
    said = events(cycle)
    done = {(line.split()[0], int(line.split()[2])) for line in said}
    assert done == {("cancelled", a), ("cancelled", b), ("terminated", b)}, said


def test_a_session_that_may_not_be_ended_is_said_once(start: Start, database: Database, connect: Connect) -> None:
    """Without the right to signal others nothing is ended, and the missing grant is named."""
    cycle = start(SCHEMA, cutover=QUICK | {"kill_blockers": "all"})
    cycle.ready()
    admin = connect(database.superuser)
    admin.execute("GRANT pg_monitor TO swap_owner")
    try:
        idle = connect(database.app, autocommit=False)
        idle.execute("SELECT FROM users")
        with pytest.raises(LockError):
            cycle.exchange("cutover")
    finally:
        admin.execute("REVOKE pg_monitor FROM swap_owner")
    assert works(idle)
    (line,) = events(cycle)
    assert line.startswith(f"not ended (kill_blockers needs GRANT pg_signal_backend): pid {idle.info.backend_pid} app")


def test_a_cancelled_session_has_a_second_to_roll_back(
    database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch looks fifty times a second: what it sees just after it cancelled a statement is not yet an answer."""
    admin, app = connect(database.superuser), connect(database.superuser)
    at_work = Blocker(app.info.backend_pid, "app", "", "active", "SELECT", 60.0, "client backend", privileged=False, own=False)
    killer = Killer("all")
    killer.consider(admin, at_work)
    killer.consider(admin, at_work)
    assert [line.split()[0] for line in killer.take_log()] == ["cancelled"]
    monkeypatch.setattr("cutover.kill.GRACE_S", 0.0)
    killer.consider(admin, at_work)
    assert [line.split()[0] for line in killer.take_log()] == ["terminated"]
