"""H42: one worker at a time. A lock is a row of the state schema, and counts for as long as the session that it names lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from urllib.parse import quote

import pytest
from psycopg import errors

from swap.core.connection import Connection
from swap.core.connection import Database as Conninfo
from swap.core.errors import LockError, RefusedError, StoppedError, SwapError
from swap.state import lock_rows, locks
from swap.state.journal import Journal
from swap.state.locks import BORROWED, HANDOVER, OPERATOR, SETTLE, WANTED, WORKER, Locks
from tests.support.migration import ROLES, background
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

TAG = 4711
Open = Callable[..., Locks]


@pytest.fixture
def opened(database: Database, connect: Connect) -> Iterator[Open]:
    """Factory: the locks for another session, of swap_owner or of the role that is named."""
    connect(database.superuser).execute(ROLES)
    sessions: list[Connection] = []

    def make(role: str = "owner", tag: int = TAG) -> Locks:
        conn = Conninfo.from_options(getattr(database, role), f"of {role}").connect()
        sessions.append(conn)
        return Locks(conn, "swap", tag)

    first = make()
    Journal(first.conn, "swap").create()
    yield make
    for conn in sessions:
        conn.close()


def pid(of: Locks) -> int:
    return of.conn.info.backend_pid


def test_a_lock_keeps_others_out(opened: Open) -> None:
    """Given a lock, then another session is told who holds it; of another source it is free; when it is released, too."""
    one, other = opened(), opened()
    with one.only_operator():
        with pytest.raises(RefusedError, match=rf"\(swap of owner, pid {pid(one)}"), other.only_operator():
            pass
        with opened(tag=TAG + 1).only_operator(), other.only_worker():
            assert str(one.holder(WORKER)).startswith(f"swap of owner, pid {pid(other)}")
        assert one.holder(OPERATOR) is None  # its own
    with other.only_operator():
        assert one.conn.execute("SELECT name, pid FROM swap.lock").fetchall() == [(OPERATOR, pid(other))]
    assert one.conn.execute("SELECT FROM swap.lock").fetchall() == []


def test_a_killed_session_holds_nothing(opened: Open, database: Database, connect: Connect) -> None:
    one, other = opened(), opened()
    assert one.try_worker()
    assert not other.try_worker()
    connect(database.superuser).execute("SELECT pg_terminate_backend(%s, 10000)", [pid(one)])
    assert other.try_worker()


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        ("began = began", True),
        ("began = NULL", True),  # the session could not see its own beginning
        ("began = began - interval '1 us'", False),
        ("role = 10", False),
    ],
)
def test_a_row_is_of_one_session_only(opened: Open, row: str, counts: bool) -> None:
    """Given a process number that a later session got, of the same role or of another one, then that one holds nothing."""
    one, other = opened(), opened()
    assert one.try_worker()
    one.conn.execute(f"UPDATE swap.lock SET {row}".encode())
    assert other.try_worker() is not counts


def test_a_row_that_was_copied_holds_nothing(
    opened: Open, database: Database, connect: Connect, new_database: Callable[[str], Database]
) -> None:
    """Given the state of another database of the server, as CREATE DATABASE … TEMPLATE or a restore brings it."""
    one = opened()
    assert one.try_worker()
    (row,) = one.conn.execute("SELECT l::text FROM swap.lock l").fetchall()
    copy = new_database("template0")
    connect(copy.superuser).execute(ROLES)
    with closing(Conninfo.from_options(copy.owner, "copy").connect()) as conn:
        Journal(conn, "swap").create()
        conn.execute("INSERT INTO swap.lock SELECT (%s::swap.lock).*", row)
        assert Locks(conn, "swap", TAG).try_worker()


@pytest.mark.parametrize("options", ["", "-c track_activities=off"])
def test_a_role_that_sees_less_is_kept_out(opened: Open, database: Database, options: str) -> None:
    """Given a superuser's session, whose beginning and address are hidden from swap_owner."""
    with closing(Conninfo.from_options(f"{database.superuser}?options={quote(options)}", "admin").connect()) as conn:
        admin = Locks(conn, "swap", TAG)
        with admin.only_worker(), pytest.raises(RefusedError, match=rf"\(swap admin, pid {pid(admin)}\)"), opened().only_worker():
            pass
    with opened().only_worker():
        pass


