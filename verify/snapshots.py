"""The snapshots that everything is compared in, and what was pending in each.

Three sessions, because three things have to last differently long. The *queue* session holds ACCESS SHARE on the two
change tables from before the first snapshot to the end, in a READ COMMITTED transaction that has no snapshot of its
own between statements: no queue entry that this verification relies on, or that a cutover has to compare once more
because of it, can be truncated away meanwhile (TRUNCATE is not MVCC-safe), and vacuum is not held back. The *snapshot*
session exports a snapshot and is given up with it after `max_s`. The workers import it for one range at a time.

What was compared in an earlier snapshot stays true: a key that changed since has an entry that the earlier watermark
does not see. So the run as a whole vouches for every key but those touched since the watermark of its *oldest*
snapshot, which is what a cutover compares again.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.snapshot import Snapshot
from swap.core.sql_text import load_sql
from swap.ddl.capture import changes
from swap.plan.model import Plan
from swap.sync.change_queue import due, read_watermark, rows_by_xid
from swap.sync.replay import Fence
from verify.workers import Workers

MAX_PENDING = 1_000_000


@dataclass(frozen=True)
class ExportedSnapshot:
    """`exported`: the name other sessions import; `pending`: sorted keys queued and not replayed in it;
    `everything_pending`: a TRUNCATE is queued; `overflow`: more pending keys than are worth excluding."""

    exported: str
    text: str
    lsn: str
    watermark: Snapshot
    pending: array[int]
    everything_pending: bool
    overflow: bool

    @property
    def unusable(self) -> str | None:
        """Why the source cannot be compared in this snapshot."""
        if self.everything_pending:
            return "a TRUNCATE is queued and not replayed yet: every row is pending"
        if self.overflow:
            return f"more than {len(self.pending) - 1} keys are pending: let the replay catch up first"
        return None


class SnapshotSeries:
    """The snapshots of one verification, one after the other. `taken`: all of them, in order."""

    def __init__(
        self, holder: Connection, plan: Plan, run_id: int, workers: Workers, max_s: float, fence: Fence | None = None
    ) -> None:
        self._holder, self._plan, self._run_id, self._workers, self._max_s = holder, plan, run_id, workers, max_s
        self._fence = fence
        self._opened = 0.0
        self.taken: list[ExportedSnapshot] = []

    @property
    def current(self) -> ExportedSnapshot:
        return self.taken[-1]

    def over(self) -> bool:
        """Whether the current snapshot is old enough to be given up."""
        return time.monotonic() - self._opened > self._max_s

    def renew(self) -> ExportedSnapshot:
        """Give the snapshot up, if there is one, and take another."""
        if self.taken:
            self._holder.execute("ROLLBACK")
        self.taken.append(export_snapshot(self._holder, self._plan, self._run_id, self._fence))
        self._opened = time.monotonic()
        self._workers.use(self.current.exported)
        return self.current

    def lost(self) -> str | None:
        """None while the last snapshot is still held, else why it is not."""
        try:
            row = self._holder.execute("SELECT pg_current_snapshot()::text").fetchone()
        except psycopg.Error as e:
            return f"the session that held the snapshot was lost: {str(e).splitlines()[0]}"
        return None if row is not None and row[0] == self.current.text else "the snapshot was not held to the end"


def pin_change_tables(conn: Connection, plan: Plan) -> None:
    """Begin a transaction that keeps every queue entry: ACCESS SHARE on the change tables. Writers and replay are not
    hindered; rotation tries again later. The caller ends it by closing the session."""
    tables = sql.SQL(", ").join(changes(plan, slot).sql for slot in (0, 1))
    conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
    conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))


def why_unpinned(conn: Connection) -> str | None:
    """None while the queue's entries are still held, else why they are not."""
    try:
        conn.execute("SELECT 1")
    except psycopg.Error as e:
        return f"the session that held the queue was lost: {str(e).splitlines()[0]}"
    held = conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    return None if held else "the queue was not held to the end"


def export_snapshot(conn: Connection, plan: Plan, run_id: int, fence: Fence | None = None) -> ExportedSnapshot:
    """Begin a transaction on `conn` (autocommit) and export its snapshot; it reads no table but the queue. With a `fence`
    (logical mode) the queue is read a little later, by another session: what this snapshot shows and the stream had not
    delivered yet is pending too, or it would be called a difference."""
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = conn.execute(load_sql("verify", "export_snapshot.sql")).fetchone()
    assert row is not None
    watermark = read_watermark(conn, plan, run_id)
    queue = fence.close_up() if fence else conn
    entries = due(plan, watermark, sql.SQL("c.key"))
    some = sql.SQL("SELECT DISTINCT d.key FROM ({}) d ORDER BY 1 LIMIT {}").format(entries, sql.Literal(MAX_PENDING + 1))
    keys = rows_by_xid(queue, some)
    truncated = rows_by_xid(queue, sql.SQL("SELECT EXISTS (SELECT FROM ({}) d WHERE d.key IS NULL)").format(entries))
    pending = array("q", (k for (k,) in keys if k is not None))
    return ExportedSnapshot(row[0], row[1], row[2], watermark, pending, bool(truncated[0][0]), len(keys) > MAX_PENDING)
