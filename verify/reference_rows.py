"""Comparing the references: slices of every referring table by heap blocks, in as many snapshots as they take.

A slice hashes the keys of the whole live table once for all references, so there are no more slices than pay for that:
one while the referring tables together are smaller than the live one.

When a snapshot is given up between two slices, a row may move from a block that is still to come to one that is done,
and no slice would see it. So what was written since the first of the snapshots, by the xmin of its rows, is compared
once more in the last one.
"""

from __future__ import annotations

import time
from functools import partial

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.core.sql_text import load_sql
from verify.checks import reference_checks
from verify.partial_report import PartialReport
from verify.references import BLOCK, ReferencePair, ReferenceResult, blocks_of, compare_references, merge
from verify.report import TableResult
from verify.snapshot_pass import unbroken
from verify.snapshots import SnapshotSeries
from verify.workers import Task, Workers

SMALL_SLICE_BLOCKS = 65_536


def wanted_block_ranges(referring: int, live: int, jobs: int) -> int:
    """How many slices for `referring` heap blocks in all, beside a live table of `live` blocks."""
    if referring <= live:
        return 1
    return max(jobs, -(-referring // max(live, SMALL_SLICE_BLOCKS)))


class ReferenceRowComparison:
    """One comparison of all `pairs`; results go to `found`."""

    def __init__(
        self,
        workers: Workers,
        views: SnapshotSeries,
        pairs: list[ReferencePair],
        limit: int,
        reporter: Reporter,
        found: PartialReport,
    ) -> None:
        self.workers, self.views, self.pairs = workers, views, pairs
        self.limit, self.reporter, self.found = limit, reporter, found
        self.referring = list(dict.fromkeys(p.table for p in pairs))
        self.counted = dict.fromkeys(self.referring, 0)

    def run(self, tables: dict[TableName, Table]) -> None:
        """Compare everything. `tables`: for their sizes."""
        began = time.monotonic()
        blocks = {t: tables[t].heap_bytes // BLOCK for t in self.referring}
        parts = wanted_block_ranges(sum(blocks.values()), tables[self.pairs[0].live].heap_bytes // BLOCK, self.workers.jobs)
        slices = self._slices(blocks, parts)
        if slices is None:
            return
        results = [merge(of_one) for of_one in zip(*slices, strict=True)]
        seconds = round(time.monotonic() - began, 3)
        for r in results:
            self._reference(r, self.counted[r.pair.table], seconds)
        self.found.checks += reference_checks(results)

    def _slices(self, blocks: dict[TableName, int], parts: int) -> list[list[ReferenceResult]] | None:
        """The results of every slice, and of what was written meanwhile; None, and a reason, when that did not finish."""
        first, done = len(self.views.taken) - 1, list[list[ReferenceResult]]()
        while len(done) < parts:
            todo = range(len(done), parts)
            here = unbroken(self.workers.run([self._task(blocks, n, parts) for n in todo], until=self.views.over))
            done += here
            if not here or not self._count(blocks, todo.start, len(done), parts):
                self.found.unfinished.append(f"{len(done)} of {parts} slices of the references were compared")
                return None
            if len(done) < parts:
                self.views.renew()
        if len(self.views.taken) - 1 > first:
            since = oldest_of(self.views.taken[first].text)
            conditions = dict.fromkeys(self.referring, written_since(since))
            work = partial(compare_references, pairs=self.pairs, conditions=conditions, limit=self.limit)
            (again,) = self.workers.run([Task("the references written meanwhile", work)])
            if again is None:
                self.found.unfinished.append("references that were written meanwhile were not compared")
                return None
            done.append([r.only_wrong() for r in again])
        return done

    def _task(self, blocks: dict[TableName, int], n: int, parts: int) -> Task[list[ReferenceResult]]:
        conditions = {t: blocks_of(n, n + 1, parts, blocks[t]) for t in self.referring}
        return Task("the references", partial(compare_references, pairs=self.pairs, conditions=conditions, limit=self.limit))

    def _count(self, blocks: dict[TableName, int], start: int, stop: int, parts: int) -> bool:
        """Count the rows of slices `start` to `stop` of each table, in the snapshot they were compared in."""
        tasks = [
            Task(f"counting {t}", partial(count_blocks, table=t, where=blocks_of(start, stop, parts, blocks[t])))
            for t in self.referring
        ]
        counts = self.workers.run(tasks)
        for table, count in zip(self.referring, counts, strict=True):
            self.counted[table] += count or 0
        return None not in counts

    def _reference(self, r: ReferenceResult, total: int, seconds: float) -> None:
        pair, found = r.pair, self.found
        if r.seen != total:
            found.unfinished.append(f"{pair.label}: {r.seen} rows were seen, the table holds {total}")
        if r.wrong > len(r.findings):
            found.capped = True
        found.findings += r.findings
        found.tables.append(
            TableResult(
                name=str(pair.table), rows=r.rows, missing=0, extra=0, different=r.wrong, pending=0,
                checksum=None, seconds=seconds, columns=(pair.integer, pair.uuid),
            )
        )  # fmt: skip
        self.reporter.progress(f"verify {pair.label}", r.rows, r.rows)


def oldest_of(snapshot: str) -> int:
    """The oldest transaction that a pg_snapshot's text does not see for certain: its own xmin. On a standby the text
    does not list what is in progress."""
    return int(snapshot.split(":", 1)[0])


def written_since(xid: int) -> sql.Composable:
    """Row versions whose transaction is not older than `xid`. xmin has 32 bits: it is compared on their circle, and as
    nothing gets half way round it during a verification, no row that was written since is left out."""
    return load_sql("verify", "written_since.sql").format(xid=sql.Literal(xid % 2**32))


def count_blocks(conn: Connection, table: TableName, where: sql.Composable) -> int:
    row = conn.execute(sql.SQL("SELECT count(*) FROM {} s WHERE {}").format(table.sql, where)).fetchone()
    return int(row[0]) if row else 0
