"""The numbers of a continuous verification, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from swap.core.errors import UsageError
from verify.report import Report

LOOPBACK = "127.0.0.1"


class Metrics:
    """The metrics of one source, each with the label `table`. They have a registry of their own, without the metrics of the
    process."""

    def __init__(self, table: str) -> None:
        self.registry = CollectorRegistry()
        self._clean_at: float | None = None

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["table"], registry=self.registry).labels(table)

        self._rows = gauge("swap_verify_rows", "Rows compared by the last full pass, references included.")
        self.differences = gauge("swap_verify_differences", "Rows known to differ, and failed checks of the last full pass.")
        self.pending = gauge(
            "swap_verify_pending_keys", "Keys that could not be compared because their change was not replayed yet."
        )
        self.lag = gauge("swap_replay_pending_changes", "Captured changes that wait for replay, counted up to a million.")
        gauge("swap_verify_clean_pass_age_seconds", "Since the last full pass that found both sides identical.").set_function(
            self._age_s
        )
        self.keys = Counter(
            "swap_verify_changed_keys", "Changed keys compared between full passes.", ["table"], registry=self.registry
        ).labels(table)
        self._passes = Counter("swap_verify_passes", "Full passes by verdict.", ["table", "verdict"], registry=self.registry)
        self._table = table

    def passed(self, report: Report) -> None:
        """Note a full pass that has ended."""
        self._rows.set(sum(t.rows for t in report.tables))
        self._passes.labels(self._table, report.verdict).inc()
        if report.verdict == "identical":
            self.clean(0.0)

    def clean(self, age_s: float) -> None:
        """Note that the last clean pass ended `age_s` seconds ago."""
        self._clean_at = time.monotonic() - age_s

    def never_clean(self) -> None:
        """Note that no pass of this direction was clean."""
        self._clean_at = None

    def _age_s(self) -> float:
        return float("inf") if self._clean_at is None else time.monotonic() - self._clean_at

    @contextmanager
    def served(self, port: int, address: str = LOOPBACK) -> Iterator[int]:
        """Answer on `port` (0: on any free port) of `address` while the block runs. Yields the port. Raises UsageError.

        Whoever reaches the port reads the name of the table and its numbers, without a password. So by default only this
        machine does; the library's own default is every interface."""
        try:
            server, thread = start_http_server(port, addr=address, registry=self.registry)
        except OSError as e:
            raise UsageError(
                f"Cannot serve metrics on port {port} of {address}: {e.strerror}.",
                hint="Name a free --metrics-port, and with --metrics-bind an address of this machine.",
            ) from None
        try:
            yield int(server.server_port)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
