"""Compares the keys that changed: the work of a continuous verification between two full passes, and of a cutover before its locks
and under them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

from swap.core.connection import Connection
from swap.core.snapshot import Snapshot
from swap.plan.direction import TableMapping
from swap.plan.row_keys import Key
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue, current_snapshot
from swap.sync.replay import Barrier
from swap.sync.waiting import held_keys
from verify.changed_keys import compare_keys
from verify.pending_references import refer_to_pending
from verify.referring_rows import compare_referring_rows
from verify.report import RowDifference
from verify.snapshots import lock_change_tables

T = TypeVar("T")
KEYS_PER_STATEMENT = 10_000
REFERRED_PER_STATEMENT = 100_000  # where a reference has no index, each statement reads the table
KeySets = Mapping[int, Set[Key]]  # the keys of each swapped table, by its number
NO_KEYS: KeySets = {}


@dataclass(frozen=True)
class ComparedRows:
    """Of one swapped table: the number of keys that were compared and of those left out, the differences, and the keys of rows
    that count as pending because a row of the source is: they have to be compared again."""

    table: TableMapping
    compared: int
    pending: int
    differences: tuple[RowDifference, ...]
    again: frozenset[Key]


@dataclass(frozen=True)
class ChangeComparison:
    """`watermark`: replay's, in the snapshot that was compared; the next comparison begins there."""

    snapshot: Snapshot
    watermark: Snapshot
    tables: tuple[ComparedRows, ...]

    @property
    def compared(self) -> int:
        return sum(t.compared for t in self.tables)

    @property
    def pending(self) -> int:
        return sum(t.pending for t in self.tables)

    @property
    def differences(self) -> tuple[RowDifference, ...]:
        return tuple(d for t in self.tables for d in t.differences)

    @property
    def again(self) -> KeySets:
        return {t.table.number: t.again for t in self.tables if t.again}


def compare_changes(m: Migration, since: Snapshot, also: KeySets = NO_KEYS, barrier: Barrier | None = None) -> ChangeComparison:
    """Compare every key that changed after `since` and is not pending, the references to those of the source, and the keys `also`,
    in one snapshot.

    Locks the change tables (ACCESS SHARE, for this transaction) before it takes the snapshot, as LOCK TABLE takes none. So no
    entry can be truncated between the two. With a `barrier` (logical mode) a change that the snapshot shows, and that the stream
    had not delivered yet, is pending too.
    """
    conn, queue, mappings = m.conn, ChangeQueue.of(m), m.mappings
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        lock_change_tables(conn, m.plan)
        watermark = queue.watermark()
        delivered = queue.on(barrier.wait_delivered()) if barrier else queue
        queued = delivered.touched(mappings, watermark)
        pending = {d.number: queued[d.number] | held_keys(conn, m.plan, d) for d in mappings}
        touched = queue.touched(mappings, since)
        referred = touched[0] - queued[0]
        return ChangeComparison(
            snapshot=current_snapshot(conn),
            watermark=watermark,
            tables=compare_rows(conn, mappings, united(touched, also), referred, pending),
        )


def united(one: KeySets, other: KeySets) -> KeySets:
    return {n: {*one.get(n, ()), *other.get(n, ())} for n in one.keys() | other.keys()}


def compare_rows(
    conn: Connection, mappings: Iterable[TableMapping], keys: KeySets, referred: Iterable[Key], pending: KeySets = NO_KEYS
) -> tuple[ComparedRows, ...]:
    """Compare the rows with one of `keys`, and the references to the rows of the source with one of the keys `referred`, in the
    caller's transaction. Leaves out what is `pending`."""
    parents = sorted(k for k in referred if isinstance(k, int))
    of_source = {k for k in pending.get(0, ()) if isinstance(k, int)}
    return tuple(
        _compare(conn, d, keys.get(d.number, frozenset()), parents, pending.get(d.number, frozenset()), of_source)
        for d in mappings
    )


def _compare(
    conn: Connection, d: TableMapping, keys: Set[Key], parents: Sequence[int], pending: Set[Key], pending_of_source: Set[int]
) -> ComparedRows:
    todo = sorted(keys - pending)
    found = {
        x.key: x
        for some in slices(parents, REFERRED_PER_STATEMENT)
        for x in compare_referring_rows(conn, d, some)
        if x.key not in pending
    }
    found |= {x.key: x for some in slices(todo, KEYS_PER_STATEMENT) for x in compare_keys(conn, d, some)}
    again = refer_to_pending(conn, d, found.values(), pending_of_source)
    return ComparedRows(
        table=d,
        compared=len(todo),
        pending=len(pending) + len(again),
        differences=tuple(x for key, x in found.items() if key not in again),
        again=again,
    )


def slices(keys: Sequence[T], size: int) -> list[Sequence[T]]:
    return [keys[n : n + size] for n in range(0, len(keys), size)]
