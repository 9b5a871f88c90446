"""The final drain: replay and compare without a lock, right before it is asked for, so that little is left for under it.

It ends when a round takes next to nothing, or is refused when it is plain that none will (H12). The keys that changed
later are drained and compared under the lock, by the same functions. Of the references to a row of the source that changed, under
the lock only those are compared whose uuid changed: a row that changes often may have a million of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from swap.core.errors import DifferenceError, RefusedError
from swap.core.snapshot import Snapshot
from swap.state.migration import Migration
from swap.sync.backlog_trend import BacklogTrend
from swap.sync.change_queue import ChangeQueue
from swap.sync.replay import Barrier, replay
from verify.change_comparison import ComparedRows, KeySets, compare_changes, compare_rows, united
from verify.pending_references import can_wait
from verify.referring_rows import with_another_uuid
from verify.touched_references import wrong_references

SMALL_BATCH = 500
BEHIND = 3  # windows in which the queue grew: a burst of writes makes it grow in one or two
ROUNDS, NEAR = 5, 50  # at most so many rounds, until one has no more keys than this


@dataclass(frozen=True)
class Uncompared:
    """What is still to be compared: the keys touched after `since`, and the keys `also`, whose rows referred to a pending row."""

    since: Snapshot
    also: KeySets = field(default_factory=dict)


@dataclass(frozen=True)
class Touched:
    """What is to be compared under the lock: keys, and the rows of the source that get another uuid by the drain."""

    keys: KeySets
    with_another_uuid: tuple[int, ...]


def converge(migration: Migration, todo: Uncompared, barrier: Barrier | None) -> Uncompared:
    """Drain, and compare the keys touched since the verification. Repeat where a round took so long that as many have come
    meanwhile.

    Returns what the comparison under the lock has to compare.
    """
    for _ in range(ROUNDS):
        if barrier is not None:
            barrier.wait_delivered()
        taken = drain(migration, barrier)
        compared = compare_changes(migration, todo.since, todo.also, barrier)
        refuse_differences(compared.tables)
        todo = Uncompared(compared.watermark, compared.again)  # keys still queued in that snapshot are compared again
        if max(taken, compared.compared) <= NEAR:
            break
    return todo


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


def touched(migration: Migration, todo: Uncompared) -> Touched:
    """Under the lock, before the drain."""
    conn, queue = migration.conn, ChangeQueue.of(migration)
    keys = united(queue.touched(migration.mappings, todo.since), todo.also)
    source = migration.mapping
    can_change = any(map(can_wait, migration.mappings))
    of_source = [k for k in keys.get(0, ()) if isinstance(k, int)] if can_change else []
    return Touched(keys=keys, with_another_uuid=tuple(with_another_uuid(conn, source, of_source)))


def refuse_touched_references(migration: Migration, snapshot: str, since: Snapshot) -> None:
    """Raises DifferenceError for a reference with which the exchange's foreign keys would not validate (I13): one written
    since `snapshot`, that of the verification, or one of a row that went since `since`, its watermark."""
    if found := wrong_references(migration, snapshot, since):
        raise DifferenceError(
            f"References written since the verification contradict their foreign key or the mapping: {' '.join(found)}.",
            state="Nothing was changed; syncing goes on.",
            hint="Mend these rows (RUNBOOK.md, 'Differences', 4), run `swap verify`, then this command again.",
        )


def compare_touched(migration: Migration, found: Touched) -> int:
    """Under the lock, after the drain. How many keys were compared and found equal. Raises DifferenceError."""
    tables = compare_rows(migration.conn, migration.mappings, found.keys, found.with_another_uuid)
    refuse_differences(tables)
    return sum(t.compared for t in tables)


def refuse_differences(tables: Sequence[ComparedRows]) -> None:
    """Raises DifferenceError."""
    wrong = [t for t in tables if t.differences]
    if not wrong:
        return
    number, first = sum(len(t.differences) for t in wrong), wrong[0].differences[0]
    raise DifferenceError(
        f"{number} keys touched since the verification differ, the first is {first.shown} "
        f"({first.kind} in {wrong[0].table.target}).",
        state="Nothing was changed; syncing goes on.",
        hint="Run `swap verify --method exact`; see RUNBOOK.md, 'Differences'.",
    )
