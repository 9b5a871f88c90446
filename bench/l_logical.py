"""(l) Logical capture: its cost for the application, the rate of stream and replay, and the WAL that is kept meanwhile.

The cost: pgbench against a database whose changes a running `swap sync` streams (replay paused), and against a clone without capture,
in turn. First with one client, which leaves a core to the decoding. Then with so many clients that writers, walsender and `sync` share
all cores, which shows what the decoding takes rather than what a writer pays. Also the processor time of the writers' own sessions,
which does not depend on what else the machine does.

The rate: a backlog is made while nothing reads it; then `swap sync --once` runs, and PostgreSQL's apply worker for comparison.

The WAL that is kept for the slot: its greatest age, sampled during a whole backfill with pgbench at work, and again during one that is
paused and takes much longer.
"""

from __future__ import annotations

import bisect
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from psycopg import sql

from bench.b_capture import CLIENTS, SCRIPT, SECONDS, THREADS, pgbench
from bench.c_replay import PER_TRANSACTION, Rate, apply_worker, backlog, subscribed_pair
from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import REAPED_S, CommandFailedError, Example, Setting, quiesce
from swap.demo.app import OWNER
from swap.sync.logical.lag import read_lag
from swap.sync.loop import Sync

ASK_S = 0.1
START_S = 60.0
# A slot's restart position moves only with the server's records of running transactions, one every 15 s. It moves to the record before
# the confirmed one, since a transaction is always in progress. So: two of these intervals, and the interval of the confirmations.
KEPT_S = 32.0
HELD_UP_S = 60.0
MIB = 1024 * 1024


def measure(setting: Setting) -> Iterator[Row]:
    setting.template_ready()
    with setting.example("l_admin", setting.users, references=False) as any_database:
        any_database.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(sql.Identifier(OWNER)))
    yield from _cost(setting)
    yield _rate(setting)
    yield _kept(setting, 0)
    yield _kept(setting, HELD_UP_S)


@contextmanager
def _logical(setting: Setting, name: str) -> Iterator[Example]:
    """A database with logical capture. At the end its slot is dropped, and then the database."""
    with setting.example(name, setting.users, references=False) as example:
        example.swap("prepare", "--mode", "logical")
        try:
            yield example
        finally:
            example.swap("abort", "--yes")


@dataclass(frozen=True)
class Writers:
    """Transactions per second, and the processor time of each of them in its session."""

    per_second: float
    microseconds: float


def _cost(setting: Setting) -> list[Row]:
    script = setting.directory / "update.sql"
    script.write_text(SCRIPT.replace(":users", str(setting.users)), encoding="utf-8")
    with _logical(setting, "l_on") as captured, setting.example("l_off", setting.users, references=False) as alone:
        captured.swap("sync", "--once")
        few, many = (_writers(setting, captured, alone, script, clients) for clients in (1, CLIENTS))
    rows = []
    for sides, clients, target in ((few, 1, Target("at least", 0.97)), (many, CLIENTS, None)):
        on, off = ([w.per_second for w in side] for side in sides)
        plural = "a client" if clients == 1 else f"{clients} clients on {os.cpu_count()} cores"
        what = f"pgbench updates with logical capture / without, {plural}, {setting.users:,} users"
        rows.append(Row("l", what, pairwise_ratio(on, off), f"on {series(on, ' tps', 0)}, off {series(off, ' tps', 0)}", target))
    on, off = ([w.microseconds for w in side] for side in few)
    what = "processor time of a transaction in the writer's session, with logical capture, guards and fence / without"
    raw = f"on {series(on, ' µs', 0)}, off {series(off, ' µs', 0)}"
    return [*rows, Row("l", what, pairwise_ratio(on, off), raw)]


def _writers(
    setting: Setting, captured: Example, alone: Example, script: Path, clients: int
) -> tuple[list[Writers], list[Writers]]:
    """With capture and without, in turn."""
    repetitions = setting.repetitions(9, 3)
    sides: dict[bool, list[Writers]] = {True: [], False: []}
    for n in range(-1, repetitions):  # the first pair warms up and is not counted
        for on in (True, False) if n % 2 == 0 else (False, True):
            for example in (captured, alone):
                example.execute(sql.SQL("VACUUM public.users"), sql.SQL("CHECKPOINT"))
            if on:
                captured.swap("pause")  # the stream is read all the same; replay costs what it does with triggers
                with captured.syncing():
                    _is_read(captured)
                    found = _run(setting, captured, script, clients)
                captured.swap("resume")
                captured.swap("sync", "--once")
            else:
                found = _run(setting, alone, script, clients)
            if n >= 0:
                sides[on].append(found)
        setting.say(f"  cost, {clients} client(s): pair {n + 1} of {repetitions}")
    return sides[True], sides[False]


def _is_read(example: Example) -> None:
    """Wait until `sync` has started: its start is not part of the measurement."""
    active = "SELECT active FROM pg_replication_slots WHERE database = current_database()"
    deadline = time.monotonic() + START_S
    with example.session() as conn:
        while conn.execute(active).fetchall() != [(True,)]:
            if time.monotonic() > deadline:
                raise CommandFailedError(f"nobody reads the slot after {START_S:.0f} s")
            time.sleep(ASK_S)