def test_only_the_owner_can_take_one(opened: Open, database: Database, connect: Connect) -> None:
    stranger = connect(database.app)
    for statement in (
        "SELECT FROM swap.lock",
        "INSERT INTO swap.lock VALUES ('worker', 1, 1, now(), 1)",
        "BEGIN; LOCK TABLE swap.lock",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            stranger.execute(statement.encode())
    with pytest.raises(errors.InsufficientPrivilege):
        opened("app").try_worker()


def test_one_at_a_time(opened: Open) -> None:
    """Given many sessions that take one lock whenever it is free, then never two hold it."""
    inside, most, taken, stop = 0, 0, 0, time.monotonic() + 3

    def work(mine: Locks) -> None:
        nonlocal inside, most, taken
        while time.monotonic() < stop:
            if mine._take(WORKER):
                inside += 1
                most, taken = max(most, inside), taken + 1
                mine.handover_wanted()  # the others get their turn
                inside -= 1
                mine.release_worker()

    threads = [threading.Thread(target=work, args=(opened(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, taken > 20) == (1, True)


def test_a_lock_costs_no_transaction(opened: Open, database: Database, connect: Connect) -> None:
    """H11: what holds one for days holds back no VACUUM."""
    one = opened()
    with one.only_operator(), one.taking_over():
        held = connect(database.superuser).execute(
            "SELECT state, backend_xid, backend_xmin, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND locktype <> 'advisory')"
            " FROM pg_stat_activity a WHERE pid = %s",
            [pid(one)],
        )
        assert held.fetchone() == ("idle", None, None, 0)


def test_a_table_of_locks_that_is_not_free(
    opened: Open, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_rows, "TABLE_WAIT_MS", 100)
    holder = connect(database.superuser, autocommit=False)
    holder.execute("LOCK TABLE swap.lock IN SHARE MODE")
    with pytest.raises(LockError, match=f"swap.lock was not free .*pid {holder.info.backend_pid} "):
        opened().try_worker()


def test_a_table_of_locks_that_was_dropped(opened: Open) -> None:
    """H38: `abort` and `finalize` lead on from there, and each needs a lock."""
    one, other = opened(), opened()
    one.conn.execute("DROP TABLE swap.lock")
    with one.only_operator():
        assert not other._take(OPERATOR)
        assert one.conn.execute("SELECT relacl::text FROM pg_class WHERE oid = 'swap.lock'::regclass").fetchone() in (
            (None,),
            ("{swap_owner=arwdDxtm/swap_owner}",),
            ("{swap_owner=arwdDxt/swap_owner}",),
        )


def holding(opened: Open, *names: str) -> Locks:
    one = opened()
    assert all(one._take(name) for name in names)
    return one


WAITS: dict[str, tuple[str, Callable[[Locks], AbstractContextManager[object]], type[SwapError]]] = {
    "taking over": (WORKER, lambda mine: mine.taking_over(0.2), RefusedError),
    "follow-up": (SETTLE, lambda mine: mine.settling(wait=True), LockError),
}


@pytest.mark.parametrize("wait", WAITS)
def test_each_wait_has_a_limit_and_names_the_holder(opened: Open, wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0.2)
    name, waiting, error = WAITS[wait]
    one, mine, said = holding(opened, name), opened(), list[str]()
    mine = Locks(mine.conn, "swap", TAG, say=said.append)
    with pytest.raises(error, match=f"swap of owner, pid {pid(one)}"), waiting(mine):
        pass
    assert f"pid {pid(one)}" in said[0]
    assert said[1:] == [""]
    assert one.holder(HANDOVER) is None


@pytest.mark.parametrize("wait", [*WAITS, "borrowed"])
def test_each_wait_ends_when_the_command_is_to_stop(opened: Open, wait: str) -> None:
    name, waiting, _ = WAITS.get(wait, (WORKER, Locks.only_worker, SwapError))
    holding(opened, name, *([BORROWED] if wait == "borrowed" else []))
    mine = opened()

    def work() -> None:
        with waiting(mine):
            pass

    with background(work, mine.stop.set) as ended:
        time.sleep(0.2)
        assert not ended.done()
        mine.stop.set()
        with pytest.raises(StoppedError):
            ended.result(2)


def test_a_borrower_sees_who_waits(opened: Open) -> None:
    borrower, other = opened(), opened()
    with borrower.borrowing_worker() as mine:
        assert mine
        assert not borrower.worker_wanted()
        with background(other.try_worker, other.stop.set) as waits:
            wait_until(borrower.worker_wanted, 10, "the other waits")
            borrower.release_worker()
            assert waits.result(10)
    assert other.conn.execute("SELECT name FROM swap.lock ORDER BY name").fetchall() == [(WORKER,)]
    with borrower.borrowing_worker() as mine:
        assert not mine
    assert other.holder(BORROWED) is other.holder(WANTED) is None


def test_a_schema_that_another_session_is_making(
    opened: Open, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a transaction that made the schema and stays open, then nothing waits for it without end. When it is gone, go on."""
    monkeypatch.setattr("swap.state.journal.TABLE_WAIT_MS", 100)
    one = opened()
    one.conn.execute("DROP SCHEMA swap CASCADE")
    maker = connect(database.superuser, autocommit=False)
    maker.execute("CREATE SCHEMA swap")
    journal = Journal(one.conn, "swap")
    with pytest.raises(LockError, match="has not committed it"):
        journal.create()
    maker.rollback()
    journal.create()
    assert journal.exists()


def test_two_that_make_the_schema(opened: Open, database: Database) -> None:
    """The second finds it made."""
    one, other = opened(), opened()
    one.conn.execute("DROP SCHEMA swap CASCADE")
    barrier = threading.Barrier(2)

    def create(mine: Locks) -> bool:
        barrier.wait(10)
        journal = Journal(mine.conn, "swap")
        journal.create()
        return journal.exists()

    with background(lambda: create(one), barrier.abort) as first:
        assert create(other)
        assert first.result(20)
