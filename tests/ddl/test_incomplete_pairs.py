"""References in place whose parent the guard could not see, or that has another key now (I3): whatever the order of the commits is, and
whatever the isolation of the writers, each pair ends as that of one row. Before the cutover and after it."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from swap.sync.reference_pairs import unsettled
from tests.support.migration import Synced, background, waiting_for
from tests.support.pairs import REFERENCES, SCHEMA, Side, committed, run
from tests.support.servers import Connect, Database

pytestmark = pytest.mark.sampled(2)

BARRIER = 7
# With a snapshot of its own a transaction's foreign keys look no further than its guards: there only a reference without a key can
# be written before its parent.
WRITERS = [("READ COMMITTED", "sessions"), ("READ COMMITTED", "audit"), ("REPEATABLE READ", "audit"), ("SERIALIZABLE", "audit")]


@pytest.fixture(params=["forward", "reverse"])
def side(synced: Synced, database: Database, connect: Connect, request: pytest.FixtureRequest) -> Side:
    m = synced(database, SCHEMA, reference=REFERENCES)
    if request.param == "reverse":
        assert m.verify().verdict == "identical"
        committed(m.exchange("cutover"))
    return Side(m, request.param == "forward", connect(database.app), lambda: connect(database.app), connect(database.owner))


def held(side: Side, isolation: str, table: str, meanwhile: Callable[[], None], key: int = 50) -> None:
    """A child is written; between the guard's look and the foreign key's, `meanwhile` happens."""
    barrier, child = side.connect(), side.connect()
    run(barrier, f"BEGIN; SELECT pg_advisory_xact_lock({BARRIER})")
    run(child, f"BEGIN ISOLATION LEVEL {isolation}")
    with background(lambda: run(child, f"{side.child(key, 'hold', table)}; COMMIT"), barrier.rollback) as done:
        deadline = time.monotonic() + 20
        while not waiting_for(side.m.conn, BARRIER):
            assert time.monotonic() < deadline
        meanwhile()
        barrier.rollback()
        done.result(30)


@pytest.mark.parametrize("replayed", [False, True], ids=["", "replayed"])
@pytest.mark.parametrize(("isolation", "table"), WRITERS)
def test_a_parent_that_commits_between_the_two_looks(side: Side, isolation: str, table: str, replayed: bool) -> None:
    """Given a parent that the guard does not see and the foreign key does, also where replay has passed the parent already."""
    parent = side.connect()
    run(parent, f"BEGIN; {side.born(50)}")

    def meanwhile() -> None:
        parent.commit()
        if replayed:
            side.m.drain()

    held(side, isolation, table, meanwhile)
    assert side.count(50, table) == 1
    side.right()
    assert side.look.execute("SELECT count(*) FROM log").fetchone() == (0,)  # the application's trigger was quiet


@pytest.mark.parametrize(("isolation", "table"), WRITERS)
def test_a_parent_that_moves_between_the_two_looks(side: Side, isolation: str, table: str) -> None:
    """Given a child whose guard saw a parent that goes and comes back with another key before the child commits, and a replay that
    passes the parent meanwhile, then the child has the new key."""

    def meanwhile() -> None:
        run(side.app, f"BEGIN; SET CONSTRAINTS ALL DEFERRED; {side.moved(61)}; COMMIT")
        side.m.drain()
        assert unsettled(side.m.conn, side.m.plan)  # the child may still come: it has the former key

    run(side.app, side.born(61))
    side.m.drain()
    held(side, isolation, table, meanwhile, key=61)
    assert side.count(61, table) == 1
    assert side.wrong()
    side.right()


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_from_before_the_parent_moved(side: Side, isolation: str) -> None:
    """Given a transaction whose snapshot shows a parent's former key, when it writes a child after replay has passed the parent,
    then the child has the new key in the end."""
    run(side.app, side.born(61))
    side.m.drain()
    old = side.connect()
    run(old, f"BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM users")
    run(side.app, f"BEGIN; SET CONSTRAINTS ALL DEFERRED; {side.moved(61)}; COMMIT")
    side.m.drain()
    run(old, side.child(61, table="audit"))
    side.m.drain()
    old.commit()
    side.right()


def test_children_of_a_parent_that_moves(side: Side) -> None:
    """Given children, when their parent goes and comes back in one transaction under a deferred key, then they have its new key."""
    run(side.app, f"{side.born(62)}; {side.child(62)}; {side.child(62, table='profiles')}; {side.child(62, table='audit')}")
    side.m.drain()
    run(side.app, f"BEGIN; SET CONSTRAINTS ALL DEFERRED; {side.moved(62)}; COMMIT")
    assert side.wrong()
    side.right()


def test_rows_that_exchange_unique_values(synced: Synced, database: Database, connect: Connect) -> None:
    """Given one-to-one children, when all integers move down under keys that check last, then each child has its new parent's uuid:
    no order of single updates leads there."""
    m = synced(database, SCHEMA, reference=REFERENCES)
    app = connect(database.app)
    side = Side(m, True, app, lambda: connect(database.app), connect(database.owner))
    run(app, "INSERT INTO profiles (user_id) SELECT generate_series(11, 25)")
    m.drain()
    run(
        app,
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE users SET id = -id WHERE id > 10; UPDATE users SET id = 41 + id WHERE id < 0; COMMIT",
    )
    assert len(side.wrong()) > 10
    side.right()


@pytest.mark.parametrize("table", ["profiles", "audit"])
def test_a_child_before_its_parent(side: Side, table: str) -> None:
    """Given a deferred key, or none, when the child is written first, then it has both keys in the end; no trigger that forbids
    updates is in the way."""
    run(side.app, f"BEGIN; {side.child(70, table=table)}; {side.born(70)}; COMMIT")
    side.right()
    assert side.count(70, table) == 1


def test_a_child_that_commits_before_its_parent(side: Side) -> None:
    """Given a reference without a key: the child waits, is no difference, and is made right by the replay of its parent."""
    parent = side.connect()
    run(parent, f"BEGIN; {side.born(71)}")
    run(side.app, side.child(71, table="audit"))
    side.settled()
    parent.commit()
    side.right()
    run(side.app, side.born(900))  # an orphan of before `prepare`: after the cutover its uuid is not known
    if side.ahead:
        side.right()


def test_a_writer_without_triggers(side: Side, connect: Connect, database: Database) -> None:
    """H7: given session_replication_role = replica, when the child comes first, then it has both keys in the end."""
    writer = connect(database.superuser)
    run(writer, f"SET session_replication_role = replica; {side.child(72)}; {side.born(72)}")
    side.right()


def test_a_row_that_is_locked_is_passed_by(side: Side) -> None:
    """I2: given a stale child that an application's transaction holds, then nobody waits, and it is made right afterwards."""
    run(side.app, f"{side.born(73)}; {side.child(73)}; {side.child(73)}")
    side.m.drain()
    holder = side.connect()
    run(holder, f"BEGIN; SELECT * FROM sessions WHERE user_id = {side.key(73)} ORDER BY id LIMIT 1 FOR UPDATE")
    run(side.app, f"BEGIN; SET CONSTRAINTS ALL DEFERRED; {side.moved(73)}; COMMIT")
    side.m.drain()
    assert len(side.wrong()) == 1
    holder.commit()
    side.right()


