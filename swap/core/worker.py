"""One worker at a time, by advisory locks that the server releases when a session ends, however it ends.

Two locks per source. `worker` is held by whoever changes anything. `handover` is taken first by `cutover`,
`revert`, `finalize` and `abort`: a running `sync` sees it, finishes its batch, lets go of `worker`, and takes it
again when `handover` is free. A killed cutover therefore never leaves `sync` waiting for a flag nobody clears.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from swap.core.connection import Connection
from swap.core.errors import RefusedError

WORKER, HANDOVER = 0x73776170, 0x73776171  # 'swap', and the next number
POLL_S = 0.05


def _try(conn: Connection, lock: int, tag: int) -> bool:
    row = conn.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", [lock, tag & 0x7FFFFFFF]).fetchone()
    return bool(row and row[0])


def _release(conn: Connection, lock: int, tag: int) -> None:
    if not conn.closed and not conn.broken:
        conn.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", [lock, tag & 0x7FFFFFFF])


def holder(conn: Connection, lock: int, tag: int) -> str | None:
    """Who holds the lock: `application_name, pid N`."""
    row = conn.execute(
        "SELECT coalesce(nullif(a.application_name, ''), 'another session'), l.pid"
        " FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted"
        " AND l.classid = %s AND l.objid = %s AND l.objsubid = 2 AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [lock, tag & 0x7FFFFFFF],
    ).fetchone()
    return f"{row[0]}, pid {row[1]}" if row else None


def try_worker(conn: Connection, tag: int) -> bool:
    return _try(conn, WORKER, tag)


def release_worker(conn: Connection, tag: int) -> None:
    _release(conn, WORKER, tag)


def handover_wanted(conn: Connection, tag: int) -> bool:
    """Whether a command that takes over is waiting (or at work)."""
    return holder(conn, HANDOVER, tag) is not None


@contextmanager
def only_worker(conn: Connection, tag: int) -> Iterator[None]:
    """Hold `worker` or refuse at once, naming who holds it (RefusedError)."""
    if not _try(conn, WORKER, tag):
        raise RefusedError(
            f"Another swap is already at work on this table ({holder(conn, WORKER, tag) or 'just ended'}).",
            hint="Wait for it or stop it (SIGTERM finishes its batch); then run the command again.",
        )
    try:
        yield
    finally:
        _release(conn, WORKER, tag)


@contextmanager
def taking_over(conn: Connection, tag: int, timeout_s: float = 60.0) -> Iterator[None]:
    """Hold both locks, waiting for a running `sync` to finish its batch (RefusedError after `timeout_s`)."""
    if not _try(conn, HANDOVER, tag):
        raise RefusedError(
            f"Another cutover, revert, finalize or abort is running ({holder(conn, HANDOVER, tag) or 'just ended'}).",
            hint="Let it end; `swap status` shows what it did.",
        )
    try:
        deadline = time.monotonic() + timeout_s
        while not _try(conn, WORKER, tag):
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"The running worker did not let go in {timeout_s:.0f} s ({holder(conn, WORKER, tag)}).",
                    hint="It finishes a chunk or an index first. Try again, or stop it with SIGTERM.",
                )
            time.sleep(POLL_S)
        try:
            yield
        finally:
            _release(conn, WORKER, tag)
    finally:
        _release(conn, HANDOVER, tag)
