"""Consecutive key ranges compared in one snapshot: as many as it lasts for, with everything that follows from them.

Coverage is proved, not assumed: every range returns the rows it saw on each side, and their sum plus the rows of
pending keys must equal a count of the same snapshot that was made without any index. A range whose digests differ is
looked through, and its keys are named, in that snapshot too.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import TypeVar

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.plan.direction import TableMapping
from verify.changed_keys import compare_keys
from verify.checksum import Part, RangeDigest, digest_range
from verify.exact import RangeResult, Surplus, compare_range, surplus
from verify.partial_report import PartialReport
from verify.ranges import FEW, Range, bigints, cut_points, key_ranges, wanted_parts, wanted_ranges
from verify.report import Method, RangeRecord
from verify.snapshots import ExportedSnapshot
from verify.workers import Task, Workers

T = TypeVar("T")
DETAIL_BATCH = 1_000
HEAP_ONLY = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off"


@dataclass(frozen=True)
class Counts:
    """Rows of each side in a stretch of keys, and those among them whose key is pending."""

    origin: int
    target: int
    origin_pending: int = 0
    target_pending: int = 0


@dataclass(frozen=True)
class PassSettings:
    """What every stretch of one comparison shares. `progress` takes the rows of each range or part as it is done; `blocks`
    of the heaps; `indexed`: ranges of the key can be read by an index on both sides."""

    workers: Workers
    d: TableMapping
    method: Method
    limit: int
    found: PartialReport
    progress: Callable[[int], None]
    blocks: tuple[int, int]
    indexed: bool

    def parts(self) -> list[Part | None]:
        """In how many parts a range is digested: one for each session, where there are few ranges."""
        if self.found.ranges > FEW:
            return [None]
        of = wanted_parts(max(self.blocks), self.workers.jobs)
        return [Part(n, of, self.blocks) for n in range(of)]


class SnapshotPass:
    """One stretch. `seen`: rows of each side in its ranges; `total`: differences by kind; both are final after `run`."""

    def __init__(self, comparing: PassSettings, view: ExportedSnapshot, number: int) -> None:
        self.c, self.view, self.number = comparing, view, number
        self.workers, self.d, self.found = comparing.workers, comparing.d, comparing.found
        self.name = str(comparing.d.origin)
        self.seen = Counter[str]()
        self.total = Counter[str]()
        self.keys: set[int] = set()
        self.pending = 0

    def run(self, ranges: tuple[Range, ...], low: int | None, until: Callable[[], bool], everything: Counts | None) -> int:
        """Compare `ranges` in order until told to stop; how many were. `low`: where the stretch before ended, and the
        count begins; `everything`: the counts, should this be all ranges."""
        done = self._exact(ranges, until) if self.c.method == "exact" else self._checksum(ranges, until)
        if done:
            whole = Range(0, low, ranges[done - 1].high if done < len(ranges) else None)
            counts = everything if done == len(ranges) and everything else self.count(whole)
            self.pending = len(whole.of(self.view.pending))
            if counts is not None:
                self._coverage(whole, counts)
            self._details()
        return done

    def ranges(self, within: Range, rows: int, method: Method) -> tuple[Range, ...]:
        """Ranges that `method` compares one by one, and that together are `within`, where `rows` are expected."""
        wanted = wanted_ranges(rows, method, self.workers.jobs)
        if wanted == 1 or not self.c.indexed:
            return key_ranges((), within)
        (cuts,) = self.workers.run([Task("choosing ranges", partial(cut_points, d=self.d, rows=rows, wanted=wanted))])
        return key_ranges(cuts or (), within)

    def count(self, r: Range) -> Counts | None:
        """Rows of both sides with a key in `r`, by the heap; None, and a reason, when that did not finish."""
        sides = ((self.d.origin, self.d.origin_key), (self.d.target, self.d.target_key))
        pending = r.of(self.view.pending)
        tasks = [Task(f"counting {t}", partial(count_rows, table=t, key=k, r=r)) for t, k in sides]
        if pending:
            work = partial(count_keys, keys=bigints(pending))
            tasks += [Task(f"counting pending rows of {t}", partial(work, table=t, key=k)) for t, k in sides]
        results = self.workers.run(tasks)
        if any(r is None for r in results):
            self.found.unfinished.append("the rows were not counted")
            return None
        return Counts(*(r or 0 for r in results))

    def _exact(self, ranges: tuple[Range, ...], until: Callable[[], bool]) -> int:
        done = self._compare(ranges, until, self.c.progress)
        for r in done:
            self.seen.update(origin=r.origin_rows, target=r.target_rows)
            self._note(r.range, (r.origin_rows, r.target_rows), None)
        return len(done)

    def _compare(
        self,
        ranges: tuple[Range, ...],
        until: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> list[RangeResult]:
        """Full joins of the ranges; differing keys and their counts are kept."""
        work = partial(compare_range, d=self.d, pending=self.view.pending, limit=self.c.limit)
        tasks = [Task(f"range {r.number} of {self.name}", partial(work, r=r)) for r in ranges]
        done = unbroken(self.workers.run(tasks, lambda r: progress(r.origin_rows), until))
        for r in done:
            self.total.update(missing=r.missing, extra=r.extra, different=r.different)
            self.keys.update(r.keys)
            self.found.capped |= max(r.missing, r.extra, r.different) > self.c.limit
        return done

    def _checksum(self, ranges: tuple[Range, ...], until: Callable[[], bool]) -> int:
        work, parts = partial(digest_range, d=self.d, pending=self.view.pending), self.c.parts()
        tasks = [Task(f"range {r.number} of {self.name}", partial(work, r=r, part=p)) for r in ranges for p in parts]
        seen = unbroken(self.workers.run(tasks, lambda x: self.c.progress(x.origin.rows), until, at_least=len(parts)))
        done = len(seen) // len(parts)
        digests = [reduce(add, seen[n * len(parts) : (n + 1) * len(parts)]) for n in range(done)]
        self.found.digests += digests
        for x in digests:
            self.seen.update(origin=x.origin.rows, target=x.target.rows)
            self._note(x.range, (x.origin.rows, x.target.rows), (x.origin.digest, x.target.digest))
        for x in digests:
            if not x.equal:
                self._look_through(x)
        return done

    def _look_through(self, x: RangeDigest) -> None:
        """Join a range whose digests differ; what is shared by the sessions is divided among them for that, too."""
        rows = max(x.origin.rows, x.target.rows)
        ranges = self.ranges(x.range, rows, "exact") if self.found.ranges <= FEW else (x.range,)
        joined = self._compare(ranges)
        if len(joined) != len(ranges):
            self.found.unfinished.append(f"range {x.range.number} differs, and was not looked through")
        elif not self._surplus(x.range) and not any(r.keys for r in joined):
            self.found.unfinished.append(f"the digests of range {x.range.number} differ, yet none of its rows does")

    def _note(self, r: Range, rows: tuple[int, int], digests: tuple[str, str] | None) -> None:
        self.found.ranges_seen.append(RangeRecord(r.number, r.low, r.high, self.number, *rows, *(digests or (None, None))))

    def _surplus(self, r: Range) -> list[Surplus]:
        """Keys that are there too often, counted as extra (on the maintained side) or missing."""
        d, pending, limit = self.d, self.view.pending, self.c.limit
        (found,) = self.workers.run(
            [Task("looking for keys that are there twice", partial(surplus, d=d, r=r, pending=pending, limit=limit))]
        )
        for s in found or ():
            self.total["extra" if s.target else "missing"] += s.rows
            self.keys.add(s.key)
        return found or []

    def _coverage(self, whole: Range, counts: Counts) -> None:
        pending = {"origin": counts.origin_pending, "target": counts.target_pending}
        total = {"origin": counts.origin, "target": counts.target}
        seen = {side: self.seen[side] + pending[side] for side in total}
        if self.c.method == "exact" and seen != total:
            for s in self._surplus(whole):
                # The join paired the other side's one row with each of them.
                side = "origin" if s.target else "target"
                seen[side] -= s.rows
                self.seen[side] -= s.rows
        if seen != total:
            self.found.unfinished.append(
                f"the ranges of {self.name} held {seen['origin']} and {seen['target']} rows,"
                f" the tables hold {total['origin']} and {total['target']}"
            )

    def _details(self) -> None:
        """The findings with their columns, up to the limit, from the same snapshot."""
        self.found.capped |= len(self.keys) > self.c.limit
        keys = sorted(self.keys)[: self.c.limit]
        slices = [keys[n : n + DETAIL_BATCH] for n in range(0, len(keys), DETAIL_BATCH)]
        tasks = [Task("naming the columns", partial(compare_keys, direction=self.d, keys=part)) for part in slices]
        findings = [f for found in self.workers.run(tasks) for f in found or ()]
        if len(findings) != len(keys):
            self.found.unfinished.append(f"{len(keys)} keys differ, {len(findings)} of them could be named")
        elif not self.found.capped:
            # A key that is there twice was counted by the join and as surplus; here it is one.
            self.total = Counter(f.kind for f in findings)
        self.found.findings += findings


def unbroken(results: list[T | None]) -> list[T]:
    """The results up to the first that is missing. Two sessions may stop in either order, so one beyond the gap can be
    there; it is compared again."""
    return [r for r in itertools.takewhile(lambda r: r is not None, results) if r is not None]


def count_rows(conn: Connection, table: TableName, key: str | None = None, r: Range | None = None) -> int:
    """Rows with a key in `r`, from the heap: an index that lost entries must not vouch for itself."""
    conn.execute(HEAP_ONLY)
    where = r.where(sql.Identifier("s", key)) if r is not None and key is not None else sql.SQL("true")
    row = conn.execute(sql.SQL("SELECT count(*) FROM {} s WHERE {}").format(table.sql, where)).fetchone()
    return int(row[0]) if row else 0


def count_keys(conn: Connection, table: TableName, key: str, keys: sql.Composable) -> int:
    """Rows that hold one of the keys."""
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {} s WHERE s.{} = ANY ({})").format(table.sql, sql.Identifier(key), keys)
    ).fetchone()
    return int(row[0]) if row else 0
