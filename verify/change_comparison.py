"""Compares the keys that changed: the work of a continuous verification between two full passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swap.core.snapshot import Snapshot
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue, current_snapshot
from swap.sync.replay import Barrier
from verify.changed_keys import compare_keys
from verify.report import RowDifference
from verify.snapshots import lock_change_tables

KEYS_PER_STATEMENT = 10_000


@dataclass(frozen=True)
class ChangeComparison:
    """`watermark`: replay's, in the snapshot that was compared; the next comparison begins there. `compared`, `pending`: the
    number of keys that were compared, and of those left out. `lag`: the number of changes that wait for replay."""

    snapshot: Snapshot
    watermark: Snapshot
    compared: int
    pending: int
    lag: int
    differences: tuple[RowDifference, ...]


def compare_changes(m: Migration, since: Snapshot, also: Iterable[int], barrier: Barrier | None = None) -> ChangeComparison:
    """Compare every key that changed after `since` and is not pending, and the keys `also`, in one snapshot.

    Locks the change tables (ACCESS SHARE, for this transaction) before it takes the snapshot, as LOCK TABLE takes none. So no
    entry can be truncated between the two. With a `barrier` (logical mode) a change that the snapshot shows, and that the stream
    had not delivered yet, is pending too.
    """
    conn, queue = m.conn, ChangeQueue.of(m)
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        lock_change_tables(conn, m.plan)
        watermark = queue.watermark()
        delivered = queue.on(barrier.wait_delivered()) if barrier else queue
        pending = delivered.touched(watermark)
        keys = sorted((queue.touched(since) | set(also)) - pending)
        batches = (keys[n : n + KEYS_PER_STATEMENT] for n in range(0, len(keys), KEYS_PER_STATEMENT))
        differences = tuple(d for batch in batches for d in compare_keys(conn, m.mapping, batch))
        return ChangeComparison(
            snapshot=current_snapshot(conn),
            watermark=watermark,
            compared=len(keys),
            pending=len(pending),
            lag=queue.count_due(watermark),
            differences=differences,
        )
