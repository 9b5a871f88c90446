"""Compares a captured table with its maintained one: ranges over all keys, in as many snapshots as it takes.

After a snapshot was given up, the comparison goes on behind the last key that it has compared. After an interruption it goes on with
the ranges that are not in the journal as compared (verify.kept_ranges). At the end the ranges done must be
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
from verify.counting import Counts
from verify.ranges import EVERY_KEY, KeyRange, cover_every_key
from verify.report import TableResult
from verify.snapshot_pass import PassSettings, SnapshotPass


class RowComparison:
    """One comparison of the two sides of one swapped table. `seen`: rows of each side in the ranges. `total`: differences by kind.
    `empty`: neither side has a row. `partly`: ranges are left for another time, as was asked for. `kept`: its ranges in the journal."""

    def __init__(self, context: ComparisonContext, mapping: TableMapping, origin: Table, target: Table) -> None:
        self.context, self.found, self.snapshots = context, context.found, context.snapshots
        self.mapping, self.name = mapping, str(mapping.origin)
        self.kept = context.kept.of(mapping)
        self.settings = PassSettings(
            context=context,
            mapping=mapping,
            heaps=HeapBlocks(origin=origin.heap_bytes // BLOCK_SIZE, target=target.heap_bytes // BLOCK_SIZE),
            indexed=mapping.integer_key
            and has_key_index(origin, mapping.origin_key)
            and has_key_index(target, mapping.target_key),
            progress=self._progress,
            kept=self.kept,
        )
        self.compared, self.expected = 0, 0
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.digests = list[RangeDigest]()
        self.pending, self.done = 0, 0
        self.empty = False
        self.partly = False

    def run(self) -> None:
        began, method = time.monotonic(), self.context.settings.method
        planned = self._go_on() or self._plan()
        if planned is not None:
            ranges, counts = planned
            self._compare(ranges, counts)
            self._check_coverage(ranges)
            self.empty = not (self.seen["origin"] or self.seen["target"] or self.pending)
            self._tell_end()
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

    def _tell_end(self) -> None:
        """The bar ends full where every range was compared: rows that are pending were looked at too, and their number is said."""
        done = self.found.ranges_done >= self.found.ranges_planned
        waits = f", {self.pending:,} more pending" if self.pending else ""
        self.context.report.progress(
            f"verify {self.name}", self.compared, self.compared if done else self.expected, f"rows{waits}"
        )

    def _plan(self) -> tuple[tuple[KeyRange, ...], Counts | None] | None:
        """Divide the table into ranges, with the counts of all of them. None, with a reason, if that did not finish."""
        first = self._pass()
        counts = first.count((EVERY_KEY,))
        if counts is None:
            return None
        self.expected = counts.origin
        ranges = first.ranges(EVERY_KEY, max(counts.origin, counts.target), self.context.settings.method)
        self.kept.plan(ranges)
        return ranges, counts

    def _go_on(self) -> tuple[tuple[KeyRange, ...], Counts | None] | None:
        """The ranges of the verification that was interrupted, and what it has compared of them. None: everything is due."""
        if not self.kept.ranges:
            return None
        if not self._pass().recount(self.kept.uncounted):
            self.found.unfinished.append(f"{self.name}: the rows that were compared before an interruption were not all counted")
            self.context.kept.forget()
            return (), None
        done = self.kept.done
        self.kept.mark_counted(self.kept.uncounted)
        self.seen.update(origin=sum(r.origin_rows for r in done), target=sum(r.target_rows for r in done))
        self.pending, self.done, self.compared = sum(r.pending for r in done), len(done), self.seen["origin"]
        self.expected = self.compared * len(self.kept.ranges) // len(done) if done else 0
        self.digests += self.kept.digests()
        self.found.digests += [(self.mapping, x) for x in self.digests]
        self.found.range_records += self.kept.records()
        self.found.ranges_done += len(done)
        return self.kept.planned, None

    def _pass(self) -> SnapshotPass:
        """A pass in the current snapshot."""
        return SnapshotPass(
            replace(self.settings, kept=self.kept),
            self.snapshots.current,
            len(self.context.kept.earlier) + len(self.snapshots.taken),
        )

    def _progress(self, rows: int) -> None:
        self.compared += rows
        known = self.expected if self.compared <= self.expected else None  # the table grew after the count
        self.context.report.progress(f"verify {self.name}", self.compared, known)

    def _compare(self, ranges: tuple[KeyRange, ...], counts: Counts | None) -> None:
        """Compare the ranges that are due, in one pass after the other. A failure ends the comparison; `_check_coverage` then misses
        the rest."""
        self.settings = replace(self.settings, planned=len(ranges))
        self.found.ranges_planned += len(ranges)
        before = {r.number for r in self.kept.done}
        rest = tuple(r for r in ranges if r.number not in before)
        left = self._due(rest, len(ranges))
        self.partly = len(left) < len(rest)
        while left:
            one = self._pass()
            done = one.run(left, self.snapshots.expired, counts if left == ranges else None)
            self.done += done
            self.found.ranges_done += done
            self.digests += one.digests
            self.seen += one.seen
            self.total += one.total
            self.pending += one.pending
            left = left[done:]
            if self.context.workers.unfinished or not done:
                return
            if left:
                reason = self.snapshots.renew().unusable
                if reason:
                    self.found.unfinished.append(reason)
                    return

    def _due(self, left: tuple[KeyRange, ...], planned: int) -> tuple[KeyRange, ...]:
        """The ranges that are to be compared now: as many as the share that was asked for still needs."""
        share = self.context.settings.share
        if share >= 1.0:
            return left
        return left[: max(0, int(share * planned) - self.done)]

    def _check_coverage(self, ranges: tuple[KeyRange, ...]) -> None:
        if self.partly and not self.context.workers.unfinished:
            return
        if self.done != len(ranges) or not cover_every_key(ranges):
            self.found.unfinished.append(f"{self.done} of {len(ranges)} ranges of {self.name} were compared")


def has_key_index(table: Table, key: str) -> bool:
    """Whether an index can read ranges of the key."""
    return any(i.valid and not i.partial and i.key_columns[:1] == (key,) and "btree" in i.definition for i in table.indexes)
