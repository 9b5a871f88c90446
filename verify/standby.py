"""Compares on a physical standby. The primary does no scan, and the standby has everything that the primary had at the start.

The primary keeps the queue's entries *before* the position that the standby has to replay. So the queue still has, for the
comparison of the cutover, every entry that the standby's snapshot shows as not consumed. A snapshot of a standby is given up and
taken again like any other. A cancelled query (a recovery conflict) is a reason, and makes the verification `incomplete`.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import RefusedError, UsageError
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql
from swap.state.migration import Migration
from verify.workers import GiveUp

PATIENCE_S = 600.0
POLL_S = 0.1


class _System(NamedTuple):
    system_identifier: int
    database_oid: int


def check_standby(primary: Connection, standby: Connection) -> None:
    """Raises UsageError if `standby` is no standby, and RefusedError if it is a standby of another primary."""
    if fetch_values(standby, sql.SQL("SELECT pg_is_in_recovery()")) != [True]:
        raise UsageError(
            "The server of --on is not a standby.",
            hint="Name a physical standby of this database; --against compares with another database.",
        )
    query = load_sql("verify", "system.sql")
    here, there = (fetch(conn, _System, query) for conn in (primary, standby))
    if here != there:
        raise RefusedError("The server of --on is a standby of another server, or shows another database.")


def await_replay(m: Migration, standby: Connection, give_up: GiveUp) -> str | None:
    """Wait until the standby has replayed everything that the primary has written by now. Returns None, or the reason why the
    standby has not.

    Writes a row of the journal behind the awaited position, so that the standby has WAL to replay behind it: the position may
    lie in the header of a page to which nothing has been written yet.
    """
    (position,) = fetch_values(m.conn, sql.SQL("SELECT pg_current_wal_insert_lsn()::text"))
    m.journal.event(m.run.id, "verify", f"on a standby, from {position}")
    deadline = time.monotonic() + PATIENCE_S
    distance = load_sql("verify", "replay_distance.sql")
    while True:
        (left,) = fetch_values(standby, distance, {"lsn": position})
        if left is not None and left <= 0:
            m.report.waiting("")
            return None
        reason = give_up()
        if reason:
            return reason
        if time.monotonic() > deadline:
            return f"the standby did not replay {position} within {PATIENCE_S:.0f} s"
        m.report.waiting(f"the standby has {'?' if left is None else left} bytes of WAL to replay")
        time.sleep(POLL_S)
