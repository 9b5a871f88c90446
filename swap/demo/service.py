"""The example application as a service: `python -m swap.demo.service install|load`, for docker/compose.yaml.

`install` puts it into the database of SWAP_EXAMPLE_DSN, a superuser's. `load` runs it against that of SWAP_EXAMPLE_DSN, as the
role `app`, serves its metrics, and at SIGTERM checks the ledger as SWAP_EXAMPLE_CHECK_DSN, which sees every row: exit code 1 if an
acknowledged write is lost.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swap.demo.app import install
from swap.demo.load import Load, check
from swap.demo.shape import detect

DSN, CHECK_DSN = "SWAP_EXAMPLE_DSN", "SWAP_EXAMPLE_CHECK_DSN"
OWNER_PASSWORD, APP_PASSWORD = "SWAP_EXAMPLE_OWNER_PASSWORD", "SWAP_EXAMPLE_APP_PASSWORD"
USERS, RATE = "SWAP_EXAMPLE_USERS", "SWAP_EXAMPLE_RATE"
METRICS_PORT = 9188


@dataclass(frozen=True)
class LoadCollector(Collector):
    """The load's counts, read when Prometheus asks: so the longest transaction is that since it asked last."""

    load: Load
    dsn: str

    def collect(self) -> Iterator[Metric]:
        stats = self.load.stats()
        yield CounterMetricFamily("example_writes", "Write operations whose COMMIT was acknowledged.", value=stats.acknowledged)
        yield CounterMetricFamily(
            "example_errors", "Lost rows, and every other error that must not happen.", value=len(stats.errors)
        )
        retries = CounterMetricFamily("example_retries", "Attempts that were made again, by reason.", labels=["kind"])
        for kind in ("retried", "reshaped", "stale_reads", "reconnected"):
            retries.add_metric([kind], getattr(stats, kind))
        yield retries
        longest = "The longest transaction since the last scrape."
        yield GaugeMetricFamily("example_transaction_seconds_max", longest, value=self.load.take_longest_s())
        with psycopg.connect(self.dsn) as conn:
            is_uuid = detect(conn).key.is_uuid
        yield GaugeMetricFamily("example_key_is_uuid", "Whether users.id is the uuid: 1 from a cutover on.", value=is_uuid)


def run_install() -> int:
    """Install once: a service that starts again finds the tables there."""
    dsn = os.environ[DSN]
    with psycopg.connect(dsn) as conn:
        there = conn.execute("SELECT to_regclass('public.users') IS NOT NULL").fetchone() == (True,)
    if there:
        print("the example application is installed already")
        return 0
    install(
        dsn, "adopt", users=int(os.environ.get(USERS, "20000")), owner_password=os.environ.get(OWNER_PASSWORD),
        app_password=os.environ.get(APP_PASSWORD), replication=True,
    )  # fmt: skip
    print("the example application is installed")
    return 0


def run_load() -> int:
    """Until SIGTERM or SIGINT."""
    dsn, stop = os.environ[DSN], threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    load = Load(dsn, workers=3, rate=float(os.environ.get(RATE, "100")), steady=True)
    registry = CollectorRegistry()
    registry.register(LoadCollector(load, dsn))
    with load:
        server, thread = start_http_server(METRICS_PORT, registry=registry)
        print(f"the application writes; metrics on port {METRICS_PORT}", flush=True)
        stop.wait()
        stats = load.stop()
        server.shutdown()
        thread.join()
        report = check(os.environ[CHECK_DSN], load)
    print(f"{stats.acknowledged} writes acknowledged; {report}; errors: {stats.errors}", flush=True)
    return 0 if report.ok and not stats.errors else 1


if __name__ == "__main__":
    sys.exit({"install": run_install, "load": run_load}[sys.argv[1]]())
