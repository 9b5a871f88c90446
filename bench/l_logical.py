"""(l) Logical capture: what it costs the application, what stream and replay keep up with, and the WAL kept meanwhile.

The cost: pgbench against a database whose changes a running `swap sync` streams (replay paused), and against a clone that
nobody captures, in turn. The rate: a backlog made while nothing reads, then `swap sync --once`, beside PostgreSQL's apply worker. The WAL
kept for the slot: its largest, asked for all through a backfill with pgbench at work.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from bench.b_capture import CLIENTS, SCRIPT, THREADS, pgbench
from bench.c_replay import PER_TRANSACTION, Rate, apply_worker, backlog, subscribed_pair
from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import Example, Setting
from swap.demo.app import OWNER
from swap.sync.logical.lag import read_lag

ASK_S = 0.1
MIB = 1024 * 1024


def measure(setting: Setting) -> list[Row]:
    setting.template_ready()
    with setting.example("l_admin", setting.users, references=False) as any_database:
        any_database.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(sql.Identifier(OWNER)))
    return [_cost(setting), _rate(setting), _kept(setting)]


@contextmanager
def _logical(setting: Setting, name: str) -> Iterator[Example]:
    """A database with logical capture; its slot is dropped before it."""
    with setting.example(name, setting.users, references=False) as example:
        example.swap("prepare", "--mode", "logical")
        try:
            yield example
        finally:
            example.swap("abort", "--yes")


def _cost(setting: Setting) -> Row:
    repetitions = setting.repetitions(9, 3)
    rates: dict[bool, list[float]] = {True: [], False: []}
    script = setting.directory / "update.sql"
    script.write_text(SCRIPT.replace(":users", str(setting.users)), encoding="utf-8")
    with _logical(setting, "l_on") as captured, setting.example("l_off", setting.users, references=False) as alone:
        captured.swap("sync", "--once")
        for n in range(-1, repetitions):  # the first pair warms up and is not counted
            for on in (True, False) if n % 2 == 0 else (False, True):
                for example in (captured, alone):
                    example.execute(sql.SQL("VACUUM public.users"), sql.SQL("CHECKPOINT"))
                if on:
                    captured.swap("pause")  # the stream is read all the same; replay costs what it does with triggers
                    with captured.syncing():
                        rate = pgbench(setting, captured, script)
                    captured.swap("resume")
                    captured.swap("sync", "--once")
                else:
                    rate = pgbench(setting, alone, script)
                if n >= 0:
                    rates[on].append(rate)
            setting.say(f"  cost: pair {n + 1} of {repetitions}")
    what = f"pgbench updates with logical capture / without, {CLIENTS} clients, {setting.users:,} users"
    raw = f"on {series(rates[True], ' tps', 0)}, off {series(rates[False], ' tps', 0)}"
    return Row("l", what, pairwise_ratio(rates[True], rates[False]), raw, Target("at least", 0.97))


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
    what = f"`swap sync --once` from a slot / PostgreSQL's apply worker, {keys:,} changes in transactions of {PER_TRANSACTION}"
    raw = (
        f"stream and replay {series(a, ' changes/s', 0)}, apply worker {series(b, ' changes/s', 0)}; with the command's own start"
    )
    return Row("l", what, pairwise_ratio(a, b), raw, Target("at least", 1.5))


def _stream(example: Example, count: int, seed: int) -> Rate:
    backlog(example, count, seed)
    with example.metered() as meter:
        example.swap("sync", "--once")
    example.execute(sql.SQL("VACUUM public.users"), sql.SQL("VACUUM public.users_new"))
    return Rate(count / meter.seconds, meter.cpu / count * 1e6)


def _kept(setting: Setting) -> Row:
    """The largest WAL kept for the slot while the whole backfill runs under load; beside it what was written in all."""
    script = setting.directory / "update.sql"
    script.write_text(SCRIPT.replace(":users", str(setting.users)), encoding="utf-8")
    with _logical(setting, "l_kept") as example:
        before = example.execute(sql.SQL("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))[0][0]
        command = [
            str(setting.server.bindir / "pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", str(THREADS),
            "-T", "3600", "-f", str(script), example.owner,
        ]  # fmt: skip
        load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=example.environment)
        most, stop = [0], threading.Event()
        asking = threading.Thread(target=_ask, args=(example, most, stop))
        asking.start()
        try:
            seconds = example.swap("sync", "--once").seconds
        finally:
            stop.set()
            asking.join()
            load.terminate()
            load.wait(timeout=60)
        after = example.execute(sql.SQL("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))[0][0]
    what = f"most WAL kept for the slot during a backfill of {setting.users:,} rows under load"
    raw = f"{(after - before) / MIB:,.0f} MiB were written in {seconds:.0f} s"
    return Row("l", what, most[0] / MIB, raw, None, " MiB", 0)


def _ask(example: Example, most: list[int], stop: threading.Event) -> None:
    with example.session() as conn:
        run = example.current_run(conn)
        while not stop.wait(ASK_S):
            lag = read_lag(conn, run.plan, run.id)
            most[0] = max(most[0], (lag.retained_bytes or 0) if lag else 0)
