"""The snapshots in which everything is compared, and the keys that are pending in each.

Three sessions live for three different times.

- The *queue* session holds ACCESS SHARE on the change tables from before the first snapshot until the end. It is in a READ
  COMMITTED transaction, which has no snapshot between statements, so it does not hold VACUUM back. The lock keeps every queue
  entry on which this verification relies, and every entry that a cutover has to compare once more because of it, from being
  truncated (TRUNCATE is not MVCC-safe).
- The *snapshot* session exports a snapshot. The verification gives it up after `max_s`, and exports another one.
- The workers import the snapshot for one range at a time.

A comparison in an earlier snapshot stays true: a key that changed since has a queue entry that the earlier watermark does
not see. So the verification vouches for every key except those that changed after the watermark of its *oldest* snapshot, and for
every reference except those to rows of the source that changed after it. A cutover compares them again.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.core.connection import Connection, first_line
from swap.core.rows import fetch, fetch_values
from swap.core.snapshot import Snapshot
from swap.core.sql_text import load_sql
from swap.ddl.change_tables import change_table, key_names
from swap.plan import row_keys
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from swap.plan.row_keys import Key
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue
from swap.sync.replay import Barrier
from swap.sync.waiting import held_keys
from verify.workers import Workers

MAX_PENDING = 1_000_000
HASHED_AT_ONCE = 10_000


@dataclass(frozen=True)
class PendingKeys:
    """The keys of one swapped table that are queued and that replay has not reached, and those of rows that wait for the row that
    they refer to: their sorted numbers (swap.plan.row_keys). `truncate`: a TRUNCATE is queued. `too_many`: there are more keys than
    a comparison leaves out."""

    numbers: array[int]
    truncate: bool = False
    too_many: bool = False


@dataclass(frozen=True)
class ExportedSnapshot:
    """`name`: other sessions import it by this name. `text`: as pg_snapshot prints it. `pending`: the pending keys of each swapped
    table in this snapshot, by its number."""

    name: str
    text: str
    lsn: str
    watermark: Snapshot
    pending: Mapping[int, PendingKeys]

    @property
    def unusable(self) -> str | None:
        """Why the rows cannot be compared in this snapshot, or None."""
        if any(p.truncate for p in self.pending.values()):
            return "a TRUNCATE is queued and not replayed yet: every row is pending"
        if any(p.too_many for p in self.pending.values()):
            return f"more than {MAX_PENDING} keys are pending: let the replay catch up first"
        return None


class SnapshotSeries:
    """The snapshots of one verification, one after the other. `taken`: all of them, in order.

    `holder`: the migration on the session that exports the snapshots, in autocommit mode."""

    def __init__(self, holder: Migration, workers: Workers, max_s: float, barrier: Barrier | None = None) -> None:
        self._holder, self._workers, self._max_s, self._barrier = holder, workers, max_s, barrier
        self._taken_at = 0.0
        self.taken: list[ExportedSnapshot] = []

    @property
    def current(self) -> ExportedSnapshot:
        return self.taken[-1]

    def expired(self) -> bool:
        """Whether the current snapshot is so old that it must be given up."""
        return time.monotonic() - self._taken_at > self._max_s

    def renew(self) -> ExportedSnapshot:
        """Give the current snapshot up, if there is one, and take the next."""
        if self.taken:
            self._holder.conn.execute("ROLLBACK")
        self.taken.append(export_snapshot(self._holder, self._barrier))
        self._taken_at = time.monotonic()
        self._workers.use_snapshot(self.current.name)
        return self.current

    def why_lost(self) -> str | None:
        """None while the session still holds the last snapshot, else the reason why it does not."""
        try:
            (now,) = fetch_values(self._holder.conn, sql.SQL("SELECT pg_current_snapshot()::text"))
        except psycopg.Error as e:
            return f"the session that held the snapshot was lost: {first_line(e)}"
        return None if now == self.current.text else "the snapshot was not held to the end"


def lock_change_tables(conn: Connection, plan: Plan) -> None:
    """ACCESS SHARE until the transaction ends: no entry can be truncated meanwhile. LOCK TABLE takes no snapshot."""
    tables = sql.SQL(", ").join(change_table(plan, n, t.number).sql for t in plan.swapped for n in (0, 1))
    conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))


def pin_change_tables(conn: Connection, plan: Plan) -> None:
    """Begin a transaction that keeps every queue entry. It hinders neither writers nor replay; the rotation of the change
    tables tries again later. The caller ends the transaction by closing the session."""
    conn.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
    lock_change_tables(conn, plan)


def why_unpinned(conn: Connection) -> str | None:
    """None while `conn` still keeps the queue's entries, else the reason why it does not."""
    try:
        conn.execute("SELECT 1")
    except psycopg.Error as e:
        return f"the session that held the queue was lost: {first_line(e)}"
    held = conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    return None if held else "the queue was not held to the end"


class _Export(NamedTuple):
    name: str
    text: str
    lsn: str


def export_snapshot(m: Migration, barrier: Barrier | None = None) -> ExportedSnapshot:
    """Begin a transaction on `m.conn` (autocommit) and export its snapshot. It reads no table but those of the state schema.

    With a `barrier` (logical mode) another session reads the queue a little later. A change that this snapshot shows, and that
    the stream had not delivered yet, is then pending too. Otherwise it would be called a difference."""
    m.conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    (exported,) = fetch(m.conn, _Export, load_sql("verify", "export_snapshot.sql"))
    queue = ChangeQueue.of(m)
    watermark = queue.watermark()
    delivered = queue.on(barrier.wait_delivered()) if barrier else queue
    filled = set(delivered.filled())
    pending = {
        d.number: _pending(delivered, d, watermark, held_keys(m.conn, m.plan, d), empty=d.number not in filled)
        for d in m.mappings
    }
    return ExportedSnapshot(
        name=exported.name, text=exported.text, lsn=exported.lsn, watermark=watermark, pending=pending
    )  # fmt: skip


def _pending(queue: ChangeQueue, d: TableMapping, watermark: Snapshot, held: set[Key], *, empty: bool) -> PendingKeys:
    """`empty`: the table's part of the queue is."""
    keys, truncated = ([], False) if empty else queue.pending(d, watermark, MAX_PENDING + 1)
    known = [*held.union(key for key in keys if key is not None)]
    return PendingKeys(
        numbers=array("q", sorted(key_numbers(queue.conn, d, known))), truncate=truncated, too_many=len(known) > MAX_PENDING
    )


def key_numbers(conn: Connection, d: TableMapping, keys: list[Key]) -> Iterator[int]:
    """The numbers of the keys. The server hashes keys that are no integers, as it does in the comparison; it reads no table."""
    if d.integer_key:
        yield from (key for key in keys if isinstance(key, int))
        return
    columns = [sql.Identifier("q", name) for name in key_names(len(d.key))]
    for n in range(0, len(keys), HASHED_AT_ONCE):
        arrays = row_keys.COMMA.join(row_keys.arrays(d.key, keys[n : n + HASHED_AT_ONCE]))
        names = row_keys.COMMA.join(map(sql.Identifier, key_names(len(d.key))))
        query = sql.SQL("SELECT {} FROM unnest({}) q({})").format(row_keys.number(d, columns), arrays, names)
        yield from fetch_values(conn, query)


def oldest_of(snapshot: str) -> int:
    """The oldest transaction that may be unseen in a pg_snapshot, given as text: its own xmin. Snapshot.xmin does not do: on a
    standby the text does not list the transactions in progress."""
    return int(snapshot.split(":", 1)[0])
