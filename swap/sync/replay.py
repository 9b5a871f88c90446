"""Replay: makes the maintained side's rows for captured keys equal to the captured side's rows as they are now.

One REPEATABLE READ transaction over all swapped tables reads the queue and the rows. So a row is a function of its origin at a
moment after its last processed change (invariant 3). The watermark moves in the same transaction (invariant 4).
The cutover runs the same functions under its lock, where nothing can change.

The order within it: first the source's entries become exceptions of the mapping (swap.sync.key_exceptions), for whichever row
refers to them. Then the tables' rows are made right, the source's first. Last come the rows that refer to a parent whose other
key is another one now (swap.sync.dependants).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import psycopg
from psycopg import sql

from swap.core.application_settings import execute_as_application, explained
from swap.core.connection import Connection
from swap.core.errors import DefectError, RefusedError
from swap.core.planner_settings import NESTED_LOOPS
from swap.ddl.waiting import delete_held, forget_waiting, may_wait
from swap.plan.direction import Direction, TableMapping
from swap.plan.row_keys import Key
from swap.plan.unresolved import uncertain
from swap.state.migration import Migration
from swap.sync.change_queue import Batch, ChangeQueue, current_snapshot
from swap.sync.dependants import dependants
from swap.sync.key_exceptions import KeyExceptions
from swap.sync.reference_pairs import PairNotes, settle
from swap.sync.row_changes import delete_all_gone, delete_gone, delete_keys, delete_of_parents, upsert
from swap.sync.source_partitions import refuse_other_partitions

BATCH = 20_000
SLICE = 30_000  # keys of one statement: an ordinary batch whole, because the queue is read once for each slice
UNCHANGED = "Nothing of the batch was applied; the changes stay in the queue."
CONFLICT = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation)


@dataclass(frozen=True)
class Replayed:
    """`entries` taken from the queue; `complete`: the maintained side equals the captured one at that snapshot."""

    entries: int
    complete: bool


class Barrier(Protocol):
    """Logical mode: `wait_delivered` waits until the queue holds every change that committed before the call, and returns
    the session in which to read the queue then. Its transactions see later entries than the caller's snapshot does."""

    def wait_delivered(self) -> Connection: ...


def replay(migration: Migration, limit: int | None = BATCH, barrier: Barrier | None = None) -> Replayed:
    """One batch in a transaction of its own.

    A violation of a unique or exclusion constraint means that another stale row still holds the value. The key of that row
    is queued too, or in logical mode not delivered yet. Then the whole visible queue is taken, behind the barrier if there
    is one, and every row of it, of all tables, is deleted before any is inserted. A second violation, or any other conflict, is a defect,
    and nothing is applied. Afterwards the references in place whose parent was in the batch are made right.
    """
    try:
        result = _replay_once(migration, limit, barrier)
    except RefusedError:
        refuse_other_partitions(migration)  # it says better why no partition takes a row
        raise
    # What it corrects in a swapped table is captured like any change.
    return replace(result, complete=False) if settle(migration) else result


def _replay_once(migration: Migration, limit: int | None, barrier: Barrier | None) -> Replayed:
    try:
        return _replay(migration, limit, two_pass=False)
    except CONFLICT:
        try:
            if barrier is not None:
                return _replay_all(migration, barrier, two_pass=True)
            return _replay(migration, None, two_pass=True)
        except CONFLICT as e:
            raise _unexplained(migration, e) from None


def _unexplained(migration: Migration, e: psycopg.Error) -> DefectError:
    found = (e.diag.schema_name, e.diag.table_name)
    target = next((d.target for d in migration.mappings if (d.target.schema, d.target.name) == found), migration.mapping.target)
    return DefectError(
        f"Replay into {target} met a conflict that no queued change explains: {e.diag.message_primary}."
        f" {e.diag.message_detail or ''}",
        hint="Was the shadow written to by someone else? `swap verify` names the rows.",
    )


