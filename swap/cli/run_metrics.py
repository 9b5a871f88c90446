"""`--metrics-port` of `sync`, `cutover` and `verify --watch`: the journal's numbers of the run, read when Prometheus asks.

A session of its own reads them, and only swap's own tables: once the shadow is built no table of the application, whose lock an exchange
may hold. While an attempt at an exchange is on, the numbers before it are served again, and nothing is read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swap.cli import status_progress
from swap.cli.session import Session, active
from swap.core.connection import Connection
from swap.core.errors import SwapError
from swap.core.sql_text import session_timeout
from swap.state import metrics as names
from swap.state.journal import Journal, Phase, Run
from swap.state.missing import find_begun, missing_tables
from swap.sync.change_queue import ChangeQueue
from swap.sync.logical.lag import read_lag

PHASES = tuple(dict.fromkeys(p.public for p in Phase))
READ_MS = 5000  # a statement that takes longer is given up, and the numbers of before are served


class RunCollector(Collector):
    """Of the newest run of the session's source. Any thread may collect; one at a time reads."""

    def __init__(self, session: Session) -> None:
        self._s, self._table = session, str(session.config.source.name)
        self._lock, self._free = threading.Lock(), threading.Event()
        self._free.set()
        self._conn: Connection | None = None
        self._last: list[Metric] = []
        self._read_at: float | None = None

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if self._free.is_set():
                try:
                    self._last, self._read_at = self._read(), time.monotonic()
                except (psycopg.Error, SwapError):
                    self.close()
            age = float("inf") if self._read_at is None else time.monotonic() - self._read_at
            return [*self._last, self._gauge(names.READ_AGE, [((), age)])]

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Read nothing during the block: an attempt at an exchange."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def close(self) -> None:
        if self._conn is not None:
            with suppress(psycopg.Error):
                self._conn.close()
        self._conn = None

    def _read(self) -> list[Metric]:
        if self._conn is None:
            self._conn = self._s.database.connect("metrics")
            self._conn.execute(session_timeout("statement_timeout", READ_MS))
        journal = Journal(self._conn, self._s.journal.schema, self._s.config.source.name)
        run = journal.current(self._s.config.source.name) if journal.exists() else None
        if run is None:
            return []
        out = [
            self._gauge(names.PHASE, [((p,), float(p == run.phase.public)) for p in PHASES], "phase"),
            self._gauge(names.PAUSED, [((), float(run.paused))]),
            *self._verified(journal, run),
            *self._exchanges(journal, run),
        ]
        if active(run) and not find_begun(journal, run) and not missing_tables(journal, run):
            out += [*self._work(journal, run), *self._copied(journal, run)]
        return out

    def _work(self, journal: Journal, run: Run) -> Iterator[Metric]:
        worker = status_progress.worker(journal, run)
        runs = bool(worker and worker["running"])
        yield self._gauge(names.WORKER, [((), float(runs))])
        yield self._gauge(names.WAITING, [((), float(runs and status_progress.throttle(journal, run) is not None))])
        if not journal.step_done(run.id, "capture"):
            return
        yield self._gauge(names.PENDING, [((), float(ChangeQueue(journal.conn, run.plan, run.id).count_due()))])
        if position := journal.capture.position(run.id):
            yield self._counter(names.REPLAYED, [((), float(position.replayed))])
        if run.mode == "logical" and (lag := read_lag(journal.conn, run.plan, run.id)):
            yield self._gauge(names.SLOT_LAG, [((), float(lag.lag_bytes))])
            if lag.retained_bytes is not None:
                yield self._gauge(names.RETAINED, [((), float(lag.retained_bytes))])

    def _copied(self, journal: Journal, run: Run) -> Iterator[Metric]:
        found = status_progress.copied(journal, run)
        yield self._gauge(names.COPIED_ROWS, [((c.name,), float(c.rows)) for c in found], "relation")
        yield self._gauge(names.COPIED_RATIO, [((c.name,), c.share) for c in found], "relation")

    def _verified(self, journal: Journal, run: Run) -> Iterator[Metric]:
        clean = journal.verifications.clean_age_s(run.id, run.direction)
        yield self._gauge(names.CLEAN_AGE, [((), float("inf") if clean is None else clean)])
        if last := journal.verifications.last(run.id):
            yield self._gauge(names.IDENTICAL, [((), float(last.verdict == "identical"))])

    def _exchanges(self, journal: Journal, run: Run) -> Iterator[Metric]:
        made = journal.attempts.counts(run.id)
        values = [((k, o), float(made.get((k, o), 0))) for k in ("cutover", "revert") for o in ("committed", "rolled_back")]
        yield self._counter(names.ATTEMPTS, values, "kind", "outcome")
        last = journal.attempts.last(run.id)
        if last and last.locked_ms is not None:
            yield self._gauge(names.LOCKED, [((last.kind,), last.locked_ms / 1000)], "kind")

    def _gauge(self, name: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
        return self._filled(GaugeMetricFamily(name, names.METRICS[name], labels=["table", *labels]), values)

    def _counter(self, name: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
        family = CounterMetricFamily(name.removesuffix("_total"), names.METRICS[name], labels=["table", *labels])
        return self._filled(family, values)

    def _filled(self, family: GaugeMetricFamily | CounterMetricFamily, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
        for labels, value in values:
            family.add_metric([self._table, *labels], value)
        return family


@contextmanager
def serving(s: Session, port: int, address: str | None, registry: CollectorRegistry | None = None) -> Iterator[RunCollector]:
    """Serve the run's metrics, and those of `registry`, during the block. Raises UsageError."""
    registry = registry or CollectorRegistry()
    collector = RunCollector(s)
    registry.register(collector)
    try:
        with names.served(registry, port, address or names.LOOPBACK) as opened:
            s.report.note(f"metrics on port {opened}")
            yield collector
    finally:
        collector.close()
