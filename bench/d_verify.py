"""(d) `verify` against bare scans that hash every row of both tables, by as many sessions.

The function that `swap verify` calls is timed, without the start of a process; it also checks references,
mapping and structure, which the bare scan does not. Both sides run without parallel workers and without JIT, as
`verify` sets it: `jobs` is the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import USERS, CommandFailedError, Example, Meter, Setting, quiesce
from swap.core.names import TableName
from swap.core.report import Silent
from verify.run import verify

Method = Literal["checksum", "exact"]
TARGETS: dict[Method, Target] = {"checksum": Target("at most", 1.5), "exact": Target("at most", 3)}
JOBS = (1, 2)


def measure(setting: Setting) -> list[Row]:
    repetitions = setting.repetitions(5, 3)
    taken: dict[tuple[str, int], list[Meter]] = {}
    with setting.example("d", setting.users, references=False) as example:
        example.swap("prepare")
        example.swap("sync", "--once")
        for n in range(-1, repetitions):  # the first fills the cache and is not counted
            for jobs in JOBS:
                for what, work in _work(example, jobs):
                    quiesce(example)
                    with example.metered() as meter:
                        work()
                    if n >= 0:
                        taken.setdefault((what, jobs), []).append(meter)
            setting.say(f"  repetition {n + 1} of {repetitions}")
    rows = []
    for method, target in TARGETS.items():
        for jobs in JOBS:
            ours, scan = taken[method, jobs], taken["scan", jobs]
            walls = [m.seconds for m in ours], [m.seconds for m in scan]
            effort = pairwise_ratio([m.cpu for m in ours], [m.cpu for m in scan])
            raw = f"verify {series(walls[0], ' s')}, scan {series(walls[1], ' s')}; processor time {effort:.2f}"
            what = f"verify --method {method}, jobs = {jobs}, / bare hashing scan"
            rows.append(Row("d", what, pairwise_ratio(*walls), raw, target))
    return rows


def _work(example: Example, jobs: int) -> list[tuple[str, Callable[[], None]]]:
    return [
        ("scan", lambda: _scan(example, jobs)),
        ("checksum", lambda: _verify(example, "checksum", jobs)),
        ("exact", lambda: _verify(example, "exact", jobs)),
    ]


def _verify(example: Example, method: Method, jobs: int) -> None:
    with example.database.session() as conn:
        run = example.current_run(conn)
    report = verify(example.database, run, method=method, jobs=jobs, reporter=Silent())
    if report.verdict != "identical":
        raise CommandFailedError(f"verify says {report.verdict}")


def _scan(example: Example, jobs: int) -> None:
    """Both tables, one after the other or at once."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda table: _hash(example, table), (USERS, USERS.renamed("users_new"))))


def _hash(example: Example, table: TableName) -> None:
    with example.session() as conn:
        conn.execute("SET jit = off; SET max_parallel_workers_per_gather = 0")
        conn.execute(sql.SQL("SELECT count(*), sum(hash_record_extended(t, 0)) FROM {} t").format(table.sql))