def replay_all(migration: Migration, barrier: Barrier) -> Replayed:
    """Logical mode: replay everything that one snapshot shows. Afterwards the maintained side equals the captured one in it.

    The queue alone cannot promise that: the stream may not have delivered yet all that this snapshot shows. So the snapshot
    is taken first; then the stream passes it; then a later snapshot of another session reads the queue, and this one reads
    the rows. Entries of transactions that only the later one sees are applied harmlessly and stay due.
    """
    try:
        return _replay_all(migration, barrier, two_pass=False)
    except CONFLICT:
        try:
            return _replay_all(migration, barrier, two_pass=True)
        except CONFLICT as e:
            raise _unexplained(migration, e) from None


def _replay_all(migration: Migration, barrier: Barrier, *, two_pass: bool) -> Replayed:
    queue = ChangeQueue.of(migration)
    with migration.conn.transaction():
        _lock_before_snapshot(migration)
        read_in = current_snapshot(migration.conn)
        watermark = queue.watermark()
        later = barrier.wait_delivered()
        with later.transaction():
            later.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            batch = queue.on(later).next_batch(None, since=watermark, read_in=read_in)
            if batch.entries:
                apply(migration, batch, two_pass=two_pass, queue=queue.on(later))
                queue.advance(batch)
    return Replayed(batch.entries, complete=True)


def _replay(migration: Migration, limit: int | None, *, two_pass: bool) -> Replayed:
    with migration.conn.transaction():
        _lock_before_snapshot(migration)
        return replay_batch(migration, limit, two_pass=two_pass)


def _lock_before_snapshot(migration: Migration) -> None:
    """Neither SET nor LOCK takes the transaction's snapshot. A snapshot of before an ALTER TABLE that rewrites finds the table empty:
    the entries that it shows would count as replayed, and their rows be left as they were (seen). ACCESS SHARE is what a read takes."""
    tables = sql.SQL(", ").join(d.origin_rows for d in migration.mappings)
    begin = sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; LOCK TABLE {} IN ACCESS SHARE MODE")
    migration.conn.execute(begin.format(tables))


def replay_batch(migration: Migration, limit: int | None, *, two_pass: bool) -> Replayed:
    """Read a batch, apply it, move the watermark: in the caller's transaction."""
    queue = ChangeQueue.of(migration)
    batch = queue.next_batch(limit)
    complete = limit is None or batch.entries <= limit
    if batch.entries:
        apply(migration, batch, two_pass=two_pass)
        queue.advance(batch)
    return Replayed(batch.entries, complete)


def apply(migration: Migration, batch: Batch, *, two_pass: bool, queue: ChangeQueue | None = None) -> None:
    """`queue`: on the session that reads the batch's keys, if that is not the migration's own."""
    _Application(migration, batch, queue or ChangeQueue.of(migration)).run(two_pass=two_pass)


def _integers(keys: Iterable[int | str]) -> list[int]:
    return [k for k in keys if isinstance(k, int)]


@dataclass(frozen=True)
class _Slice:
    """`left`: those of the keys that a row may have left."""

    keys: list[Key]
    left: list[Key]


