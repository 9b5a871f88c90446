"""The final drain: replay and compare without a lock, right before it is asked for, so that little is left for under it.

It ends when a round takes next to nothing, or is refused when it is plain that none will (H12). The keys that changed
later are drained and compared under the lock, by the same functions.
"""

from __future__ import annotations

from collections.abc import Iterable

from swap.core.connection import Connection
from swap.core.errors import DifferenceError, RefusedError
from swap.core.snapshot import Snapshot
from swap.plan.direction import TableMapping
from swap.state.migration import Migration
from swap.sync.backlog_trend import BacklogTrend
from swap.sync.change_queue import ChangeQueue
from swap.sync.replay import Barrier, replay
from verify.changed_keys import compare_keys
from verify.touched_references import wrong_references

SMALL_BATCH = 500
BEHIND = 3  # windows in which the queue grew: a burst of writes makes it grow in one or two
ROUNDS, NEAR = 5, 50  # at most so many rounds, until one has no more keys than this
SLICE = 10_000


def converge(migration: Migration, since: Snapshot, barrier: Barrier | None) -> Snapshot:
    """Drain, and compare the keys touched since `since`. Repeat where a round took so long that as many have come meanwhile.

    Returns the snapshot from which the comparison under the lock begins.
    """
    for _ in range(ROUNDS):
        if barrier is not None:
            barrier.wait_delivered()
        taken = drain(migration, barrier)
        since, compared = _compare_ahead(migration, since, barrier)
        if max(taken, compared) <= NEAR:
            break
    return since


def drain(migration: Migration, barrier: Barrier | None) -> int:
    """How many changes the last batch took. Raises RefusedError, with the rates, when more come than are replayed."""
    trend, taken, behind = BacklogTrend(), 0, 0
    while True:
        batch = replay(migration, barrier=barrier)
        if batch.complete and batch.entries <= SMALL_BATCH:
            return batch.entries
        taken += batch.entries
        said = trend.observe(taken, False, ChangeQueue.of(migration).count_due)
        behind += said is not None
        if said is not None and behind == BEHIND:
            raise RefusedError(
                f"{said[1][0].upper()}{said[1][1:]}.",
                state="Nothing was changed; syncing goes on.",
                hint="Go on in a quieter hour, or slow the writers down (a bulk load?) until `swap status` shows none pending.",
            )


def _compare_ahead(migration: Migration, since: Snapshot, barrier: Barrier | None) -> tuple[Snapshot, int]:
    """Returns the replay watermark of the snapshot that was compared, so that keys still queued in it are compared again;
    and how many were compared."""
    conn, queue = migration.conn, ChangeQueue.of(migration)
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        watermark = queue.watermark()
        delivered = queue.on(barrier.wait_delivered()) if barrier else queue  # holds all that this snapshot shows
        pending = delivered.touched(watermark)
        return watermark, refuse_differences(conn, migration.mapping, queue.touched(since) - pending)


def refuse_touched_references(migration: Migration, snapshot: str, since: Snapshot) -> None:
    """Raises DifferenceError for a reference with which the exchange's foreign keys would not validate (I13): one written since
    `snapshot`, that of the verification, or one of a row that went since `since`, its watermark."""
    if found := wrong_references(migration, snapshot, ChangeQueue.of(migration).touched(since)):
        raise DifferenceError(
            f"References written since the verification contradict their foreign key or the mapping: {' '.join(found)}.",
            state="Nothing was changed; syncing goes on.",
            hint="Mend these rows (RUNBOOK.md, 'Differences', 4), run `swap verify`, then this command again.",
        )


def refuse_differences(conn: Connection, d: TableMapping, keys: Iterable[int]) -> int:
    """How many keys were compared and found equal. Raises DifferenceError at the first slice that is not."""
    todo = sorted(keys)
    for i in range(0, len(todo), SLICE):
        differences = compare_keys(conn, d, todo[i : i + SLICE])
        if differences:
            raise DifferenceError(
                f"{len(differences)} keys touched since the verification differ, the first is {differences[0].key} "
                f"({differences[0].kind} in {d.target}).",
                state="Nothing was changed; syncing goes on.",
                hint="Run `swap verify --method exact`; see RUNBOOK.md, 'Differences'.",
            )
    return len(todo)