@pytest.mark.parametrize(("isolation", "table"), WRITERS)
def test_an_exchange_makes_right_what_is_noted(side: Side, isolation: str, table: str) -> None:
    """I3: given pairs that nobody has made right yet, when the exchange runs, then they are right after it, and required."""
    parent = side.connect()
    run(side.app, side.born(62))
    side.m.drain()
    side.verified()
    run(parent, f"BEGIN; {side.born(50)}")
    held(side, isolation, table, parent.commit)
    run(side.app, f"{side.child(62)}; BEGIN; SET CONSTRAINTS ALL DEFERRED; {side.moved(62)}; COMMIT")
    committed(side.m.exchange("cutover" if side.ahead else "revert"))
    other = Side(side.m, not side.ahead, side.app, side.connect, side.look)
    assert other.wrong() == []
    with pytest.raises(psycopg.errors.NotNullViolation):
        run(side.app, "INSERT INTO sessions (user_id) VALUES (NULL)")
    other.right()


def test_a_pair_that_names_nobody_on_one_side(side: Side) -> None:
    """H20: the other side names a row, so the pair is refused; and no foreign key is there to do it."""
    change = (
        "UPDATE sessions SET user_uuid_id = gen_random_uuid() WHERE id = 5"
        if side.ahead
        else "UPDATE sessions SET user_legacy_id = 99999 WHERE id = 5"
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="are not of one row of users"):
        run(side.app, change)
    follower, value = ("actor_uuid_id", "(SELECT uuid_id FROM users WHERE id = 1)") if side.ahead else ("actor_legacy_id", "1")
    with pytest.raises(psycopg.errors.CheckViolation, match="are not of one row of users"):
        run(side.app, f"INSERT INTO audit (actor_id, {follower}) VALUES ({side.key(99_999)}, {value})")
    side.right()


def test_a_key_of_a_primary_key_may_wait_too(side: Side) -> None:
    """I1: given a reference in a primary key, when the child is written before its parent, then it is accepted, and right in the end."""
    run(side.app, f"WITH u AS ({side.born(74)}) INSERT INTO roles (user_id, role) VALUES ({side.key(74)}, 'x')")
    side.right()
    committed(side.m.exchange("cutover" if side.ahead else "revert"))
    Side(side.m, not side.ahead, side.app, side.connect, side.look).right()
