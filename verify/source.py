"""Comparing the captured table with the maintained one: ranges over all keys, in as many snapshots as they take.

When a snapshot is given up the run goes on behind the last key it has compared; the ranges done must be the ranges
planned, the first of them open below and the last above.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

from swap.core.catalog.model import Table
from swap.core.direction import Direction
from swap.core.report import Reporter
from verify.checksum import hexdigest
from verify.findings import Check, Method, TableResult
from verify.gathered import Gathered
from verify.ranges import Range, cover_everything, cut_points, key_ranges, wanted_ranges
from verify.stretch import Comparing, Counts, Stretch
from verify.view import Views
from verify.workers import Task, Workers


class SourceComparison:
    """One comparison of the two sides, by the sessions of `workers`; results go to `found`."""

    def __init__(
        self, workers: Workers, d: Direction, views: Views, method: Method, limit: int, reporter: Reporter, found: Gathered
    ) -> None:
        self.workers, self.d, self.views, self.method, self.reporter, self.found = workers, d, views, method, reporter, found
        self.name = str(d.origin)
        self.comparing = Comparing(workers, d, method, limit, found, self._progress)
        self.compared = 0
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.pending = 0

    def run(self, origin: Table, target: Table) -> None:
        began = time.monotonic()
        counts = self._stretch().count(Range(0))
        if counts is not None:
            ranges = self._ranges(counts, has_key_index(origin, self.d.origin_key, target, self.d.target_key))
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

    def _stretch(self) -> Stretch:
        return Stretch(self.comparing, self.views.current, len(self.views.taken))

    def _progress(self, rows: int) -> None:
        self.compared += rows
        self.reporter.progress(f"verify {self.name}", self.compared, None)

    def _ranges(self, counts: Counts, indexed: bool) -> tuple[Range, ...]:
        rows = max(counts.origin, counts.target)
        wanted = wanted_ranges(rows, self.method, self.workers.jobs) if indexed else 1
        (cuts,) = self.workers.run([Task("choosing ranges", partial(cut_points, d=self.d, rows=rows, wanted=wanted))])
        return key_ranges(cuts or ())

    def _compare(self, ranges: tuple[Range, ...], counts: Counts) -> None:
        """Stretch after stretch; a failure ends it, and what is left is missed by `_whole`."""
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
            self.found.checks.append(Check("rows", "warning", detail))
        if self.found.ranges_done != len(ranges) or not cover_everything(ranges):
            self.found.unfinished.append(f"{self.found.ranges_done} of {len(ranges)} ranges of {self.name} were compared")


def has_key_index(origin: Table, origin_key: str, target: Table, target_key: str) -> bool:
    """Whether ranges of the key can be read by an index on both sides."""
    return all(
        any(i.valid and not i.partial and i.key_columns[:1] == (key,) and "btree" in i.tail for i in table.indexes)
        for table, key in ((origin, origin_key), (target, target_key))
    )
