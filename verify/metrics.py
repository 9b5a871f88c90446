"""The numbers of a continuous verification, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from swap.state.metrics import CHANGED_KEYS, DIFFERENCES, PASSES, PENDING_KEYS, ROWS, VERIFICATION
from verify.report import Report


class Metrics:
    """Those of one source. The registry is one of its own, without the metrics of the process."""

    def __init__(self, table: str) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str) -> Gauge:
            return Gauge(name, VERIFICATION[name], ["table"], registry=self.registry).labels(table)

        def counter(name: str, *labels: str) -> Counter:
            return Counter(name.removesuffix("_total"), VERIFICATION[name], ["table", *labels], registry=self.registry)

        self._rows, self.differences, self.pending = gauge(ROWS), gauge(DIFFERENCES), gauge(PENDING_KEYS)
        self.keys = counter(CHANGED_KEYS).labels(table)
        self._passes = counter(PASSES, "verdict")
        self._table = table

    def passed(self, report: Report) -> None:
        """Note a full pass that has ended."""
        self._rows.set(sum(t.rows for t in report.tables))
        self._passes.labels(self._table, report.verdict).inc()
