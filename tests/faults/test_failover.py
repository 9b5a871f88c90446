"""The primary is lost in the middle of a run and a standby takes its place: the tool is pointed at it and goes on.

Everything of ours in the database came along by physical replication, as one prefix of what was written; what is not in
it is the slot. From 17 on the standby may have kept a copy of it; else capture begins again by comparing both sides.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.core.connection import Database as Conninfo
from swap.core.names import TableName
from swap.demo.app import install
from swap.demo.server import Server
from swap.prepare.slot import read_slot, slot_name
from swap.state.journal import Journal
from swap.sync.logical.barrier import streaming
from tests.support.commands import Cli
from tests.support.migration import background
from tests.support.mode import Mode
from tests.support.operator import Operator
from tests.support.servers import Database
from tests.support.standby import Standby
from tests.support.waiting import wait_until

SPEC = os.environ.get("SWAP_TEST_PG", "18")
KEEPING = ("sync_replication_slots", "hot_standby_feedback")
BUMP = "UPDATE users SET revision = revision + 1 WHERE email = (SELECT email FROM users ORDER BY random() LIMIT 1)"
COPIED = "SELECT count(*), max(done_at) FROM swap.chunk"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not SPEC.isdigit(), reason="a container's standby cannot be promoted from here"),
]
slots_fail_over = pytest.mark.skipif(SPEC.isdigit() and int(SPEC) < 17, reason="slots fail over from 17 on")


class Pair:
    """A primary, and a standby that streams from it. `promote` puts the standby in its place."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.primary: Server = stack.enter_context(Server.start(SPEC, {"shared_buffers": "32MB"}, tcp=True))
        self._standby: Standby | None = None
        self._numbers = itertools.count(1)
        self._run(self.primary, "CREATE DATABASE example")
        install(self.primary.conninfo("example"), "fresh", users=100, replication=True)

    @staticmethod
    def _run(server: Server, *statements: str) -> list[Any]:
        with closing(psycopg.connect(server.conninfo(), autocommit=True)) as conn:
            cursors = [conn.execute(s.encode()) for s in statements]
            return cursors[-1].fetchall() if cursors[-1].description else []

    @property
    def standby(self) -> Standby:
        if self._standby is None:
            self._run(self.primary, "SELECT pg_create_physical_replication_slot('standby', true)")
            conninfo = f"host=127.0.0.1 port={self.primary.port} user=postgres dbname=postgres"
            settings = {"primary_conninfo": conninfo, "primary_slot_name": "standby"}
            self._standby = self._stack.enter_context(Standby.start(SPEC, settings, tcp=True))
        return self._standby

    def new_database(self) -> str:
        name = f"run_{next(self._numbers)}"
        self._run(self.primary, f"CREATE DATABASE {name} TEMPLATE example", f"GRANT CREATE ON DATABASE {name} TO swap_owner")
        return name

    @staticmethod
    def at(server: Server, name: str) -> Database:
        return Database(name, server.conninfo(name), server.conninfo(name, "swap_owner"), server.conninfo(name, "app"))

    def keep_slots(self) -> None:
        """As PostgreSQL's documentation wants it ("Logical Replication Failover"): the standby copies slots, and no
        walsender of such a slot is ahead of it."""
        self._run(self.standby, *(f"ALTER SYSTEM SET {name} = on" for name in KEEPING), "SELECT pg_reload_conf()")
        self._run(self.primary, "ALTER SYSTEM SET synchronized_standby_slots = 'standby'", "SELECT pg_reload_conf()")

    def slots(self) -> list[tuple[bool, int]]:
        """On the standby: whether the slot would outlive a promotion, and its confirmed position."""
        query = (
            "SELECT NOT temporary, (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_type = 'logical'"
        )
        return self._run(self.standby, query)

    def caught_up(self) -> None:
        """The standby has everything; it is made if need be."""
        self._run(self.standby, "SELECT 1")
        query = "SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_insert_lsn()"
        wait_until(lambda: self._run(self.primary, query), 30, "the standby has replayed everything")

    def detach(self) -> None:
        """The standby receives nothing any more."""
        self._run(self.standby, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        wait_until(lambda: not self._run(self.standby, "SELECT FROM pg_stat_wal_receiver"), 30, "the standby is on its own")

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """The standby receives nothing within the block."""
        ((pid,),) = self._run(self.standby, "SELECT pid FROM pg_stat_wal_receiver")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def promote(self) -> None:
        """The primary, if it still runs, ends as in a crash; the standby takes its place."""
        self.primary.crash()
        assert self._run(self.standby, "SELECT pg_promote()") == [(True,)]
        self.primary, self._standby = self.standby, None
        resets = [f"ALTER SYSTEM RESET {name}" for name in (*KEEPING, "synchronized_standby_slots")]
        self._run(self.primary, *(resets if int(SPEC) >= 17 else []), "SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


Operate = Callable[[Mode], Operator]


@pytest.fixture
def operate(cli: Cli, pair: Pair, tmp_path: Path) -> Operate:
    """Factory: an operator at a new database of the primary."""

    def make(mode: Mode) -> Operator:
        database = pair.at(pair.primary, pair.new_database())
        directory = tmp_path / database.dbname
        directory.mkdir()
        return Operator(cli, database, directory, "", mode)

    return make


def follow(op: Operator, pair: Pair) -> None:
    """The operator points the tool at the new primary, and says that it is the one that goes on (H58)."""
    op.db = pair.at(pair.primary, op.db.dbname)
    assert "promoted" in op.refused("sync", "--once", code=3)["message"]
    op("adopt-clone", "--yes")


def copied(op: Operator) -> Any:
    with closing(psycopg.connect(op.db.superuser)) as conn:
        return conn.execute(COPIED).fetchone()


@contextmanager
def writing(op: Operator) -> Iterator[None]:
    """An application that changes, makes and deletes users until its server is gone."""

    def write() -> None:
        with closing(psycopg.connect(op.db.owner, autocommit=True)) as conn:
            for n in range(1_000_000):
                conn.execute(BUMP)
                conn.execute("INSERT INTO users (email, organization_id) VALUES (%s, 1)", [f"w{n}@example.org"])
                if n % 3 == 0:
                    conn.execute("DELETE FROM users WHERE email = %s", [f"w{n}@example.org"])

    with background(write) as future:
        yield
        with pytest.raises(psycopg.OperationalError):
            future.result(30)


CUTOVER, REVERT = ("cutover", "--yes", "--no-snapshot"), ("revert", "--yes")


def goes_on(op: Operator, *commands: tuple[str, ...]) -> None:
    """The rest of the cycle, with a write before each exchange."""
    for command in commands:
        with closing(psycopg.connect(op.db.owner, autocommit=True)) as conn:
            conn.execute(BUMP)
        op("sync", "--once")
        assert op("verify", "--method", "exact").json["verdict"] == "identical"
        assert op(*command).json["outcome"] == "committed"


@slots_fail_over
def test_what_the_standby_has_not_got_is_not_confirmed(pair: Pair, operate: Operate) -> None:
    """Given a note that commits when the standby is cut off, then the slot does not move: a standby that had the slot's new
    position without the journal's would, promoted, have a slot from which changes are missing."""
    op = operate("logical")
    op("prepare")
    pair.keep_slots()
    database = Conninfo.from_options(op.db.owner, "test")
    with database.session() as conn, closing(psycopg.connect(op.db.superuser, autocommit=True)) as watcher:
        run = Journal(conn, "swap").current(TableName("public", "users"))
        assert run is not None
        name = slot_name(conn, run.plan)

        def confirmed() -> int:
            slot = read_slot(watcher, name)
            assert slot is not None
            return slot.confirmed

        with streaming(database, run.plan, run.id) as barrier, ExitStack() as cut:
            assert barrier is not None
            barrier.wait_delivered()
            before = barrier.stream.position
            with closing(psycopg.connect(op.db.superuser)) as holder:
                holder.execute("SELECT FROM swap.stream FOR UPDATE")
                watcher.execute(BUMP)
                waits = "SELECT 1 FROM pg_stat_activity WHERE application_name ~ 'capture' AND wait_event_type = 'Lock'"
                wait_until(lambda: watcher.execute(waits).fetchone(), what="the note waits")
                cut.enter_context(pair.cut_off())
                holder.rollback()
            wait_until(lambda: barrier.stream.position > before, what="the change is noted")
            position = barrier.stream.position
            end = watcher.execute("SELECT clock_timestamp() + interval '2s'").fetchone()
            wait_until(lambda: watcher.execute("SELECT clock_timestamp() > %s", end).fetchone() == (True,))
            assert confirmed() < position
            cut.close()
            wait_until(lambda: confirmed() >= position, what="the position is confirmed")
    op("abort", "--yes")


@pytest.mark.slow
@slots_fail_over
def test_a_failover_with_a_synchronised_slot(pair: Pair, operate: Operate) -> None:
    """H13, H37: given a standby that keeps slots, writers, and a running `sync`, when the primary is lost and the standby
    promoted, then the stream goes on from the slot as the standby had it; nothing is compared or copied again."""
    op = operate("logical")
    op("prepare")
    op("sync", "--once")
    sync = op.start("sync")
    with writing(op):
        pair.keep_slots()
        before = wait_until(lambda: [at for kept, at in pair.slots() if kept], 60, "the slot would outlive a promotion")
        wait_until(lambda: pair.slots()[0][1] > before[0], 60, "the standby's copy follows")
        was = copied(op)
        pair.promote()
    assert sync.wait().code == 9
    follow(op, pair)
    assert op.status()["slot"]["problem"] is None
    op("sync", "--once")
    with closing(psycopg.connect(op.db.superuser)) as conn:
        assert conn.execute("SELECT count(*) FROM swap.event WHERE kind = 'capture'").fetchone() == (0,)
    assert copied(op) == was
    goes_on(op, CUTOVER, REVERT)
    op("abort", "--yes")


def _found(conn: psycopg.Connection[Any], table: str) -> bool:
    query = sql.SQL("SELECT FROM {} WHERE email = 'lost@example.org'").format(sql.Identifier(table))
    return conn.execute(query).fetchone() is not None


@pytest.mark.slow
def test_a_failover_that_loses_the_slot_and_the_last_writes(pair: Pair, operate: Operate) -> None:
    """H13, H37, I11: given a standby that keeps no slots and has not got the last of what was committed, by the application
    and by `sync`, when it is promoted, then with triggers the run goes on from what is there; with logical capture it
    says that the slot is gone, and `prepare` begins capture again without another copy."""
    logical, triggers = operate("logical"), operate("trigger")
    for op in (logical, triggers):
        op("prepare")
        op("sync", "--once")
    was = [copied(op) for op in (logical, triggers)]
    pair.caught_up()
    syncs = [op.start("sync") for op in (logical, triggers)]
    pair.detach()
    for op in (logical, triggers):
        with closing(psycopg.connect(op.db.owner, autocommit=True)) as conn:
            conn.execute("INSERT INTO users (email, organization_id) VALUES ('lost@example.org', 1)")
            wait_until(partial(_found, conn, "users_new"), 30, "replayed on the old primary")
    pair.primary.crash()
    logical.db = pair.at(pair.standby, logical.db.dbname)  # not promoted yet
    for command in (("sync",), ("verify",), ("prepare",), ("cutover", "--yes")):
        assert "standby" in logical.refused(*command, code=3)["message"]
    assert (logical.status()["phase"], logical.status()["slot"]) == ("syncing", None)
    pair.promote()
    assert [s.wait().code for s in syncs] == [9, 9]
    for op in (logical, triggers):
        follow(op, pair)
        with closing(psycopg.connect(op.db.owner, autocommit=True)) as conn:
            assert not _found(conn, "users")
            conn.execute(BUMP)
    assert "gone" in logical.status()["slot"]["problem"]
    assert "swap prepare" in logical.refused("sync", "--once", code=3)["hint"]
    logical("prepare")
    for op in (logical, triggers):
        goes_on(op, CUTOVER)
    assert [copied(op) for op in (logical, triggers)] == was
