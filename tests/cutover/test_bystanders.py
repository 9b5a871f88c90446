"""Readers at full speed while a cutover does not get its locks (H33, I2): what they wait, measured by pgbench.

A wait in milliseconds depends on what else the machine does. The run of every day asserts only what no machine is too slow
for; the long one, on a machine of its own, asserts the limits.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swap.core.errors import StoppedError
from tests.cutover.test_lock_retries import SCHEMA
from tests.support.cycling import Cycle, Start
from tests.support.migration import background
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_until

READERS = 8
LOCK_TIMEOUT_MS = 200
MEASURED_S = 10
ATTEMPTS = 3
NOISE_MS = 400  # of a machine with two processors that does other things; ten times the timeout is far beyond it
READ = "\\set k random(1, 9)\nSELECT email FROM users WHERE id = :k;\n"


@dataclass(frozen=True)
class Latencies:
    """Of one stretch of time, in ms."""

    count: int
    p99: float
    longest: float

    @classmethod
    def between(cls, log: list[tuple[float, float]], begin: float, end: float) -> Latencies:
        """`log`: when each transaction ended, and how long it took. Those that ended between the two moments."""
        some = sorted(ms for at, ms in log if begin <= at < end)
        return cls(len(some), some[int(len(some) * 0.99)], some[-1])

    def __str__(self) -> str:
        return f"{self.count} reads, p99 {self.p99:.1f} ms, longest {self.longest:.0f} ms"


def read_log(directory: Path) -> list[tuple[float, float]]:
    """pgbench's `--log`: client, number, microseconds, script, seconds and microseconds since the epoch."""
    lines = (line.split() for file in directory.glob("reads.*") for line in file.read_text().splitlines())
    return [(int(f[4]) + int(f[5]) / 1e6, int(f[2]) / 1000) for f in lines if len(f) > 5]


@contextmanager
def always_somebody(connect: Connect, database: Database) -> Iterator[None]:
    """The source is never free: two sessions take turns in reading it, each for half a second, in transactions that
    overlap. So each attempt is worth making, and none succeeds."""
    stop = threading.Event()
    pair = [connect(database.superuser, autocommit=False) for _ in range(2)]
    pair[0].execute("SELECT FROM users")

    def turns() -> None:
        for n in itertools.count():
            ours, other = pair[n % 2], pair[1 - n % 2]
            stop.wait(0.5)
            with_retry(other)
            ours.rollback()
            if stop.is_set():
                other.rollback()
                return

    with background(turns, stop.set) as running:
        yield
        stop.set()
        running.result(10)


def with_retry(conn: psycopg.Connection[object]) -> None:
    """Never behind the attempt in its queue: a reader that waits for it holds nothing."""
    reading = False
    while not reading:
        try:
            conn.execute("SET LOCAL lock_timeout = '5ms'; SELECT FROM users")
            reading = True
        except psycopg.errors.LockNotAvailable:
            conn.rollback()


def measure(
    cycle: Cycle, database: Database, connect: Connect, server: DatabaseServer, tmp_path: Path, seconds: float
) -> tuple[Latencies, Latencies, int]:
    """Readers alone, readers beside a cutover that goes on for `seconds` and gets no lock; and its attempts."""
    script = tmp_path / "read.sql"
    script.write_text(READ)
    command = [
        str(server.bindir / "pgbench"),
        "-n",
        "-M",
        "prepared",
        "-c",
        str(READERS),
        "-j",
        "2",
        "-T",
        "600",
        "-f",
        str(script),
        "-l",
    ]
    pgbench = subprocess.Popen(
        [*command, f"--log-prefix={tmp_path}/reads", database.app], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    admin = connect(database.superuser)
    readers = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench' AND datname = current_database()"
    try:
        wait_until(lambda: admin.execute(readers.encode()).fetchone() == (READERS,), 30, "the readers have begun")
        begin = time.time()
        time.sleep(max(1.5, seconds / 4))
        middle = time.time()
        with (
            always_somebody(connect, database),
            background(lambda: cycle.exchange("cutover"), cycle.m.stop.set) as running,
        ):
            time.sleep(seconds)
            wait_until(lambda: rolled_back(admin) >= ATTEMPTS, what=f"{ATTEMPTS} attempts")
            cycle.m.stop.set()
            assert isinstance(running.exception(60), StoppedError)
            end = time.time()
    finally:
        pgbench.terminate()
        pgbench.wait(30)
    log = read_log(tmp_path)
    return Latencies.between(log, begin, middle), Latencies.between(log, middle, end), rolled_back(admin)


def rolled_back(admin: psycopg.Connection[Any]) -> int:
    row = admin.execute("SELECT count(*) FROM swap.attempt WHERE outcome = 'rolled_back'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("seconds", [4, pytest.param(MEASURED_S, marks=pytest.mark.soak)])
def test_readers_beside_a_cutover_that_gets_no_lock(
    start: Start, database: Database, connect: Connect, server: DatabaseServer, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], seconds: int,
) -> None:  # fmt: skip
    """No reader waits for the cutover, but for one attempt at most. Where the machine does nothing else: no longer than the lock
    timeout above what he waits without a cutover, and 99 of 100 wait for nothing."""
    if not (server.bindir / "pgbench").exists():
        pytest.skip(f"no pgbench in {server.bindir}")
    cycle = start(SCHEMA, cutover={"max_attempts": 10_000, "lock_timeout_ms": LOCK_TIMEOUT_MS})
    cycle.ready()
    normal, beside, attempts = measure(cycle, database, connect, server, tmp_path, seconds)
    with capsys.disabled():
        print(f"\nbystanders: {READERS} readers alone: {normal}; beside {attempts} attempts of {LOCK_TIMEOUT_MS} ms: {beside}")
    assert beside.longest > LOCK_TIMEOUT_MS / 2, "no reader met an attempt: nothing was measured"
    assert beside.longest < 1000 * seconds, "a reader waited for the whole cutover"
    if seconds < MEASURED_S:
        return
    assert beside.p99 <= normal.p99 + LOCK_TIMEOUT_MS
    assert beside.longest <= normal.longest + LOCK_TIMEOUT_MS + NOISE_MS
