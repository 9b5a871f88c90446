"""Performs what `swap.ddl.phases` lists between `prepare` and the cutover: copies, fills, indexes, constraints, statistics.

Every task can be repeated. What is done is in the journal, in the catalog, or costs nothing a second time; so a command
that was killed goes on at the first task that is not done.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from psycopg import sql

from swap.core.application_settings import explained, session_of_application
from swap.core.blockers import reporting_waits
from swap.core.connection import may_set
from swap.core.statement import Step
from swap.ddl.phases import backfill_tasks, build_tasks, reference_tasks
from swap.ddl.tasks import (
    BuildIndexes,
    CopyRows,
    Drain,
    DropQueued,
    FillCompat,
    FillIdentity,
    FillReference,
    Maintain,
    Task,
)
from swap.ddl.waiting import forget_all_waiting
from swap.plan.backfill_triggers import SUPPRESS
from swap.plan.direction import forward
from swap.plan.model import IndexPlan, SwappedTable
from swap.prepare.drift import foreign_drift, refuse_drift
from swap.prepare.run import run_step
from swap.state.journal import Journal
from swap.state.migration import Migration
from swap.sync.backfill import RESUMES, Backfill, BackfillTask
from swap.sync.backfill_tasks import blocks_task, compat_task, identity_task, reference_task, rows_task
from swap.sync.control import Control
from swap.sync.indexes import ensure_index
from swap.sync.partitions import follow_partitions
from swap.sync.range_bounds import block_bound, file_number, key_bound
from swap.sync.source_partitions import refuse_other_partitions
from swap.sync.worker_sessions import WorkerSessions


class Builder:
    """From empty shadows to ones that equal their tables, indexed. `drain` replays until nothing is due. `deliver` returns when
    the queue holds what has committed before."""

    def __init__(self, migration: Migration, control: Control, drain: Callable[[], None], deliver: Callable[[], None]) -> None:
        self.migration, self.control, self.drain, self.deliver = migration, control, drain, deliver
        # Where the role may not keep the application's triggers quiet, `doctor` has refused what would fire (H14).
        self.quiet = SUPPRESS if may_set(migration.conn, "session_replication_role") else "SELECT"
        self.sessions = WorkerSessions(migration.database)
        self.done: set[str] = set()

    def run(self) -> None:
        """Every task in order. Raises what a task raises; `Interrupted` between two of them. While it holds `worker`, no other
        session does a step."""
        self.done = self.migration.journal.steps_done(self.migration.run.id)
        try:
            while not self._performed():
                pass
        finally:
            self.sessions.close()

    def _performed(self) -> bool:
        """False: partitions came or went, so the rest of the tasks is another one. What is done is done."""
        plan = self.migration.plan
        for task in (*backfill_tasks(plan), *build_tasks(plan), *reference_tasks(plan)):
            refuse_other_partitions(self.migration)
            if isinstance(task, FillReference | BuildIndexes | Step) and follow_partitions(self.migration, returned=True):
                return False
            self._perform(task)
        return True

    def _perform(self, task: Task) -> None:
        plan = self.migration.plan
        self.control.gate()
        match task:
            case Step():
                self._step(task)
            case CopyRows():
                self._copy(task)
            case FillIdentity():
                self._fill(identity_task(plan, self.quiet))
            case FillReference(reference=ref):
                if ref.parts:  # a partition that went can take no index, and one that came has rows without a uuid
                    refuse_drift(foreign_drift(self.migration), "`prepare`", self.migration.direction)
                self._fill(reference_task(plan, ref, task.heap, self.quiet))
            case FillCompat():
                self._fill(compat_task(plan, task.reference, task.heap, self.quiet))
            case DropQueued():
                if not self._done(task.until):
                    self._drop_queued(task)
            case BuildIndexes():
                if not self._done(task.name) and not self._done(task.until):
                    self._indexes(task)
            case Drain():
                if not self._done(task.until):
                    self.drain()
            case Maintain():
                if not self._done(task.name) and not self._done(task.until):
                    self._maintain(task)

    def _done(self, name: str | None) -> bool:
        return name is not None and name in self.done

    def _mark(self, name: str | None) -> None:
        if name is not None:
            self.migration.journal.mark_step(self.migration.run.id, name)
            self.done.add(name)

    def _step(self, step: Step) -> None:
        m = self.migration
        if not self._done(step.name):
            with nullcontext() if step.tables else reporting_waits(m.database, m.conn, step.name, m.report):
                run_step(m, step)
            self.done.add(step.name)

    def _copy(self, task: CopyRows) -> None:
        """Up to the largest key or the last heap block at the beginning: later rows are in the queue, so the copy ends (H12)."""
        if self._done(task.name):
            return
        t = self.migration.plan.swapped[task.number]
        if task.by_blocks:
            while self._fill(self._blocks(t)).moved:
                self._begin_again(t)
        else:
            self._fill(rows_task(self.migration.plan, t, self._last_key(t)))
        self._mark(task.name)

    def _last_key(self, t: SwappedTable) -> int:
        m = self.migration
        chunks, part = m.journal.chunks, t.part
        known = m.run.bound if t.is_source else chunks.bound(m.run.id, part)
        if known is not None:
            return known
        bound = key_bound(forward(m.plan, t).origin_rows, t.key[0])(m.conn)
        last = bound[1] if bound else -(2**63)
        if t.is_source:
            m.journal.update_run(m.run.id, bound=last)
            m.reload()
        else:
            chunks.set_bound(m.run.id, part, last)
        return last

    def _blocks(self, t: SwappedTable) -> BackfillTask:
        """The file comes first: if the rows move before the blocks are counted, the first range finds another file."""
        m = self.migration
        chunks, part = m.journal.chunks, t.part
        file, last = chunks.bound(m.run.id, f"{part} file"), chunks.bound(m.run.id, part)
        if file is None or last is None:
            file, bound = file_number(m.conn, t.name), block_bound(t.name)(m.conn)
            last = bound[1] if bound else -1
            with m.conn.transaction():
                self._forget(t)
                chunks.set_bound(m.run.id, f"{part} file", file)
                chunks.set_bound(m.run.id, part, last)
        return blocks_task(m.plan, t, last, file)

    def _begin_again(self, t: SwappedTable) -> None:
        """The rows have moved between ranges: some may have been passed by."""
        m = self.migration
        with m.conn.transaction():
            m.conn.execute(sql.SQL("TRUNCATE {}").format(t.shadow.sql))
            m.conn.execute(forget_all_waiting(m.plan, forward(m.plan, t)))
            self._forget(t)
            m.journal.event(m.run.id, "backfill", f"{t.name} was rewritten meanwhile: its copy begins again")
        m.report.note(f"{t.name} was rewritten (CLUSTER, VACUUM FULL, pg_repack, TRUNCATE): its copy begins again")

    def _forget(self, t: SwappedTable) -> None:
        for part in (t.part, f"{t.part} file"):
            self.migration.journal.chunks.forget(self.migration.run.id, part)

    def _drop_queued(self, task: DropQueued) -> None:
        """Before the first replay: afterwards the shadow has rows whose entries are consumed."""
        self.deliver()
        for statement in task.statements:
            self.migration.conn.execute(statement.sql)

    def _fill(self, task: BackfillTask) -> Backfill:
        backfill = Backfill(self.migration, task, self.control, self.sessions)
        backfill.run()
        return backfill

    def _indexes(self, task: BuildIndexes) -> None:
        m = self.migration
        if task.parallel:
            self._in_parallel(task)
        else:
            for index in task.indexes:
                how = "CREATE INDEX CONCURRENTLY" if task.concurrently else "CREATE INDEX"
                if task.name:
                    m.report.note(f"{how} {index.build_name}")
                with reporting_waits(m.database, m.conn, f"{how} {index.build_name}", m.report):
                    ensure_index(m.conn, index, m.plan.settings, concurrently=task.concurrently)
        for statement in task.attributes:
            m.conn.execute(statement.sql)
        self._mark(task.name)

    def _in_parallel(self, task: BuildIndexes) -> None:
        """By `jobs` sessions; SHARE on the shadow only, which no other session uses."""
        m = self.migration
        missing = [i for i in task.indexes if not self._done(f"index {i.build_name}")]
        total, done = len(task.indexes), len(task.indexes) - len(missing)
        m.report.progress("indexes", done, total, "indexes")

        def one(index: IndexPlan) -> None:
            nonlocal done
            self.control.check()
            with self.sessions.session(f"index {index.build_name}") as own:
                with reporting_waits(m.database, own, f"CREATE INDEX {index.build_name}", m.report):
                    ensure_index(own, index, m.plan.settings, concurrently=False)
                Journal(own, m.journal.schema).mark_step(m.run.id, f"index {index.build_name}")
            self.done.add(f"index {index.build_name}")
            done += 1
            m.report.progress("indexes", done, total, "indexes")

        with ThreadPoolExecutor(self.control.jobs, thread_name_prefix="index") as pool:
            for future in [pool.submit(one, i) for i in missing]:
                future.result()

    def _maintain(self, task: Maintain) -> None:
        m = self.migration
        for statement in task.statements:
            doing = f"{statement.text.split()[0]} {statement.table}"
            with (
                reporting_waits(m.database, m.conn, doing, m.report),
                explained(f"{doing} failed", RESUMES),
                session_of_application(m.conn, m.plan.settings),
            ):
                m.conn.execute(statement.sql)
        self._mark(task.name)
