"""`swap sync`: whatever the run's phase needs next, until it has caught up (once) or is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from swap.core.advisory_locks import at_work, handover_wanted, release_worker, try_worker
from swap.core.config import Config
from swap.core.connection import Connection, Database
from swap.core.errors import PhaseError
from swap.core.report import Reporter
from swap.core.snapshot import Snapshot
from swap.plan.direction import Direction, TableMapping, table_mapping
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.journal import Journal, Phase, Run
from swap.state.migration import Migration
from swap.state.missing import refuse_gone
from swap.sync.backlog_trend import Pace
from swap.sync.build import Builder
from swap.sync.change_queue import count_due, current_snapshot, read_watermark
from swap.sync.control import Control, Interrupted
from swap.sync.follow_up import SETTLED, settle
from swap.sync.logical.barrier import OwnFence, streaming
from swap.sync.replay import BATCH, replay, replay_all
from swap.sync.rotate import rotate
from swap.sync.throttle import replica_lag

IDLE_S = 0.1
HOUSEKEEPING_S = 1.0


@dataclass(frozen=True)
class SyncResult:
    """`reason`: caught_up | stopped | finished; `pending`: entries still queued when it ended."""

    reason: str
    phase: Phase
    direction: Direction
    replayed: int
    pending: int


class Sync:
    """One `swap sync`. `run()` returns when caught up (`once`), told to stop, or when the run has ended."""

    def __init__(
        self, database: Database, config: Config, journal: Journal, run: Run, report: Reporter, stop: threading.Event,
        *, jobs: int, once: bool,
    ) -> None:  # fmt: skip
        self.database, self.config, self.journal, self.report, self.stop = database, config, journal, report, stop
        self.jobs, self.once = jobs, once
        self.conn: Connection = journal.conn
        self.current = run
        self.replayed = 0
        self.fence: OwnFence | None = None
        self.pace = Pace()
        limit = config.sync.max_replica_lag_bytes
        self.control = Control(self.conn, journal, run.id, run.plan.tag, report, stop, lag=lambda: replica_lag(self.conn, limit))

    def run(self) -> SyncResult:
        tag = self.current.plan.tag
        if not try_worker(self.conn, tag):
            if not handover_wanted(self.conn, tag):
                raise at_work(self.conn, tag)
            if not self._wait_for_handover(tag):
                return self._result("stopped")
        while True:
            try:
                with self._capturing():
                    return self._work()
            except Interrupted as e:
                reason = e.reason
            finally:
                # Whatever ended it: a caller whose process lives on would keep everyone waiting for a stream that nobody reads.
                release_worker(self.conn, tag)
            if reason != "handover" or not self._wait_for_handover(tag):
                return self._result("stopped")

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        """Logical mode: the stream is read for as long as this holds the worker, paused or not: no WAL is kept longer."""
        run = self.journal.get(self.current.id)
        if run.phase in (Phase.PREPARING, Phase.FINALIZED, Phase.ABORTED):
            yield
            return
        with streaming(self.database, run.plan, run.id) as fence:
            self.fence = fence
            self.control.alive = fence.stream.raise_error if fence else lambda: None
            try:
                yield
            finally:
                self.fence, self.control.alive = None, lambda: None

    def _wait_for_handover(self, tag: int) -> bool:
        """Another command has taken over: wait until it is done, then go on in whichever direction holds then.

        False when told to stop meanwhile."""
        self.report.waiting("another command has taken over")
        while handover_wanted(self.conn, tag) or not try_worker(self.conn, tag):
            if self.stop.wait(0.05):
                return False
        self.report.waiting("")
        self.current = self.journal.get(self.current.id)
        self.control.poll(force=True)
        return True

    def _work(self) -> SyncResult:
        run = self.current = self.journal.get(self.current.id)
        if run.phase in (Phase.FINALIZED, Phase.ABORTED):
            return self._result("finished")
        if run.phase is Phase.PREPARING:
            raise PhaseError("`prepare` has not finished.", hint="Run `swap prepare` again; it resumes.")
        self.control.gate()
        if run.phase is Phase.PREPARED:
            self.journal.move(run, Phase.BACKFILLING)
            run = self.current = self.journal.get(run.id)
        if run.phase is Phase.BACKFILLING:
            self._build(run)
            run = self.current = self.journal.get(run.id)
        settle(self.database, self.journal, run, self.report, wait=False)
        return self._follow(run)

    def _build(self, run: Run) -> None:
        migration = Migration(self.database, self.conn, self.journal, run, self.config, self.report, self.stop)
        Builder(migration, self.jobs, self.control, lambda: self._drain(run)).run()
        with self.conn.transaction():
            refuse_drift(foreign_drift(self.conn, self.journal, run), "`prepare`")
            store_baseline(self.conn, self.journal, run)
            self.journal.mark_step(run.id, SETTLED)
            self.journal.update_run(run.id, complete_xid=str(current_snapshot(self.conn).xmax))
            self.journal.move(run, Phase.SYNCING)
            self.journal.event(run.id, "syncing", "the shadow is complete and indexed")

    def _drain(self, run: Run) -> None:
        """Replay until one snapshot holds nothing more: the shadow equals the source in it."""
        d = table_mapping(run.plan, run.direction)
        began, taken = time.monotonic(), 0
        while True:
            self.control.gate()
            result = replay(self.conn, run.plan, d, run.id, BATCH, self.fence)
            self.replayed += result.entries
            taken += result.entries
            self._keeping_up(run, complete=result.complete)
            if result.complete:
                self._close_up(run, d)
                return
            rate = taken / max(time.monotonic() - began, 0.001)
            self.report.progress("replay", taken, None, f"changes ({rate:,.0f}/s)")

    def _follow(self, run: Run) -> SyncResult:
        d = table_mapping(run.plan, run.direction)
        kept_house = 0.0
        while True:
            self.control.gate()
            result = replay(self.conn, run.plan, d, run.id, BATCH, self.fence)
            self.replayed += result.entries
            self._keeping_up(run, complete=result.complete)
            if result.complete and self.once:
                self._close_up(run, d)
                return self._result("caught_up")
            self.report.progress("replay", self.replayed, None, "changes")
            if result.complete:
                if time.monotonic() - kept_house > HOUSEKEEPING_S:
                    kept_house = time.monotonic()
                    refuse_gone(self.conn, self.journal, run)  # else nobody would notice before the next change
                    rotate(self.conn, self.journal, run, self._verified(run))
                    run = self.current = self.journal.get(run.id)
                self.stop.wait(IDLE_S)

    def _keeping_up(self, run: Run, *, complete: bool) -> None:
        said = self.pace.look(
            self.replayed, complete, lambda: count_due(self.conn, run.plan, read_watermark(self.conn, run.plan, run.id))
        )
        if said:
            self.report.note(said[1])
            self.journal.event(run.id, *said)

    def _close_up(self, run: Run, d: TableMapping) -> None:
        """Logical mode: an empty queue says only that nothing was delivered. Pass a barrier and replay what came.

        A long backlog in batches as it is delivered; the last snapshot, whose queue is taken whole, has little left then.
        """
        if self.fence is not None:
            for _ in self.fence.delivering():
                self.control.gate()
                while True:
                    result = replay(self.conn, run.plan, d, run.id, BATCH, self.fence)
                    self.replayed += result.entries
                    if result.complete:
                        break
                self.report.progress("replay", self.replayed, None, "changes")
            self.replayed += replay_all(self.conn, run.plan, d, run.id, self.fence).entries

    def _verified(self, run: Run) -> Snapshot | None:
        """Where the last clean verification stands, while a cutover may still rely on it."""
        if run.verified is None:
            return None
        age_s = self.journal.verifications.clean_age_s(run.id)
        limit = self.config.verify.max_age_s + self.config.hooks.timeout_s + 600  # a cutover may wait for its hook
        return Snapshot.parse(run.verified) if age_s is not None and age_s < limit else None

    def _result(self, reason: str) -> SyncResult:
        run = self.journal.get(self.current.id)
        pending = 0
        if run.phase not in (Phase.FINALIZED, Phase.ABORTED):
            pending = count_due(self.conn, run.plan, read_watermark(self.conn, run.plan, run.id))
        return SyncResult(reason, run.phase, run.direction, self.replayed, pending)
