"""Barriers: how a caller knows that the change table holds everything its snapshot shows.

A barrier is a logical message of a committed transaction: its position lies behind every commit that any snapshot taken
before it can show, because a commit is inserted into the WAL before it becomes visible. The stream delivers commits in
their order, so when it has passed the barrier they are all in the change table. Not a flush or sent position: commits
of `synchronous_commit = off` are visible before they are flushed, and are flushed by the barrier's own commit (H10).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.errors import RefusedError
from swap.core.journal import Run
from swap.core.plan import Plan
from swap.core.worker import release_worker, try_worker
from swap.sync.logical.decoding import BARRIER
from swap.sync.logical.stream import Stream
from swap.sync.replay import Fence

TIMEOUT_S = 120.0
POLL_S = 0.02
DELIVERY_S = 0.1


def barrier(conn: Connection) -> int:
    """Commit a barrier on `conn` (autocommit, synchronous_commit = local) and return its position."""
    row = conn.execute(
        "SELECT (pg_logical_emit_message(true, %s, '') - '0/0'::pg_lsn)::bigint",
        [BARRIER],
    ).fetchone()
    assert row is not None
    return int(row[0])


class OwnFence:
    """The fence of whoever runs the stream. `conn`: a session of its own, closed by the caller."""

    def __init__(self, conn: Connection, stream: Stream) -> None:
        self.conn, self.stream = conn, stream
        conn.execute("SET synchronous_commit = local")  # flushed here; no standby has to answer

    def close_up(self) -> Connection:
        """Raises CaptureLostError and UnreachableError as the stream does, RefusedError after TIMEOUT_S."""
        if not self.pass_barrier(TIMEOUT_S):
            raise _late(TIMEOUT_S)
        return self.conn

    def delivering(self) -> Iterator[None]:
        """Until a barrier is passed, again and again when more has been delivered, and once at the end. Raises as
        `close_up` does, after TIMEOUT_S in which nothing was."""
        wanted, at, deadline = barrier(self.conn), self.stream.position, time.monotonic() + TIMEOUT_S
        while not self.stream.wait_past(wanted, DELIVERY_S):
            if self.stream.position > at:
                at, deadline = self.stream.position, time.monotonic() + TIMEOUT_S
                yield
            elif time.monotonic() > deadline:
                raise _late(TIMEOUT_S)
        yield

    def pass_barrier(self, timeout_s: float) -> bool:
        return self.stream.wait_past(barrier(self.conn), timeout_s)


def _late(timeout_s: float) -> RefusedError:
    return RefusedError(
        f"The replication slot did not deliver everything within {timeout_s:.0f} s.",
        hint="`swap status` shows how far behind it is; let `swap sync` catch up. A large transaction is decoded as a whole;"
        " and a slot that fails over waits for every standby in synchronized_standby_slots.",
    )


@contextmanager
def streaming(database: Database, plan: Plan, run_id: int) -> Iterator[OwnFence | None]:
    """In logical mode, the stream and its fence while the context is open; else None. The caller holds the worker."""
    if plan.mode != "logical":
        yield None
        return
    with database.session("fence") as conn, Stream(database, plan, run_id) as stream:
        yield OwnFence(conn, stream)


class ForeignFence:
    """The fence of a command that moves no data: a running `sync` delivers, or when there is none this does."""

    def __init__(self, database: Database, conn: Connection, run: Run) -> None:
        self.database, self.conn, self.run = database, conn, run
        conn.execute("SET synchronous_commit = local")

    def close_up(self) -> Connection:
        wanted = barrier(self.conn)
        deadline = time.monotonic() + TIMEOUT_S
        tag = self.run.plan.tag
        while self._position() < wanted:
            if time.monotonic() > deadline:
                raise _late(TIMEOUT_S)
            if not try_worker(self.conn, tag):
                time.sleep(POLL_S)
                continue
            try:
                with Stream(self.database, self.run.plan, self.run.id) as stream:
                    if not stream.wait_past(wanted, max(1.0, deadline - time.monotonic())):
                        raise _late(TIMEOUT_S)
            finally:
                release_worker(self.conn, tag)
        return self.conn

    def _position(self) -> int:
        row = self.conn.execute(
            sql.SQL("SELECT position FROM {} WHERE run_id = {}").format(
                sql.Identifier(self.run.plan.state_schema, "stream"), sql.Literal(self.run.id)
            )
        ).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def delivered(database: Database, run: Run) -> Iterator[Fence | None]:
    """The fence of a command that moves no data, in logical mode; else None."""
    if run.mode != "logical":
        yield None
        return
    with database.session("fence") as conn:
        yield ForeignFence(database, conn, run)
