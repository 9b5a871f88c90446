"""Comparing on a physical standby: the primary does no scan, the standby has what the primary had when it was asked.

The queue is held on the primary *before* the position that the standby has to replay: so every entry that the standby's
snapshot shows as not consumed is still there for the cutover's comparison. A snapshot of a standby is given up and
retaken like any other; a cancelled query (a recovery conflict) is a reason, and the run `incomplete`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from swap.core.connection import Connection
from swap.core.errors import RefusedError, UsageError
from swap.core.report import Reporter
from swap.core.sql_text import load_sql
from swap.state.journal import Journal, Run

PATIENCE_S = 600.0
POLL_S = 0.1


def check_standby(primary: Connection, standby: Connection) -> None:
    """Raises UsageError unless `standby` is one, and RefusedError unless it is one of this primary."""
    row = standby.execute("SELECT pg_is_in_recovery()").fetchone()
    if row is None or not row[0]:
        raise UsageError(
            "The server of --on is not a standby.",
            hint="Name a physical standby of this database; --against compares with another database.",
        )
    query = load_sql("verify", "system.sql")
    here, there = primary.execute(query).fetchone(), standby.execute(query).fetchone()
    if here != there:
        raise RefusedError("The server of --on is a standby of another server, or shows another database.")


def await_replay(
    primary: Connection, standby: Connection, journal: Journal, run: Run, reporter: Reporter, give_up: Callable[[], str]
) -> str | None:
    """Wait until the standby has replayed what the primary had written by now. None, or why it has not.

    A journal row is written behind the position that is awaited, so that there is something behind it to replay: a
    position may lie in the header of a page that nothing has been written to yet.
    """
    row = primary.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    journal.event(run.id, "verify", f"on a standby, from {row[0]}")
    deadline = time.monotonic() + PATIENCE_S
    missing = load_sql("verify", "replay_distance.sql")
    while True:
        left = standby.execute(missing, {"lsn": row[0]}).fetchone()
        if left is not None and left[0] is not None and left[0] <= 0:
            reporter.waiting("")
            return None
        reason = give_up()
        if reason:
            return reason
        if time.monotonic() > deadline:
            return f"the standby did not replay {row[0]} within {PATIENCE_S:.0f} s"
        reporter.waiting(f"the standby has {left[0] if left else '?'} bytes of WAL to replay")
        time.sleep(POLL_S)
