"""Compares consecutive key ranges in one snapshot: as many as it lasts for, with everything that follows from them.

Coverage is proved, not assumed. Every range returns the rows that it saw on each side. The sum of them, plus the rows of pending
keys, must equal a count in the same snapshot that uses no index. A range whose digests differ is compared row by row in that
snapshot too, and its keys are named in it.

A row that differs only because a pending row of the source changes what it refers to is pending, and no difference
(`verify.pending_references`): its range may have unequal digests.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import TypeVar

from psycopg import sql

from swap.core.names import TableName
from swap.plan import row_keys
from swap.plan.direction import TableMapping
from swap.plan.row_keys import Key
from verify.block_ranges import block_ranges, parts_per_range
from verify.changed_keys import compare_keys
from verify.checksum import HeapBlocks, HeapPart, RangeDigest, digest_range
from verify.context import ComparisonContext
from verify.counting import Counts, count_both, count_keys, count_rows
from verify.exact import RangeResult, SurplusKey, compare_range, find_surplus_keys
from verify.kept_ranges import KeptPart
from verify.pending_references import can_wait, refer_to_pending
from verify.ranges import MAX_SHARED_RANGES, KeyRange, bigints, cut_points, hash_cuts, joined, key_ranges, wanted_ranges
from verify.report import Method, RangeRecord, RowDifference
from verify.snapshots import ExportedSnapshot
from verify.workers import Task, never

T = TypeVar("T")
KEYS_PER_TASK = 1_000


@dataclass(frozen=True)
class PassSettings:
    """The settings that all passes of one comparison share. `indexed`: an index can read ranges of the key on both sides.
    `planned`: the number of ranges. `progress` takes the number of rows of each range or part that is done. `kept`: takes each range
    whose sides are equal."""

    context: ComparisonContext
    mapping: TableMapping
    heaps: HeapBlocks
    indexed: bool
    progress: Callable[[int], None]
    kept: KeptPart
    planned: int = 0

    def parts(self) -> list[HeapPart | None]:
        """The parts in which a range is digested: one for each session while there are few ranges, else the whole range."""
        if self.planned > MAX_SHARED_RANGES:
            return [None]
        return [HeapPart(b, self.heaps) for b in block_ranges(parts_per_range(max(self.heaps), self.context.workers.jobs))]


class SnapshotPass:
    """One pass. `number`: of the snapshot, from 1. `seen`: rows of each side in its ranges. `total`: differences by kind. Both
    are final after `run`."""

    def __init__(self, settings: PassSettings, snapshot: ExportedSnapshot, number: int) -> None:
        self.settings, self.snapshot, self.number = settings, snapshot, number
        self.workers, self.found = settings.context.workers, settings.context.found
        self.method, self.limit = settings.context.settings.method, settings.context.settings.limit
        self.mapping, self.name = settings.mapping, str(settings.mapping.origin)
        self.pending_keys = snapshot.pending[settings.mapping.number].numbers
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.keys: set[Key] = set()
        self.digests: list[RangeDigest] = []
        self.pending = 0
        self.over_limit = False
        self.kept_numbers: set[int] = set()

    def run(self, ranges: tuple[KeyRange, ...], until: Callable[[], bool], counts_of_all: Counts | None) -> int:
        """Compare `ranges` in order until `until` is true. Returns how many were compared.

        `counts_of_all`: the counts to use if `ranges` are all the ranges and all of them are compared."""
        done = self._exact(ranges, until) if self.method == "exact" else self._checksum(ranges, until)
        if done:
            whole = joined(ranges[:done])
            counts = counts_of_all if done == len(ranges) and counts_of_all else self.count(whole)
            self.pending = sum(len(r.of(self.pending_keys)) for r in whole)
            counted = counts is not None and self._check_counts(whole, counts)
            self._name_differences()
            if counted and not self.total:
                self._keep_all(ranges[:done])
        return done

    def _keep_all(self, ranges: tuple[KeyRange, ...]) -> None:
        """The pass is over, and no row of it differs: keep what was not kept range by range, and that the rows were counted."""
        numbers = {r.number for r in ranges}
        mine = [x for x in self.found.range_records if x.table == self.name and x.number in numbers]
        for record in mine:
            if record.number not in self.kept_numbers:
                self._keep(record)
        self.settings.kept.mark_counted(ranges)

    def _keep(self, record: RangeRecord) -> None:
        pending = len(KeyRange(record.number, record.low, record.high).of(self.pending_keys))
        self.settings.kept.finish(record, self.snapshot, pending)
        self.kept_numbers.add(record.number)

    def recount(self, ranges: Sequence[KeyRange]) -> bool:
        """Whether an index returns every row of ranges that were compared in an earlier snapshot, and no key is there twice: what their
        own count would have shown. False, too, when that did not finish."""
        whole = joined(ranges)
        if not whole:
            return True
        tasks = [Task(f"counting {t} again", partial(count_both, table=rows, key=k, parts=whole)) for t, rows, k in self._sides()]
        counts = self.workers.run(tasks)
        twice = self._surplus_keys(whole) if self.method == "exact" else []
        return not twice and all(c is not None and c[0] == c[1] for c in counts) and not self.workers.unfinished

    def ranges(self, within: KeyRange, rows: int, method: Method) -> tuple[KeyRange, ...]:
        """Divide `within`, where about `rows` rows are expected, into ranges that `method` compares one by one."""
        wanted = wanted_ranges(rows, method, self.workers.jobs)
        if not self.mapping.integer_key:
            # Each range reads the whole heap, so no more of them than sessions, and one where the sessions share its blocks.
            return key_ranges(hash_cuts(min(wanted, self.workers.jobs)) if method == "exact" else (), within)
        if wanted == 1 or not self.settings.indexed:
            return key_ranges((), within)
        work = partial(cut_points, mapping=self.mapping, rows=rows, wanted=wanted)
        (cuts,) = self.workers.run([Task("choosing ranges", work)])
        return key_ranges(cuts or (), within)

    def _sides(self) -> tuple[tuple[TableName, sql.Composable, sql.Composable], ...]:
        """Both tables, as FROM names them, with the numbers of their keys."""
        d = self.mapping
        return (
            (d.origin, d.origin_rows, row_keys.number(d, row_keys.origin_columns(d, "s"))),
            (d.target, d.target_rows, row_keys.number(d, row_keys.target_columns(d, "s"))),
        )

    def count(self, parts: Sequence[KeyRange]) -> Counts | None:
        """Count the rows of both sides with a key in one of `parts`, by the heap. None, with a reason, if that did not finish."""
        sides = self._sides()
        pending = [key for r in parts for key in r.of(self.pending_keys)]
        tasks = [Task(f"counting {t}", partial(count_rows, table=rows, key=k, parts=parts)) for t, rows, k in sides]
        if pending:
            work = partial(count_keys, keys=bigints(pending))
            tasks += [Task(f"counting pending rows of {t}", partial(work, table=rows, key=k)) for t, rows, k in sides]
        results = self.workers.run(tasks)
        if any(n is None for n in results):
            self.found.unfinished.append("the rows were not counted")
            return None
        origin, target, *of_pending = (n or 0 for n in results)
        origin_pending, target_pending = of_pending or (0, 0)
        return Counts(origin=origin, target=target, origin_pending=origin_pending, target_pending=target_pending)

    def _exact(self, ranges: tuple[KeyRange, ...], until: Callable[[], bool]) -> int:
        def finished(r: RangeResult) -> None:
            self.settings.progress(r.origin_rows)
            if not (r.missing or r.extra or r.different):
                self._keep(self._joined_record(r))

        done = self._join(ranges, until, finished)
        for r in done:
            self.seen.update(origin=r.origin_rows, target=r.target_rows)
            self.found.range_records.append(self._joined_record(r))
        return len(done)

    def _joined_record(self, r: RangeResult) -> RangeRecord:
        return RangeRecord(
            table=self.name, number=r.range.number, low=r.range.low, high=r.range.high, snapshot=self.number,
            origin_rows=r.origin_rows, target_rows=r.target_rows, origin_digest=None, target_digest=None,
        )  # fmt: skip

    def _digest_record(self, x: RangeDigest) -> RangeRecord:
        return RangeRecord(
            table=self.name, number=x.range.number, low=x.range.low, high=x.range.high, snapshot=self.number,
            origin_rows=x.origin.rows, target_rows=x.target.rows, origin_digest=x.origin.digest, target_digest=x.target.digest,
        )  # fmt: skip

    def _join(
        self,
        ranges: tuple[KeyRange, ...],
        until: Callable[[], bool] = never,
        finished: Callable[[RangeResult], None] = lambda _: None,
    ) -> list[RangeResult]:
        """Compare the ranges row by row, and keep the keys that differ and their number."""
        work = partial(compare_range, mapping=self.mapping, pending=self.pending_keys, limit=self.limit)
        tasks = [Task(f"range {r.number} of {self.name}", partial(work, r=r)) for r in ranges]
        done = unbroken(self.workers.run(tasks, finished, until))
        for r in done:
            self.total.update(missing=r.missing, extra=r.extra, different=r.different)
            self.keys.update(r.keys)
            self.over_limit |= max(r.missing, r.extra, r.different) > self.limit
        return done

    def _checksum(self, ranges: tuple[KeyRange, ...], until: Callable[[], bool]) -> int:
        work = partial(digest_range, mapping=self.mapping, pending=self.pending_keys)
        parts = self.settings.parts()
        tasks = [Task(f"range {r.number} of {self.name}", partial(work, r=r, part=p)) for r in ranges for p in parts]
        found: dict[int, list[RangeDigest]] = {}

        def finished(x: RangeDigest) -> None:
            self.settings.progress(x.origin.rows)
            found.setdefault(x.range.number, []).append(x)
            whole = found[x.range.number]
            if len(whole) == len(parts) and (digest := reduce(add, whole)).equal:
                self._keep(self._digest_record(digest))

        results = unbroken(self.workers.run(tasks, finished, until, at_least=len(parts)))
        done = len(results) // len(parts)
        digests = [reduce(add, results[n * len(parts) : (n + 1) * len(parts)]) for n in range(done)]
        self.digests += digests
        self.found.digests += [(self.mapping, x) for x in digests]
        for x in digests:
            self.seen.update(origin=x.origin.rows, target=x.target.rows)
            self.found.range_records.append(self._digest_record(x))
        for x in digests:
            if not x.equal:
                self._join_unequal(x)
        return done

    def _join_unequal(self, x: RangeDigest) -> None:
        """Compare a range whose digests differ row by row. A range that the sessions shared is divided among them here too."""
        rows = max(x.origin.rows, x.target.rows)
        ranges = self.ranges(x.range, rows, "exact") if self.settings.planned <= MAX_SHARED_RANGES else (x.range,)
        joined = self._join(ranges)
        if len(joined) != len(ranges):
            self.found.unfinished.append(f"the digests of range {x.range.number} differ, and its rows were not compared")
        elif not self._surplus_keys((x.range,)) and not any(r.keys for r in joined):
            self.found.unfinished.append(f"the digests of range {x.range.number} differ, and none of its rows does")

    def _surplus_keys(self, parts: Sequence[KeyRange]) -> list[SurplusKey]:
        """Find the keys that are there too often, and count them as extra (on the maintained side) or missing."""
        work = partial(find_surplus_keys, mapping=self.mapping, pending=self.pending_keys, limit=self.limit)
        results = self.workers.run([Task("looking for keys that are there twice", partial(work, r=r)) for r in parts])
        found = [surplus for result in results for surplus in result or ()]
        for surplus in found:
            self.total["extra" if surplus.target else "missing"] += surplus.rows
            self.keys.add(surplus.key)
        return found

    def _check_counts(self, whole: Sequence[KeyRange], counts: Counts) -> bool:
        """The rows seen in the ranges, plus the rows of pending keys, are all rows of `whole`."""
        pending = {"origin": counts.origin_pending, "target": counts.target_pending}
        total = {"origin": counts.origin, "target": counts.target}
        seen = {side: self.seen[side] + pending[side] for side in total}
        if self.method == "exact" and seen != total:
            for surplus in self._surplus_keys(whole):
                # The join paired the one row of the other side with each of them.
                side = "origin" if surplus.target else "target"
                seen[side] -= surplus.rows
                self.seen[side] -= surplus.rows
        if seen != total:
            self.found.unfinished.append(
                f"the ranges of {self.name} held {seen['origin']} and {seen['target']} rows,"
                f" the tables hold {total['origin']} and {total['target']}"
            )
        return seen == total

    def _name_differences(self) -> None:
        """List the rows that differ with their columns, up to the limit, in the same snapshot."""
        self.over_limit |= len(self.keys) > self.limit
        self.found.over_limit |= self.over_limit
        keys = sorted(self.keys)[: self.limit]
        batches = [keys[n : n + KEYS_PER_TASK] for n in range(0, len(keys), KEYS_PER_TASK)]
        tasks = [Task("naming the columns", partial(compare_keys, mapping=self.mapping, keys=batch)) for batch in batches]
        differences = [d for batch in self.workers.run(tasks) for d in batch or ()]
        if len(differences) != len(keys):
            self.found.unfinished.append(f"{len(keys)} keys differ, {len(differences)} of them could be named")
        else:
            differences = self._without_pending(differences)
            if not self.over_limit:
                # The join counted a key that is there twice, and so did the search for surplus keys. Here it is one.
                self.total = Counter(d.kind for d in differences)
        self.found.differences += differences

    def _without_pending(self, differences: list[RowDifference]) -> list[RowDifference]:
        """The differences of rows that refer to no pending row of the source. The others are counted as pending: they were seen on
        both sides, and a cutover compares the references of every row of the source that changed."""
        if not differences or not can_wait(self.mapping):
            return differences
        keys = frozenset(self.snapshot.pending[0].numbers)
        work = partial(refer_to_pending, d=self.mapping, differences=differences, pending=keys)
        (waiting,) = self.workers.run([Task("looking for rows that refer to a pending row", work)])
        self.pending += len(waiting or ())
        return [d for d in differences if d.key not in (waiting or ())]


def unbroken(results: list[T | None]) -> list[T]:
    """The results up to the first missing one. Two sessions may stop in either order, so a result may follow a missing one; its
    range is compared again."""
    return [r for r in itertools.takewhile(lambda r: r is not None, results) if r is not None]
