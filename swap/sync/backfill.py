"""Backfill: ranges in key order, each an INSERT … SELECT inside the server that commits with its journal row.

The shadow has no index while it is filled, and no row of the source is locked. The next call does again a range that was
claimed and not finished (killed, crashed). Ranges are disjoint, so no row is copied twice.
A row that changes, comes or goes meanwhile is in the queue: capture was live before the first range was cut.

A table without an integer key is copied by heap blocks. A row that moves between two ranges is copied twice or not at all; it is in
the queue too (swap.ddl.backfill.drop_queued). CLUSTER, VACUUM FULL and pg_repack move rows of which no queue knows. They write
another file, so each range looks at the file's number under the lock that it holds (`BackfillTask.unmoved`). So does a task that fills
a column by blocks (`BackfillTask.heap`): with another file it begins again, and the file's number is in the name of its ranges in the
journal.

Tasks that fill a column of an application's table do lock its rows. So a range passes by a row that another session holds,
commits, and is tried again after a pause, when all others are done: it never waits for a row while it holds some (H62). If it
waited, the application's transactions would queue for its rows; and of two that wait for each other, the server ends the one
that notices first, which may be the application's (I1): after deadlock_timeout, a second.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.core.application_settings import execute_as_application, explained
from swap.core.connection import Connection
from swap.core.errors import UnreachableError
from swap.core.lock_retries import RETRIED, local_timeout
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.state.chunks import OF_FILE, Chunk
from swap.state.migration import Migration
from swap.sync.control import Control, Interrupted
from swap.sync.range_bounds import file_number
from swap.sync.worker_sessions import WorkerSessions

PAUSE_S, MAX_PAUSE_S = 0.1, 2.0
MOST_WORKERS = 64  # as [sync] jobs allows
CROWDED_S = 10.0
RESUMES = "What was committed before stays; `swap sync` goes on from there."


@dataclass(frozen=True)
class BackfillTask:
    """A table to work through in ranges. `unit`: what a range counts, keys or heap blocks. `name`: of its journal rows.

    `bound(conn)`: (first, last) of the whole task or None when empty; `cut(conn, low, size)`: the last of the
    range that begins at `low`; `statement(low, high)`: the SQL of a range; `first(low, high)`: what runs before it; `left(low, high)`:
    whether it has passed rows by.
    `unmoved(conn)`: whether the rows are still where they were when the task began. `heap`: of a task that begins again by itself where
    they are not.
    """

    name: str
    unit: str
    bound: Callable[[Connection], tuple[int, int] | None]
    cut: Callable[[Connection, int, int, int], int]
    statement: Callable[[sql.Composable, sql.Composable], Query]
    first_size: int
    setup: str = "SELECT"
    total_rows: int | None = None
    first: Callable[[sql.Composable, sql.Composable], Query] | None = None
    left: Callable[[sql.Composable, sql.Composable], Query] | None = None
    unmoved: Callable[[Connection], bool] | None = None
    heap: TableName | None = None


class Backfill:
    """Works one task through with as many workers as `control` allows at the moment, in `sessions`. Claims are serialised here;
    ranges run in parallel."""

    def __init__(self, migration: Migration, task: BackfillTask, control: Control, sessions: WorkerSessions) -> None:
        self.migration, self.task, self.control, self.sessions = migration, task, control, sessions
        self.wait_ms = migration.config.cutover.lock_timeout_ms
        self.held_up = ""
        self.moved = False  # another session moved the rows: nothing that was copied can be relied on
        self.size = task.first_size
        self.lock = threading.Lock()
        self.rows = 0
        self.covered = 0  # keys or blocks of the ranges that are done
        self.last: int | None = None
        self.next_low: int | None = None
        self.number = 0
        self.todo: list[Chunk] = []
        self.again: list[Chunk] = []  # ranges of which other sessions held rows
        self.tried: dict[int, int] = {}  # how often, by the range's number
        self.written: dict[int, int] = {}  # rows that such a range has written so far
        self.part = task.name  # of the journal's rows
        self.file: int | None = None
        self.workers = 0
        self.exhausted = False  # a worker found nothing left to claim, or was told to stop: no other one begins
        self.crowded = 0.0  # until then no other worker begins: the server had no session for one

    def run(self) -> int:
        """Returns rows written in this call and before it. It ends early when the rows have `moved`, unless it can begin again by
        itself. Raises Interrupted between ranges."""
        while True:
            self.moved = False
            if self.task.heap is not None:
                self.file = file_number(self.migration.conn, self.task.heap)
                self.part = f"{self.task.name}{OF_FILE}{self.file}"
            if not self._plan():
                return self.rows
            self._say()
            self.workers, self.exhausted = 0, False
            with ThreadPoolExecutor(MOST_WORKERS, thread_name_prefix="backfill") as pool:
                self._supervise(pool)
            self.control.check()
            if not self.moved and self.task.total_rows is not None:
                self.migration.report.progress(
                    self.task.name, self.rows, self.rows
                )  # the total was an estimate: the bar ends full
            if not self.moved or self.task.heap is None:
                return self.rows
            self.migration.report.note(
                f"{self.task.name}: the table was rewritten meanwhile, so the column is filled from the start"
            )

    def _supervise(self, pool: ThreadPoolExecutor) -> None:
        pending: set[Future[None]] = set()
        error: BaseException | None = None
        while True:
            if error is None:
                pending |= self._begun(pool)
            if not pending:
                break
            done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
            for f in done:
                if f.exception() is not None and error is None:
                    error = f.exception()
                    self.control.fail()
            if error is None:
                self.control.poll()
                self.migration.report.waiting(self.control.hold if self.control.hold not in ("", "handover") else self.held_up)
        if error is not None:
            raise error

    def _begun(self, pool: ThreadPoolExecutor) -> set[Future[None]]:
        """Workers that there is room for now."""
        begun = set[Future[None]]()
        while True:
            with self.lock:
                if self.exhausted or self.workers >= self.control.jobs or (self.workers and time.monotonic() < self.crowded):
                    return begun
                self.workers += 1
            begun.add(pool.submit(self._worker))

    def _plan(self) -> bool:
        """Read what earlier calls did; False when the task is complete or empty."""
        claimed = self.migration.journal.chunks.of(self.migration.run.id, self.part)
        bound = self.task.bound(self.migration.conn)
        self.rows = sum(c.rows or 0 for c in claimed)
        self.covered = sum(c.width for c in claimed if c.done)
        self.todo = [c for c in claimed if not c.done]
        self.number = max((c.number for c in claimed), default=0)
        if bound is None:
            return bool(self.todo)
        low, self.last = bound
        self.next_low = max((c.high for c in claimed), default=low - 1) + 1
        return bool(self.todo) or self.next_low <= self.last

    def _claim(self, migration: Migration) -> Chunk | None:
        """The next range; None: this worker ends. It is counted out under the same lock: else the last two could each leave a range to
        the other."""
        with self.lock:
            claim = None if self.workers > self.control.jobs else self._next(migration)
            if claim is None:
                self.exhausted = self.exhausted or self.workers <= self.control.jobs
                self.workers -= 1
            return claim

    def _next(self, migration: Migration) -> Chunk | None:
        if self.moved:
            return None
        if self.todo:
            return self.todo.pop()
        if self.last is None or self.next_low is None or self.next_low > self.last:
            return self.again.pop(0) if self.again else None
        low = self.next_low
        high = self.task.cut(migration.conn, low, self.size, self.last)
        self.number += 1
        claim = Chunk(self.number, low, high)
        migration.journal.chunks.claim(migration.run.id, self.part, claim)
        self.next_low = high + 1
        return claim

    def _worker(self) -> None:
        with ExitStack() as stack:
            try:
                conn = stack.enter_context(self.sessions.session(self.task.name))
            except UnreachableError as e:
                with self.lock:
                    if self.workers == 1:
                        raise
                    self.workers -= 1
                    self.crowded = time.monotonic() + CROWDED_S
                self.migration.report.note(f"no session for one more worker, {self.workers} go on: {e.message}")
                return
            conn.execute("SET synchronous_commit = off")  # data and its journal row are lost or kept together
            migration = self.migration.on(conn)
            while True:
                while self.control.hold and self.control.hold != "handover" and not self.migration.stop.is_set():
                    self.migration.stop.wait(0.1)
                try:
                    self.control.check()
                except Interrupted:
                    self.exhausted = True
                    return
                claim = self._claim(migration)
                if claim is None:
                    return
                self._pause(claim)
                try:
                    held = self._range(migration, claim)
                except RETRIED:  # of what the application's own triggers ask for
                    held = True
                self._done(claim, held=held)

    def _pause(self, claim: Chunk) -> None:
        """Before a range is tried again."""
        if tried := self.tried.get(claim.number, 0):
            self.held_up = f"{self.task.name}: others hold rows of a range"
            self.migration.stop.wait(min(MAX_PAUSE_S, PAUSE_S * 2**tried) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _done(self, claim: Chunk, *, held: bool) -> None:
        with self.lock:
            if held:
                self.tried[claim.number] = self.tried.get(claim.number, 0) + 1
                self.again.append(claim)
            else:
                self.held_up = ""

    def _range(self, migration: Migration, claim: Chunk) -> bool:
        """Returns whether other sessions hold rows of it: then what was written is committed, and the range is not done."""
        conn, held = migration.conn, False
        began = time.monotonic()
        with conn.transaction():
            conn.execute(sql.SQL("; ").join([local_timeout("lock_timeout", self.wait_ms), verbatim(self.task.setup)]))
            low, high = sql.Literal(claim.low), sql.Literal(claim.high)
            if self.task.first is not None:
                conn.execute(self.task.first(low, high))
            doing = f"{self.task.name}, {self.task.unit} {claim.low} to {claim.high}, could not be written"
            with explained(doing, RESUMES):
                count = execute_as_application(conn, self.task.statement(low, high), migration.plan.settings)
            if self._has_moved(conn):
                self.moved = True
                raise psycopg.Rollback
            held = self._passed_by(conn, low, high)
            count += self.written.get(claim.number, 0)
            conn.execute(local_timeout("lock_timeout", 0))  # a killed worker's session may still hold the journal's row
            if not held and not migration.journal.chunks.finish(migration.run.id, self.part, claim.number, count):
                raise psycopg.Rollback
        if self.moved:
            return False
        elapsed_ms = (time.monotonic() - began) * 1000
        if held:
            self.written[claim.number] = count
            return True
        with self.lock:
            self.rows += count
            self.size = next_size(self.size, elapsed_ms, self.control.live.sync.chunk_target_ms, self.task.first_size)
            self.covered += claim.width
        self._say()
        return False

    def _passed_by(self, conn: Connection, low: sql.Composable, high: sql.Composable) -> bool:
        row = conn.execute(self.task.left(low, high)).fetchone() if self.task.left else None
        return bool(row and row[0])

    def _has_moved(self, conn: Connection) -> bool:
        if self.task.heap is not None:
            return file_number(conn, self.task.heap) != self.file
        return self.task.unmoved is not None and not self.task.unmoved(conn)

    def _say(self) -> None:
        """Rows of about all rows. A task that writes only some of the rows that it passes reports how far through the heap it is."""
        if self.task.total_rows is None:
            total = None if self.last is None else self.last + 1
            self.migration.report.progress(self.task.name, self.covered, total, f"blocks, {self.rows:,} rows filled")
        else:
            self.migration.report.progress(self.task.name, self.rows, self.task.total_rows)


def next_size(size: int, elapsed_ms: float, target_ms: int, first: int) -> int:
    """Ranges are sized by time: at most doubled per range, never under a tenth of the first."""
    factor = target_ms / max(elapsed_ms, 1.0)
    return max(first // 10, int(size * min(2.0, max(0.25, factor))), 1)
