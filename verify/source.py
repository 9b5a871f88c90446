"""Comparing the captured table with the maintained one: ranges, coverage, and the keys that differ.

Coverage is proved, not assumed: every range returns the rows it saw on each side, and their sum plus the rows
of pending keys must equal a count of the same snapshot that was made without any index.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from psycopg import sql

from swap.core.catalog.model import Table
from swap.core.connection import Connection
from swap.core.direction import Direction
from swap.core.names import TableName
from swap.core.report import Reporter
from verify.checksum import RangeDigest, digest_range, hexdigest
from verify.exact import RangeResult, Surplus, compare_range, surplus
from verify.findings import Check, Method, TableResult
from verify.gathered import Gathered
from verify.ranges import Range, bigints, cut_points, key_ranges, wanted_ranges
from verify.touched import compare_keys
from verify.view import View
from verify.workers import Task, Workers

DETAIL_BATCH = 1_000
HEAP_ONLY = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off"


@dataclass(frozen=True)
class Counts:
    """All rows of each side, and those among them whose key is pending."""

    origin: int
    target: int
    origin_pending: int
    target_pending: int


class SourceComparison:
    """One comparison of the two sides in `view`, by the sessions of `workers`; results go to `found`."""

    def __init__(
        self, workers: Workers, d: Direction, view: View, method: Method, limit: int,
        reporter: Reporter, found: Gathered,
    ) -> None:  # fmt: skip
        self.workers, self.d, self.view = workers, d, view
        self.method, self.limit, self.reporter, self.found = method, limit, reporter, found
        self.name = str(d.origin)
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.keys: set[int] = set()

    def run(self, origin: Table, target: Table) -> None:
        began = time.monotonic()
        counts = self._count()
        if counts is not None:
            ranges = self._ranges(counts, has_key_index(origin, self.d.origin_key, target, self.d.target_key))
            self.found.ranges = len(ranges)
            done = self._exact(ranges) if self.method == "exact" else self._checksum(ranges)
            self._coverage(counts, done, len(ranges))
            self._details()
        digest = hexdigest(sum(d.origin.sum for d in self.found.digests))
        self.found.tables.append(
            TableResult(
                name=self.name,
                rows=self.seen["origin"],
                missing=self.total["missing"],
                extra=self.total["extra"],
                different=self.total["different"],
                pending=len(self.view.pending),
                checksum=digest if self.method == "checksum" else None,
                seconds=round(time.monotonic() - began, 3),
            )
        )

    def _count(self) -> Counts | None:
        d, keys = self.d, self.view.pending
        sides = ((d.origin, d.origin_key), (d.target, d.target_key))
        tasks = [Task(f"counting {t}", partial(count_rows, table=t)) for t, _ in sides]
        tasks += [
            Task(f"counting pending rows of {t}", partial(count_keys, table=t, key=k, keys=bigints(keys))) for t, k in sides
        ]
        results = self.workers.run(tasks)
        if any(r is None for r in results):
            self.found.unfinished.append("the rows were not counted")
            return None
        return Counts(*(r or 0 for r in results))

    def _ranges(self, counts: Counts, indexed: bool) -> tuple[Range, ...]:
        rows = max(counts.origin, counts.target)
        wanted = wanted_ranges(rows) if indexed else 1
        (cuts,) = self.workers.run([Task("choosing ranges", partial(cut_points, d=self.d, rows=rows, wanted=wanted))])
        return key_ranges(cuts or ())

    def _exact(self, ranges: tuple[Range, ...]) -> int:
        done = self._compare(ranges)
        for r in done:
            self.seen.update(origin=r.origin_rows, target=r.target_rows)
        return len(done)

    def _compare(self, ranges: tuple[Range, ...]) -> list[RangeResult]:
        """Full joins of the ranges; differing keys and their counts are kept."""
        d, pending, limit = self.d, self.view.pending, self.limit
        rows = 0

        def note(r: RangeResult) -> None:
            nonlocal rows
            rows += r.origin_rows
            if self.method == "exact":
                self.reporter.progress(f"verify {self.name}", rows, None)

        tasks = [
            Task(f"range {r.number} of {self.name}", partial(compare_range, d=d, r=r, pending=pending, limit=limit))
            for r in ranges
        ]
        done = [r for r in self.workers.run(tasks, note) if r is not None]
        for r in done:
            self.total.update(missing=r.missing, extra=r.extra, different=r.different)
            self.keys.update(r.keys)
            self.found.capped |= max(r.missing, r.extra, r.different) > limit
        return done

    def _checksum(self, ranges: tuple[Range, ...]) -> int:
        d, pending = self.d, self.view.pending
        rows = 0

        def note(r: RangeDigest) -> None:
            nonlocal rows
            rows += r.origin.rows
            self.reporter.progress(f"verify {self.name}", rows, None)

        tasks = [Task(f"range {r.number} of {self.name}", partial(digest_range, d=d, r=r, pending=pending)) for r in ranges]
        digests = self.found.digests = [x for x in self.workers.run(tasks, note) if x is not None]
        for x in digests:
            self.seen.update(origin=x.origin.rows, target=x.target.rows)
        unequal = tuple(x.range for x in digests if not x.equal)
        for r in self._compare(unequal):
            if not self._surplus(r.range) and not r.keys:
                self.found.unfinished.append(f"the digests of range {r.range.number} differ, yet none of its rows does")
        return len(digests)

    def _surplus(self, r: Range) -> list[Surplus]:
        """Keys that are there too often, counted as extra (on the maintained side) or missing."""
        d, pending, limit = self.d, self.view.pending, self.limit
        (found,) = self.workers.run(
            [Task("looking for keys that are there twice", partial(surplus, d=d, r=r, pending=pending, limit=limit))]
        )
        for s in found or ():
            self.total["extra" if s.target else "missing"] += s.rows
            self.keys.add(s.key)
        return found or []

    def _coverage(self, counts: Counts, done: int, planned: int) -> None:
        pending = {"origin": counts.origin_pending, "target": counts.target_pending}
        total = {"origin": counts.origin, "target": counts.target}
        seen = {side: self.seen[side] + pending[side] for side in total}
        if done == planned and self.method == "exact" and seen != total:
            for s in self._surplus(Range(0)):
                # The join paired the other side's one row with each of them.
                side = "origin" if s.target else "target"
                seen[side] -= s.rows
                self.seen[side] -= s.rows
        if not total["origin"] and not total["target"]:
            detail = f"{self.d.origin} and {self.d.target} are both empty: there was nothing to compare"
            self.found.checks.append(Check("rows", "warning", detail))
        if done != planned or not planned:
            self.found.unfinished.append(f"{done} of {planned} ranges of {self.name} were compared")
        elif seen != total:
            self.found.unfinished.append(
                f"the ranges of {self.name} held {seen['origin']} and {seen['target']} rows,"
                f" the tables hold {total['origin']} and {total['target']}"
            )

    def _details(self) -> None:
        """The findings with their columns, up to the limit, from the same snapshot."""
        self.found.capped |= len(self.keys) > self.limit
        keys = sorted(self.keys)[: self.limit]
        slices = [keys[n : n + DETAIL_BATCH] for n in range(0, len(keys), DETAIL_BATCH)]
        tasks = [Task("naming the columns", partial(compare_keys, direction=self.d, keys=part)) for part in slices]
        findings = [f for found in self.workers.run(tasks) for f in found or ()]
        if len(findings) != len(keys):
            self.found.unfinished.append(f"{len(keys)} keys differ, {len(findings)} of them could be named")
        elif not self.found.capped:
            # A key that is there twice was counted by the join and as surplus; here it is one.
            self.total = Counter(f.kind for f in findings)
        self.found.findings += findings


def has_key_index(origin: Table, origin_key: str, target: Table, target_key: str) -> bool:
    """Whether ranges of the key can be read by an index on both sides."""
    return all(
        any(i.valid and not i.partial and i.key_columns[:1] == (key,) and "btree" in i.tail for i in table.indexes)
        for table, key in ((origin, origin_key), (target, target_key))
    )


def count_rows(conn: Connection, table: TableName) -> int:
    """All rows, from the heap: an index that lost entries must not vouch for itself."""
    conn.execute(HEAP_ONLY)
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(table.sql)).fetchone()
    return int(row[0]) if row else 0


def count_keys(conn: Connection, table: TableName, key: str, keys: sql.Composable) -> int:
    """Rows that hold one of the keys."""
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {} s WHERE s.{} = ANY ({})").format(table.sql, sql.Identifier(key), keys)
    ).fetchone()
    return int(row[0]) if row else 0
