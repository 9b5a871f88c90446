"""One worker at a time, by advisory locks. The server releases them when a session ends, however it ends.

There are five locks for each source (`tag`: the source's number in this database):

- `worker`: held by the session that moves data.
- `operator`: keeps cutover, revert, finalize and abort apart, from their begin to their end.
- `handover`: taken by one of these commands when it wants `worker`. A running `sync` sees it, finishes its batch, releases
  `worker`, and goes on when `handover` is free again. So `sync` keeps up while a snapshot hook runs for an hour, and a killed
  cutover leaves no flag behind that `sync` would wait for.
- `settle`: one follow-up of an exchange at a time.
- `borrowed`: held beside `worker` by a verification until the stream has delivered the changes that it needs, or until another
  session wants to work. A command that finds `worker` borrowed waits for it. If it refused instead, a `sync` would sometimes not
  begin because `verify --watch` looked at that moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.rows import fetch
from swap.core.sql_text import load_sql

WORKER, HANDOVER, OPERATOR, SETTLE, BORROWED = range(0x73776170, 0x73776175)  # 'swap', and the numbers after it
POLL_S = 0.05
RETURN_S = 30


def _try(conn: Connection, lock: int, tag: int) -> bool:
    row = conn.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", [lock, tag & 0x7FFFFFFF]).fetchone()
    return bool(row and row[0])


def _release(conn: Connection, lock: int, tag: int) -> None:
    if not conn.closed and not conn.broken:
        conn.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", [lock, tag & 0x7FFFFFFF])


class Holder(NamedTuple):
    """The session that holds a lock. `address`: its machine as text for a message, empty where the server hides it."""

    pid: int
    application: str
    address: str

    def __str__(self) -> str:
        return f"{self.application}, pid {self.pid}{self.address}"


def holder(conn: Connection, lock: int, tag: int) -> Holder | None:
    """The other session that holds `lock`; None when it is free, or this session's."""
    found = fetch(conn, Holder, load_sql("swap.core", "advisory_lock_holder.sql"), {"lock": lock, "tag": tag & 0x7FFFFFFF})
    return found[0] if found else None


def refusal(conn: Connection, lock: int, tag: int, said: str, hint: str) -> RefusedError:
    """The error for a lock that another session holds: its process, its machine, and how to end a session whose machine is gone.
    `said` is the message, with {} in place of the session."""
    found = holder(conn, lock, tag)
    if found is None:
        return RefusedError(said.format("just ended"), hint=hint)
    gone = "If its machine is gone, the server ends the session within about a minute (not on a Unix socket)"
    return RefusedError(said.format(found), hint=f"{hint} {gone}, or at once: SELECT pg_terminate_backend({found.pid});")


def try_worker(conn: Connection, tag: int) -> bool:
    """Take `worker`. Waits up to RETURN_S for a borrowed one. False when another session works."""
    for _ in range(2):  # a borrower may have returned it between the two statements
        if _try(conn, WORKER, tag):
            return True
        if holder(conn, BORROWED, tag):
            return _await_return(conn, tag)
    return False


def _await_return(conn: Connection, tag: int) -> bool:
    """Wait in the server's queue for `worker`: the borrower sees the waiter there (`worker_wanted`)."""
    try:
        with conn.transaction():
            conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{RETURN_S}s")))
            conn.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [WORKER, tag & 0x7FFFFFFF])
    except psycopg.errors.LockNotAvailable:
        return False
    return True


@contextmanager
def borrowing_worker(conn: Connection, tag: int) -> Iterator[bool]:
    """Hold `worker` inside the block; yields False when another session works or wants to. The block ends when `worker_wanted`
    says so."""
    borrowed = not worker_wanted(conn, tag) and _try(conn, BORROWED, tag)
    mine = borrowed and _try(conn, WORKER, tag)
    try:
        yield mine
    finally:
        if mine:
            _release(conn, WORKER, tag)
        if borrowed:
            _release(conn, BORROWED, tag)


def worker_wanted(conn: Connection, tag: int) -> bool:
    """Whether a session waits for `worker`, or takes over: a borrower has to return it."""
    row = conn.execute(
        "SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objid = %s AND l.objsubid = 2"
        " AND (l.classid = %s AND l.granted OR l.classid = %s AND NOT l.granted) AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [tag & 0x7FFFFFFF, HANDOVER, WORKER],
    ).fetchone()
    return row is not None


def release_worker(conn: Connection, tag: int) -> None:
    _release(conn, WORKER, tag)


def handover_wanted(conn: Connection, tag: int) -> bool:
    """Whether a command that takes over waits for `worker`, or works."""
    return holder(conn, HANDOVER, tag) is not None


def at_work(conn: Connection, tag: int) -> RefusedError:
    """The error for a second worker."""
    said = "Another swap is already at work on this table ({})."
    return refusal(conn, WORKER, tag, said, "One at a time: wait for it, or stop it (SIGTERM finishes its batch).")


@contextmanager
def only_worker(conn: Connection, tag: int) -> Iterator[None]:
    """Hold `worker` inside the block. Raises RefusedError, with the session that holds it."""
    if not try_worker(conn, tag):
        raise at_work(conn, tag)
    try:
        yield
    finally:
        _release(conn, WORKER, tag)


@contextmanager
def only_operator(conn: Connection, tag: int) -> Iterator[None]:
    """Hold `operator` inside the block. Raises RefusedError while another cutover, revert, finalize or abort runs."""
    if not _try(conn, OPERATOR, tag):
        said = "Another cutover, revert, finalize or abort is running ({})."
        raise refusal(conn, OPERATOR, tag, said, "Let it end; `swap status` shows what it did.")
    try:
        yield
    finally:
        _release(conn, OPERATOR, tag)


@contextmanager
def operator_again(conn: Connection, tag: int, timeout_s: float = 30.0) -> Iterator[bool]:
    """Hold `operator` inside the block for another session of the same command, whose first session was lost.

    Tries for `timeout_s`: the server may not know yet that the first session is gone. Yields False when another command holds it.
    """
    deadline = time.monotonic() + timeout_s
    while not (mine := _try(conn, OPERATOR, tag)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    try:
        yield mine
    finally:
        if mine:
            _release(conn, OPERATOR, tag)


@contextmanager
def taking_over(conn: Connection, tag: int, timeout_s: float = 60.0) -> Iterator[None]:
    """Hold `handover` and `worker` inside the block. Waits for a running `sync` to finish its batch.

    Raises RefusedError after `timeout_s`, or at once when another command takes over.
    """
    if not _try(conn, HANDOVER, tag):
        raise refusal(conn, HANDOVER, tag, "Another command is taking over ({}).", "Let it end.")
    try:
        deadline = time.monotonic() + timeout_s
        while not _try(conn, WORKER, tag):
            if time.monotonic() > deadline:
                said = f"The running worker did not let go in {timeout_s:.0f} s ({{}})."
                hint = "It finishes a chunk or an index first. Try again, or stop it with SIGTERM."
                raise refusal(conn, WORKER, tag, said, hint)
            time.sleep(POLL_S)
        try:
            yield
        finally:
            _release(conn, WORKER, tag)
    finally:
        _release(conn, HANDOVER, tag)


@contextmanager
def settling(conn: Connection, tag: int, *, wait: bool) -> Iterator[bool]:
    """Hold `settle` inside the block. With `wait` waits for it without a limit; else yields False when another session has it."""
    if wait:
        conn.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [SETTLE, tag & 0x7FFFFFFF])
    elif not _try(conn, SETTLE, tag):
        yield False
        return
    try:
        yield True
    finally:
        _release(conn, SETTLE, tag)