class _Application:
    """One batch, in the caller's transaction."""

    def __init__(self, migration: Migration, batch: Batch, queue: ChangeQueue) -> None:
        self.conn, self.plan, self.mappings = migration.conn, migration.plan, migration.mappings
        self.batch, self.queue = batch, queue
        self.exceptions = KeyExceptions(self.conn, self.plan, self.mappings[0])
        self.pairs = PairNotes(self.conn, self.plan, self.mappings[0])
        self.whole: dict[int, list[_Slice]] = {}

    def run(self, *, two_pass: bool) -> None:
        if self.queue.conn is not self.conn:
            self.conn.execute(sql.SQL(NESTED_LOOPS))
        exchanged = [d for d in self.mappings if d.exchanged_key]
        for d in exchanged:
            self._leave(d, two_pass=two_pass)
        self._truncate()
        for part in self._slices(self.mappings[0]):
            self.pairs.take(self.queue, self.batch, part.keys, part.left)
            self.exceptions.take(self.queue, self.batch, part.keys, part.left)
        if exchanged:
            self.exceptions.parents.moved += self.exceptions.named_now()
        for d in exchanged:
            self._leave_parents(d)
        if two_pass:
            self._delete()
        for d in self.mappings:
            for part in self._slices(d):
                if part.left and not (d.is_source or d.exchanged_key or two_pass):
                    self.conn.execute(delete_gone(d, part.left))
                self._put(d, part.keys)
        for d in self.mappings:
            for keys in self._dependants(d):
                self._put(d, keys)

    def _leave(self, d: TableMapping, *, two_pass: bool) -> None:
        """Delete the rows that may have left their key, found by what the mapping told when they were written: before this replay
        changes anything that tells it. Those that are there are written again."""
        for part in self._slices(d):
            if keys := part.keys if two_pass else part.left:
                self.conn.execute(delete_keys(d, keys, before=True))

    def _leave_parents(self, d: TableMapping) -> None:
        """Delete the rows whose key is another one though they did not change: their parent's other key is. They are dependants of it,
        and written again."""
        parents, loose = self.exceptions.parents, {u.mapped.target for u in uncertain(self.plan, d)}
        for k in d.key:
            if not k.exchanged:
                continue
            integers = parents.left if d.direction is Direction.REVERSE else {
                *_integers(parents.moved), *(_integers(parents.gone) if k.target in loose else ())
            }  # fmt: skip
            if integers:
                self.conn.execute(delete_of_parents(d, k, sorted(integers)))
        if self._truncated(d):
            self.conn.execute(delete_all_gone(d))

    def _truncated(self, d: TableMapping) -> bool:
        return d.number in self.batch.tables and self.batch.tables[d.number].truncated

    def _truncate(self) -> None:
        """A table whose keys are looked up comes after the mapping is right (`_leave_parents`)."""
        for d in self.mappings:
            if self._truncated(d) and d.is_source:
                self.exceptions.truncate()
            elif self._truncated(d) and not d.exchanged_key:
                self.conn.execute(delete_all_gone(d))

    def _delete(self) -> None:
        """Everything that will be written, so that no stale row holds a value that another one takes."""
        for d in self.mappings:
            for part in self._slices(d):
                self.conn.execute(delete_keys(d, part.keys))
            for keys in self._dependants(d):
                self.conn.execute(delete_keys(d, keys))

    def _dependants(self, d: TableMapping) -> Iterator[list[Key]]:
        return dependants(self.conn, self.plan, d, self.exceptions.parents, SLICE)

    def _put(self, d: TableMapping, keys: list[Key]) -> None:
        if may_wait(self.plan, d):
            self.conn.execute(forget_waiting(self.plan, d, keys))
        with explained(f"Rows of {d.origin} could not be written to {d.target}", UNCHANGED):
            execute_as_application(self.conn, upsert(self.plan, d, keys), self.plan.settings)
        if any(u.required for u in uncertain(self.plan, d)):
            self.conn.execute(delete_held(self.plan, d, keys))

    def _slices(self, d: TableMapping) -> Iterator[_Slice]:
        """The slices of a table's part of the batch. A part of one slice is read from the queue once, however often it is asked for.

        After a TRUNCATE any row may have left its key."""
        if d.number not in self.batch.tables:
            return
        if d.number in self.whole:
            yield from self.whole[d.number]
            return
        truncated = self.batch.tables[d.number].truncated
        after: Key | None = None
        while entries := self.queue.batch_keys(self.batch, d, after, SLICE):
            part = _Slice([key for key, _ in entries], [key for key, gone in entries if gone or truncated])
            last = len(entries) < SLICE
            if last and after is None:
                self.whole[d.number] = [part]
            yield part
            if last:
                break
            after = entries[-1][0]
