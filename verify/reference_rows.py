"""Compares the references: block ranges of every referring table, in as many snapshots as it takes.

Each block range hashes the keys of the whole live table, once for all references. So there are no more block ranges than are
worth that: one, while the referring tables together are smaller than the live table.

When the snapshot is given up between two block ranges, a row may move from a block that was not read yet to a block that was,
and no range would see it. So the rows written since the first of the snapshots, by their xmin, are compared once more in the last
one.
"""

from __future__ import annotations

import time
from functools import partial

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from verify.block_ranges import BLOCK_SIZE, BlockRange
from verify.checks import reference_checks
from verify.context import ComparisonContext
from verify.orphans import Orphans
from verify.references import ReferencePair, ReferenceResult, compare_references, merge_results
from verify.report import TableResult
from verify.snapshot_pass import unbroken
from verify.snapshots import oldest_of
from verify.workers import Task

MIN_BLOCKS_PER_RANGE = 65_536


def wanted_block_ranges(referring: int, live: int, jobs: int) -> int:
    """How many block ranges for `referring` heap blocks in all, beside a live table of `live` blocks."""
    if referring <= live:
        return 1
    return max(jobs, -(-referring // max(live, MIN_BLOCKS_PER_RANGE)))


class ReferenceRowComparison:
    """One comparison of all `pairs`. `tables`: the loaded tables, for their sizes. `noted`: the table of incomplete pairs."""

    def __init__(
        self, context: ComparisonContext, pairs: list[ReferencePair], tables: dict[TableName, Table], noted: TableName
    ) -> None:
        self.found, self.workers, self.snapshots = context.found, context.workers, context.snapshots
        self.pairs, self.report, self.limit = pairs, context.report, context.settings.limit
        self.referring = list(dict.fromkeys(p.table for p in pairs))
        self.blocks = {t: tables[t].heap_bytes // BLOCK_SIZE for t in self.referring}
        self.live_blocks = tables[pairs[0].live].heap_bytes // BLOCK_SIZE
        self.counted = dict.fromkeys(self.referring, 0)
        self.noted = noted
        self.orphans: list[Orphans] = []

    def run(self) -> None:
        began = time.monotonic()
        parts = self._parts(wanted_block_ranges(sum(self.blocks.values()), self.live_blocks, self.workers.jobs))
        if parts is None:
            return
        results = [merge_results(of_one) for of_one in zip(*parts, strict=True)]
        seconds = time.monotonic() - began  # of one statement for all, which reads the live table once: divided by rows read
        seen = sum(r.seen for r in results)
        for result in results:
            share = result.seen / seen if seen else 1 / len(results)
            self._record(result, round(seconds * share, 3))
        self.found.checks += reference_checks(results)
        self.orphans = [Orphans(r.pair.label, r.orphans, r.pair.declared) for r in results]

    def _parts(self, of: int) -> list[list[ReferenceResult]] | None:
        """The results of every block range, and of the rows written meanwhile. None, with a reason, if a part is unfinished."""
        first, done = len(self.snapshots.taken) - 1, list[list[ReferenceResult]]()
        while len(done) < of:
            start = len(done)
            tasks = [self._task("the references", self._conditions(BlockRange(n, n + 1, of))) for n in range(start, of)]
            results = unbroken(self.workers.run(tasks, until=self.snapshots.expired))
            done += results
            if not results or not self._count(BlockRange(start, len(done), of)):
                self.found.unfinished.append(f"{len(done)} of {of} block ranges of the references were compared")
                return None
            if len(done) < of:
                self.snapshots.renew()
        if len(self.snapshots.taken) - 1 > first:
            since = oldest_of(self.snapshots.taken[first].text)
            (again,) = self.workers.run(
                [self._task("the references written meanwhile", dict.fromkeys(self.referring, written_since(since)))]
            )
            if again is None:
                self.found.unfinished.append("references that were written meanwhile were not compared")
                return None
            done.append([r.only_wrong() for r in again])
        return done

    def _conditions(self, blocks: BlockRange) -> dict[TableName, sql.Composable]:
        """The condition on the rows of each referring table."""
        return {t: blocks.where(self.blocks[t]) for t in self.referring}

    def _task(self, label: str, conditions: dict[TableName, sql.Composable]) -> Task[list[ReferenceResult]]:
        pending = self.snapshots.current.pending[0].numbers
        work = partial(
            compare_references, pairs=self.pairs, conditions=conditions, limit=self.limit, noted=self.noted, pending=pending
        )
        return Task(label, work)

    def _count(self, blocks: BlockRange) -> bool:
        """Count the rows of each table in the snapshot in which these blocks were compared. False: it did not finish."""
        conditions = self._conditions(blocks)
        counts = self.workers.run(
            [Task(f"counting {t}", partial(count_blocks, table=t, where=conditions[t])) for t in self.referring]
        )
        for table, count in zip(self.referring, counts, strict=True):
            self.counted[table] += count or 0
        return None not in counts

    def _record(self, result: ReferenceResult, seconds: float) -> None:
        pair, found = result.pair, self.found
        if result.seen != self.counted[pair.table]:
            found.unfinished.append(
                f"{pair.label}: the comparison read {result.seen} rows, the table holds {self.counted[pair.table]}"
            )
        if result.wrong > len(result.differences):
            found.over_limit = True
        found.differences += result.differences
        found.tables.append(
            TableResult(
                name=str(pair.table), rows=result.rows, missing=0, extra=0, different=result.wrong, pending=result.pending,
                checksum=None, seconds=seconds, columns=(pair.integer, pair.uuid),
            )
        )  # fmt: skip
        self.report.progress(f"verify {pair.label}", result.rows, result.rows)


def written_since(xid: int) -> sql.Composable:
    """Row versions whose transaction is not older than `xid`. xmin has 32 bits, so the comparison is on a circle. No
    transaction id gets half way round it during a verification, so no row that was written since is left out."""
    return load_sql("verify", "written_since.sql").format(xid=sql.Literal(xid % 2**32))


def count_blocks(conn: Connection, table: TableName, where: sql.Composable) -> int:
    query = sql.SQL("SELECT count(*) FROM {} s WHERE {}").format(table.sql, where)
    (count,) = fetch_values(conn, query)
    return int(count)