def _run(setting: Setting, example: Example, script: Path, clients: int) -> Writers:
    """Only pgbench's sessions end meanwhile, and the postmaster counts their processor time."""
    postmaster = psutil.Process(setting.server.pid)
    sessions, before = set(postmaster.children()), _ended(postmaster)
    rate = pgbench(setting, example, script, clients)
    deadline = time.monotonic() + REAPED_S
    while not sessions.issuperset(postmaster.children()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return Writers(rate, (_ended(postmaster) - before) / (rate * SECONDS[setting.quick]) * 1e6)


def _ended(postmaster: psutil.Process) -> float:
    times = postmaster.cpu_times()
    return float(times.children_user + times.children_system)


def _rate(setting: Setting) -> Row:
    repetitions, keys = setting.repetitions(5, 3), 3 * setting.users // 10
    ours: list[Rate] = []
    theirs: list[Rate] = []
    with _logical(setting, "l_stream") as captured, subscribed_pair(setting, "l") as (published, subscribed):
        captured.swap("sync", "--once")
        for n in range(-1, repetitions):
            count = keys if n >= 0 else keys // 10
            for swap_first in (True, False) if n % 2 == 0 else (False, True):
                rate = _stream(captured, count, n) if swap_first else apply_worker(published, subscribed, count, n)
                if n >= 0:
                    (ours if swap_first else theirs).append(rate)
            setting.say(f"  rate: repetition {n + 1} of {repetitions}")
    a, b = [r.per_second for r in ours], [r.per_second for r in theirs]
    what = f"stream and replay / PostgreSQL's apply worker, {keys:,} changes in transactions of {PER_TRANSACTION}"
    cost = [r.microseconds for r in ours], [r.microseconds for r in theirs]
    raw = (
        f"stream and replay {series(a, ' changes/s', 0)}, apply worker {series(b, ' changes/s', 0)};"
        f" processor time {series(cost[0], ' µs', 1)} / {series(cost[1], ' µs a change', 1)}"
    )
    return Row("l", what, pairwise_ratio(a, b), raw, Target("at least", 1.5))


def _stream(example: Example, count: int, seed: int) -> Rate:
    """Run the same as `swap sync --once`, without the start of an interpreter. The slot begins where the backlog begins: the changes of
    other databases are not decoded, as the apply worker does not decode them."""
    quiesce(example)
    example.swap("sync", "--once")
    backlog(example, count, seed)
    with example.metered() as meter, example.database.session() as conn:
        Sync(example.migration(conn), jobs=1, once=True).run()
    example.execute(sql.SQL("VACUUM public.users"), sql.SQL("VACUUM public.users_new"))
    return Rate(count / meter.seconds, meter.cpu / count * 1e6)


def _kept(setting: Setting, held_up_s: float) -> Row:
    """The greatest age in seconds of the WAL that was kept for the slot, during a whole backfill under load.

    `held_up_s`: a pause in the middle. The backfill takes that much longer, and no more WAL should be kept."""
    script = setting.directory / "update.sql"
    script.write_text(SCRIPT.replace(":users", str(setting.users)), encoding="utf-8")
    with _logical(setting, "l_kept") as example:
        command = [
            str(setting.server.bindir / "pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", str(THREADS),
            "-T", "3600", "-f", str(script), example.owner,
        ]  # fmt: skip
        load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=example.environment)
        kept, stop = Kept(), threading.Event()
        beside = [threading.Thread(target=_ask, args=(example, kept, stop))]
        if held_up_s:
            beside.append(threading.Thread(target=_hold_up, args=(example, held_up_s, stop)))
        for thread in beside:
            thread.start()
        try:
            seconds = example.swap("sync", "--once").seconds
        finally:
            stop.set()
            for thread in beside:
                thread.join()
            load.terminate()
            load.wait(timeout=60)
    what = f"WAL kept for the slot during a backfill of {setting.users:,} rows under load, how far back at most"
    held = f", {held_up_s:.0f} s of them paused" if held_up_s else ""
    raw = f"the backfill took {seconds:.0f} s{held}; {kept.written / MIB:,.0f} MiB were written, {kept.most / MIB:,.0f} kept at most"
    return Row("l", what + held, kept.reach_s, raw, Target("at most", KEPT_S), " s", 1)


@dataclass
class Kept:
    """`at`: samples of (end of the server's WAL, time). `reach_s`: the greatest age of the WAL that was kept; `most`: its greatest size
    in bytes."""

    at: list[tuple[int, float]] = field(default_factory=list)
    reach_s: float = 0.0
    most: int = 0

    def note(self, end: int, retained: int) -> None:
        now = time.monotonic()
        self.at.append((end, now))
        written = bisect.bisect_right(self.at, (end - retained, now)) - 1
        self.reach_s = max(self.reach_s, now - self.at[max(written, 0)][1])
        self.most = max(self.most, retained)

    @property
    def written(self) -> int:
        return self.at[-1][0] - self.at[0][0] if self.at else 0


def _ask(example: Example, kept: Kept, stop: threading.Event) -> None:
    end = sql.SQL("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
    with example.session() as conn:
        run = example.current_run(conn)
        while not stop.wait(ASK_S):
            lag, row = read_lag(conn, run.plan, run.id), conn.execute(end).fetchone()
            if lag is not None and row is not None:
                kept.note(row[0], lag.retained_bytes or 0)


def _hold_up(example: Example, seconds: float, stop: threading.Event) -> None:
    """Run `pause` when the backfill has begun, and `resume` after so many seconds."""
    copied = 0
    while not copied and not stop.wait(ASK_S):
        copied = example.swap("status").document["tables"][0]["rows_copied"]
    example.swap("pause")
    stop.wait(seconds)
    example.swap("resume")
