"""`swap sync`: whatever the run's phase needs next, until it has caught up (once) or is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from swap.core.connection import Connection
from swap.core.errors import PhaseError
from swap.plan.direction import Direction
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.journal import Phase
from swap.state.locks import Locks
from swap.state.migration import Migration
from swap.state.missing import refuse_missing
from swap.sync.autoscale import Autoscaler
from swap.sync.backlog_trend import BacklogTrend
from swap.sync.build import Builder
from swap.sync.change_queue import ChangeQueue, current_snapshot
from swap.sync.control import Control, Interrupted
from swap.sync.exact_reads import release_reads
from swap.sync.follow_up import SETTLED, finish_exchange
from swap.sync.live_settings import LiveSettings
from swap.sync.logical.barrier import StreamBarrier, streaming
from swap.sync.partitions import follow_partitions
from swap.sync.replay import BATCH, Replayed, replay, replay_all
from swap.sync.required_columns import release_keys
from swap.sync.rotate import rotate
from swap.sync.take_over import take_over
from swap.sync.throttle.limits import Throttles

IDLE_S = 0.1
HOUSEKEEPING_S = 1.0
RELEASE_S = 10.0  # readers queue behind each try


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

    def __init__(self, migration: Migration, *, jobs: int, once: bool, on_caught_up: Callable[[], None] = lambda: None) -> None:
        """`on_caught_up` is called once, on the thread that replays: it returns at once."""
        self.migration, self.once = migration, once
        self.on_caught_up, self.caught_up = on_caught_up, False
        self.replayed = 0
        self.barrier: StreamBarrier | None = None
        self.trend = BacklogTrend()
        live = LiveSettings(migration, jobs)
        self.throttles = Throttles(migration.database, live.pair)
        self.autoscaler = Autoscaler(migration, lambda: live.sync)
        self.control = Control(migration, live, self.throttles, self.autoscaler)

    def run(self) -> SyncResult:
        """Raises what its parts raise; whatever ends it, the work in hand is committed or rolled back as a whole."""
        try:
            return self._run()
        finally:
            self.throttles.close()
            self.autoscaler.close()

    def _run(self) -> SyncResult:
        locks = self.migration.locks
        if not locks.try_worker():
            if not locks.handover_wanted():
                raise locks.at_work()
            if not self._wait_for_handover():
                return self._result("stopped")
        while True:
            try:
                with self._capturing():
                    return self._work()
            except Interrupted as e:
                reason = e.reason
            finally:
                # After any end: where the caller's process lives on, everyone would wait for a stream that is not read.
                locks.release_worker()
            if reason != "handover" or not self._wait_for_handover():
                return self._result("stopped")

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        """Logical mode: read the stream for as long as this holds the worker, paused or not, so that no WAL is kept longer."""
        run = self.migration.reload()
        if run.phase in (Phase.PREPARING, Phase.FINALIZED, Phase.ABORTED):
            yield
            return
        with streaming(self.migration.database, run.plan, run.id) as barrier:
            self.barrier = barrier
            if barrier is not None:
                self.control.alive, barrier.ask = barrier.stream.raise_error, partial(self._ask, barrier.conn)
            try:
                yield
            finally:
                self.barrier, self.control.alive = None, lambda: None

    def _ask(self, conn: Connection) -> None:
        """Where this session is in a transaction, whose snapshot shows no request of after it. Raises Interrupted."""
        locks = Locks(conn, self.migration.plan.state_schema, self.migration.plan.tag)
        if self.migration.stop.is_set() or locks.handover_wanted():
            raise Interrupted("stop" if self.migration.stop.is_set() else "handover")

    def _wait_for_handover(self) -> bool:
        """Another command has taken over: wait until it is done, then go on in whichever direction holds then.

        False when told to stop meanwhile."""
        m, locks = self.migration, self.migration.locks
        m.report.waiting("another command has taken over")
        while locks.handover_wanted() or not locks.try_worker():
            if m.stop.wait(0.05):
                return False
        m.report.waiting("")
        m.reload()
        self.control.poll(force=True)
        return True

    def _work(self) -> SyncResult:
        m = self.migration
        phase = m.reload().phase
        if phase in (Phase.FINALIZED, Phase.ABORTED):
            return self._result("finished")
        if phase is Phase.PREPARING:
            raise PhaseError("`prepare` has not finished.", hint="Run `swap prepare` again; it resumes.")
        self.throttles.building = phase in (Phase.PREPARED, Phase.BACKFILLING)
        try:
            self.control.gate()
            if phase is Phase.PREPARED:
                m.journal.move(m.run, Phase.BACKFILLING)
                phase = m.reload().phase
            if phase is Phase.BACKFILLING:
                self._build()
                m.reload()
        finally:
            self.throttles.building = False
        take_over(m)
        follow_partitions(m, returned=True)
        release_keys(m)
        finish_exchange(m, wait=False)
        if left := release_reads(m):
            m.report.note(f"reads of older snapshots are told to retry for now: {left}")
        return self._follow()

    def _build(self) -> None:
        m = self.migration
        Builder(m, self.control, self._drain, self._deliver).run()
        while follow_partitions(m, returned=True):  # until here: the structure is recorded anew, and forgets which were away
            Builder(m, self.control, self._drain, self._deliver).run()
        with m.conn.transaction():
            refuse_drift(foreign_drift(m), "`prepare`", m.direction)
            store_baseline(m)
            m.journal.mark_step(m.run.id, SETTLED)
            m.journal.update_run(m.run.id, complete_xid=str(current_snapshot(m.conn).xmax))
            m.journal.move(m.run, Phase.SYNCING)
            m.journal.event(m.run.id, "syncing", "the shadow is complete and indexed")

    def _replay(self) -> Replayed:
        result = replay(self.migration, BATCH, self.barrier)
        self.replayed += result.entries
        return result

    def _drain(self) -> None:
        """Replay until one snapshot holds nothing more: the shadow equals the source in it."""
        taken = 0
        while True:
            self.control.gate()
            result = self._replay()
            taken += result.entries
            self._watch_backlog(complete=result.complete)
            if result.complete:
                self._wait_delivered()
                return
            self.migration.report.progress("replay", taken, None, "changes")

    def _follow(self) -> SyncResult:
        m, kept_house, released = self.migration, 0.0, time.monotonic()
        while True:
            self.control.gate()
            result = self._replay()
            self._watch_backlog(complete=result.complete)
            if result.complete and not self.caught_up:
                self._wait_delivered()
                self.caught_up = True
                self.on_caught_up()
            if result.complete and self.once:
                return self._result("caught_up")
            m.report.progress("replay", self.replayed, None, "changes")
            if result.complete:
                if time.monotonic() - kept_house > HOUSEKEEPING_S:
                    kept_house = time.monotonic()
                    follow_partitions(m)
                    refuse_missing(m.journal, m.run)  # without a write nothing else would notice
                    rotate(m)
                    m.reload()
                    if time.monotonic() - released > RELEASE_S:
                        release_reads(m)
                        released = time.monotonic()
                m.stop.wait(IDLE_S)

    def _watch_backlog(self, *, complete: bool) -> None:
        m = self.migration
        said = self.trend.observe(self.replayed, complete, ChangeQueue.of(m).count_due)
        if said:
            m.report.note(said[1])
            m.journal.event(m.run.id, *said)

    def _wait_delivered(self) -> None:
        """Logical mode: an empty queue says only that nothing was delivered. Pass a barrier and replay what came.

        Replay a long backlog in batches as it is delivered. Then little is left for the last snapshot, whose queue is taken
        whole.
        """
        if self.barrier is not None:
            for more in self.barrier.delivering():
                self.control.gate()
                while more and not self._replay().complete:
                    self.control.gate()
                self.migration.report.progress("replay", self.replayed, None, "changes")
            self.replayed += replay_all(self.migration, self.barrier).entries

    def _deliver(self) -> None:
        """The queue holds everything that has committed."""
        if self.barrier is not None:
            for _ in self.barrier.delivering():
                self.control.gate()

    def _result(self, reason: str) -> SyncResult:
        run = self.migration.reload()
        pending = 0
        if run.phase not in (Phase.FINALIZED, Phase.ABORTED):
            pending = ChangeQueue.of(self.migration).count_due()
        return SyncResult(reason=reason, phase=run.phase, direction=run.direction, replayed=self.replayed, pending=pending)
