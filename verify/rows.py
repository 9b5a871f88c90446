"""Compares a captured table with its maintained one: ranges over all keys, in as many snapshots as it takes.

After a snapshot was given up, the comparison goes on behind the last key that it has compared. At the end the ranges done must be
the ranges planned, of which the first is open below and the last is open above.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

from swap.catalog.model import Table
from swap.plan.direction import TableMapping
from verify.block_ranges import BLOCK_SIZE
from verify.checksum import HeapBlocks, RangeDigest, hexdigest
from verify.context import ComparisonContext
from verify.ranges import EVERY_KEY, KeyRange, cover_every_key
from verify.report import TableResult
from verify.snapshot_pass import Counts, PassSettings, SnapshotPass


class RowComparison:
    """One comparison of the two sides of one swapped table. `seen`: rows of each side in the ranges. `total`: differences by kind.
    `empty`: neither side has a row."""

    def __init__(self, context: ComparisonContext, mapping: TableMapping, origin: Table, target: Table) -> None:
        self.context, self.found, self.snapshots = context, context.found, context.snapshots
        self.mapping, self.name = mapping, str(mapping.origin)
        self.settings = PassSettings(
            context=context,
            mapping=mapping,
            heaps=HeapBlocks(origin=origin.heap_bytes // BLOCK_SIZE, target=target.heap_bytes // BLOCK_SIZE),
            indexed=mapping.integer_key
            and has_key_index(origin, mapping.origin_key)
            and has_key_index(target, mapping.target_key),
            progress=self._progress,
        )
        self.compared, self.expected = 0, 0
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.digests = list[RangeDigest]()
        self.pending, self.done = 0, 0
        self.empty = False

    def run(self) -> None:
        began, method = time.monotonic(), self.context.settings.method
        first = self._pass()
        counts = first.count(EVERY_KEY)
        if counts is not None:
            self.expected, self.empty = counts.origin, not counts.origin and not counts.target
            ranges = first.ranges(EVERY_KEY, max(counts.origin, counts.target), method)
            self._compare(ranges, counts)
            self._check_coverage(ranges)
        digest = hexdigest(sum(d.origin.sum for d in self.digests))
        self.found.tables.append(
            TableResult(
                name=self.name,
                rows=self.seen["origin"],
                missing=self.total["missing"],
                extra=self.total["extra"],
                different=self.total["different"],
                pending=self.pending,
                checksum=digest if method == "checksum" else None,
                seconds=round(time.monotonic() - began, 3),
            )
        )

    def _pass(self) -> SnapshotPass:
        """A pass in the current snapshot."""
        return SnapshotPass(self.settings, self.snapshots.current, len(self.snapshots.taken))

    def _progress(self, rows: int) -> None:
        self.compared += rows
        known = self.expected if self.compared <= self.expected else None  # the table grew after the count
        self.context.report.progress(f"verify {self.name}", self.compared, known)

    def _compare(self, ranges: tuple[KeyRange, ...], counts: Counts) -> None:
        """Compare the ranges, in one pass after the other. A failure ends the comparison; `_check_coverage` then misses the
        rest."""
        self.settings = replace(self.settings, planned=len(ranges))
        self.found.ranges_planned += len(ranges)
        left, low = ranges, None
        while left:
            one = self._pass()
            done = one.run(left, low, self.snapshots.expired, counts if left == ranges else None)
            self.done += done
            self.found.ranges_done += done
            self.digests += one.digests
            self.seen += one.seen
            self.total += one.total
            self.pending += one.pending
            low, left = left[done - 1].high if done else low, left[done:]
            if self.context.workers.unfinished or not done:
                return
            if left:
                reason = self.snapshots.renew().unusable
                if reason:
                    self.found.unfinished.append(reason)
                    return

    def _check_coverage(self, ranges: tuple[KeyRange, ...]) -> None:
        if self.done != len(ranges) or not cover_every_key(ranges):
            self.found.unfinished.append(f"{self.done} of {len(ranges)} ranges of {self.name} were compared")


def has_key_index(table: Table, key: str) -> bool:
    """Whether an index can read ranges of the key."""
    return any(i.valid and not i.partial and i.key_columns[:1] == (key,) and "btree" in i.definition for i in table.indexes)
