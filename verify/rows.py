"""Comparing the captured table with the maintained one: ranges over all keys, in as many snapshots as they take.

When a snapshot is given up the run goes on behind the last key it has compared; the ranges done must be the ranges
planned, the first of them open below and the last above.
"""

from __future__ import annotations

import time
from collections import Counter

from swap.catalog.model import Table
from swap.core.report import Reporter
from swap.plan.direction import TableMapping
from verify.checksum import hexdigest
from verify.partial_report import PartialReport
from verify.ranges import EVERYTHING, Range, cover_everything
from verify.references import BLOCK
from verify.report import CheckResult, Method, TableResult
from verify.snapshot_pass import Counts, PassSettings, SnapshotPass
from verify.snapshots import SnapshotSeries
from verify.workers import Workers


class RowComparison:
    """One comparison of the two sides, by the sessions of `workers`; results go to `found`."""

    def __init__(
        self, workers: Workers, d: TableMapping, views: SnapshotSeries, method: Method, limit: int, reporter: Reporter, found: PartialReport,
        origin: Table, target: Table,
    ) -> None:  # fmt: skip
        self.workers, self.d, self.views, self.method, self.reporter, self.found = workers, d, views, method, reporter, found
        self.name = str(d.origin)
        blocks = origin.heap_bytes // BLOCK, target.heap_bytes // BLOCK
        indexed = has_key_index(origin, d.origin_key, target, d.target_key)
        self.comparing = PassSettings(workers, d, method, limit, found, self._progress, blocks, indexed)
        self.compared, self.expected = 0, 0
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.pending = 0

    def run(self) -> None:
        began = time.monotonic()
        stretch = self._stretch()
        counts = stretch.count(EVERYTHING)
        if counts is not None:
            self.expected = counts.origin
            ranges = stretch.ranges(EVERYTHING, max(counts.origin, counts.target), self.method)
            self._compare(ranges, counts)
            self._whole(counts, ranges)
        digest = hexdigest(sum(d.origin.sum for d in self.found.digests))
        self.found.tables.append(
            TableResult(
                name=self.name,
                rows=self.seen["origin"],
                missing=self.total["missing"],
                extra=self.total["extra"],
                different=self.total["different"],
                pending=self.pending,
                checksum=digest if self.method == "checksum" else None,
                seconds=round(time.monotonic() - began, 3),
            )
        )

    def _stretch(self) -> SnapshotPass:
        return SnapshotPass(self.comparing, self.views.current, len(self.views.taken))

    def _progress(self, rows: int) -> None:
        self.compared += rows
        known = self.expected if self.compared <= self.expected else None  # it grew since it was counted
        self.reporter.progress(f"verify {self.name}", self.compared, known)

    def _compare(self, ranges: tuple[Range, ...], counts: Counts) -> None:
        """Pass after pass; a failure ends it, and what is left is missed by `_whole`."""
        self.found.ranges, left, low = len(ranges), ranges, None
        while left:
            stretch = self._stretch()
            done = stretch.run(left, low, self.views.over, counts if left == ranges else None)
            self.found.ranges_done += done
            self.seen += stretch.seen
            self.total += stretch.total
            self.pending += stretch.pending
            low, left = left[done - 1].high if done else low, left[done:]
            if self.workers.unfinished or not done:
                return
            if left:
                reason = self.views.renew().unusable
                if reason:
                    self.found.unfinished.append(reason)
                    return

    def _whole(self, counts: Counts, ranges: tuple[Range, ...]) -> None:
        if not counts.origin and not counts.target:
            detail = f"{self.d.origin} and {self.d.target} are both empty: there was nothing to compare"
            self.found.checks.append(CheckResult("rows", "warning", detail))
        if self.found.ranges_done != len(ranges) or not cover_everything(ranges):
            self.found.unfinished.append(f"{self.found.ranges_done} of {len(ranges)} ranges of {self.name} were compared")


def has_key_index(origin: Table, origin_key: str, target: Table, target_key: str) -> bool:
    """Whether ranges of the key can be read by an index on both sides."""
    return all(
        any(i.valid and not i.partial and i.key_columns[:1] == (key,) and "btree" in i.tail for i in table.indexes)
        for table, key in ((origin, origin_key), (target, target_key))
    )
