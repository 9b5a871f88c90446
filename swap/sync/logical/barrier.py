"""Barriers: how a caller knows that the change table holds everything its snapshot shows.

A barrier is a logical message of a committed transaction. A commit is inserted into the WAL before it becomes visible, so
the barrier lies behind every commit that any snapshot taken before it can show. The stream delivers commits in their order:
when it has passed the barrier, they are all in the change table. A flush or sent position would not do: commits of
`synchronous_commit = off` are visible before they are flushed. The barrier's own commit flushes them (H10).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.errors import RefusedError
from swap.plan.model import Plan
from swap.prepare.slot import read_slot, slot_name
from swap.state.journal import Run
from swap.state.locks import Locks
from swap.sync.logical.decoding import BARRIER, NUDGE
from swap.sync.logical.stream import Stream
from swap.sync.replay import Barrier

TIMEOUT_S = 120.0
NUDGE_S = 1.0
PAGE = 8192
POLL_S = 0.02
DELIVERY_S = 0.1


def emit_barrier(conn: Connection) -> int:
    """Commit a barrier on `conn` (autocommit, synchronous_commit = local) and return its position."""
    row = conn.execute(
        "SELECT (pg_logical_emit_message(true, %s, '') - '0/0'::pg_lsn)::bigint",
        [BARRIER],
    ).fetchone()
    assert row is not None
    return int(row[0])


class Nudge:
    """Fills a page of WAL for every NUDGE_S of a wait. A crash may leave a record whose second page was never written. The server
    goes on behind it, but its walsender first waits for as much of that page as the record would have taken. Without load it
    waits for ever (seen on 16.2: a barrier on a server without load, restarted after a crash, was never passed)."""

    def __init__(self, conn: Connection) -> None:
        self.conn, self.since = conn, time.monotonic()

    def if_due(self) -> None:
        if time.monotonic() - self.since > NUDGE_S:
            self.since = time.monotonic()
            self.conn.execute("SELECT pg_logical_emit_message(true, %s, repeat(' ', %s))", [NUDGE, PAGE])


class StreamBarrier:
    """The barrier of the command that runs the stream. `conn`: a session of its own, closed by the caller. `ask` is called every second
    of a wait, and may raise to end it: the server may deliver nothing for long (it decodes a large transaction, or waits for a disk)."""

    def __init__(self, conn: Connection, stream: Stream) -> None:
        self.conn, self.stream = conn, stream
        self.ask: Callable[[], None] = lambda: None
        conn.execute("SET synchronous_commit = local")  # flushed here; no standby has to answer

    def wait_delivered(self) -> Connection:
        """Raises CaptureLostError and UnreachableError as the stream does, RefusedError after TIMEOUT_S."""
        wanted, deadline, nudge = emit_barrier(self.conn), time.monotonic() + TIMEOUT_S, Nudge(self.conn)
        while not self.stream.wait_past(wanted, NUDGE_S):
            if time.monotonic() > deadline:
                raise _late(TIMEOUT_S)
            self.ask()
            nudge.if_due()
        return self.conn

    def delivering(self) -> Iterator[bool]:
        """Yields every DELIVERY_S whether more was delivered, until a barrier is passed, and True once at the end. Raises as
        `wait_delivered` does, after TIMEOUT_S without a delivery."""
        wanted, at, deadline = emit_barrier(self.conn), self.stream.position, time.monotonic() + TIMEOUT_S
        nudge = Nudge(self.conn)
        while not self.stream.wait_past(wanted, DELIVERY_S):
            if self.stream.position > at:
                at, deadline = self.stream.position, time.monotonic() + TIMEOUT_S
                yield True
            elif time.monotonic() > deadline:
                raise _late(TIMEOUT_S)
            else:
                yield False
            nudge.if_due()
        yield True


def _late(timeout_s: float) -> RefusedError:
    return RefusedError(
        f"The replication slot did not deliver everything within {timeout_s:.0f} s.",
        hint="`swap status` shows how far behind it is; let `swap sync` catch up. A large transaction is decoded as a whole;"
        " and a slot that fails over waits for every standby in synchronized_standby_slots.",
    )


@contextmanager
def streaming(database: Database, plan: Plan, run_id: int) -> Iterator[StreamBarrier | None]:
    """In logical mode, the stream and its barrier while the context is open; else None. The caller holds the worker."""
    if plan.mode != "logical":
        yield None
        return
    with database.session("fence") as conn, Stream(database, plan, run_id) as stream:
        yield StreamBarrier(conn, stream)


class GivenUp(Exception):
    """The wait ended because it was told to: no error, and no barrier was passed."""


class DelegatedBarrier:
    """The barrier of a command that moves no data. A running `sync` delivers; where none runs this does, until another command
    wants to work.

    Meanwhile the caller holds a snapshot and the change tables, which `finalize` and `abort` drop. So a reason of `give_up`
    ends the wait, and so does a slot that is gone.
    """

    def __init__(self, database: Database, conn: Connection, run: Run, give_up: Callable[[], str]) -> None:
        self.database, self.conn, self.run, self.give_up = database, conn, run, give_up
        self.slot = slot_name(conn, run.plan)
        self.locks = Locks(conn, run.plan.state_schema, run.plan.tag)
        conn.execute("SET synchronous_commit = local")

    def wait_delivered(self) -> Connection:
        """Raises GivenUp, RefusedError after TIMEOUT_S without a delivery, and the errors of the stream."""
        wanted = emit_barrier(self.conn)
        at, deadline = self._position(), time.monotonic() + TIMEOUT_S
        nudge = Nudge(self.conn)
        while at < wanted:
            if reason := self.give_up():
                raise GivenUp(reason)
            with self.locks.borrowing_worker() as mine:
                if mine:
                    self._deliver(wanted)
                elif read_slot(self.conn, self.slot) is None:
                    raise RefusedError(
                        f"The replication slot {self.slot} is gone while what it holds was waited for.",
                        hint="`swap status` says whether the run has ended; if not, `swap prepare` starts capture again.",
                    )
                else:
                    time.sleep(POLL_S)
            nudge.if_due()
            if (reached := self._position()) > at:
                at, deadline = reached, time.monotonic() + TIMEOUT_S
            elif time.monotonic() > deadline:
                raise _late(TIMEOUT_S)
        return self.conn

    def _deliver(self, wanted: int) -> None:
        """Until the stream is past `wanted`, another command wants to work, or there is a reason to give up; at most TIMEOUT_S."""
        with Stream(self.database, self.run.plan, self.run.id) as stream:
            end = time.monotonic() + TIMEOUT_S
            nudge = Nudge(self.conn)
            while not stream.wait_past(wanted, DELIVERY_S) and time.monotonic() < end:
                if self.locks.worker_wanted() or self.give_up():
                    return
                nudge.if_due()

    def _position(self) -> int:
        row = self.conn.execute(
            sql.SQL("SELECT position FROM {} WHERE run_id = {}").format(
                sql.Identifier(self.run.plan.state_schema, "stream"), sql.Literal(self.run.id)
            )
        ).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def delivered(database: Database, run: Run, give_up: Callable[[], str]) -> Iterator[Barrier | None]:
    """The barrier of a command that moves no data, in logical mode; else None. `give_up`: a reason ends the wait (GivenUp)."""
    if run.mode != "logical":
        yield None
        return
    with database.session("fence") as conn:
        yield DelegatedBarrier(database, conn, run, give_up)
