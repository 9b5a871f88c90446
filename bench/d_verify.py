"""(d) `verify` against bare scans that hash every row of both tables.

There are two comparisons, with 1, 2 and 4 jobs. The first is with ONE bare scan: one session reads both tables, one after the other.
The target is about this one: with any `jobs`, a verification takes at most so many times as long. The second is with as many sessions
as verify has jobs, which share the same scan. It is stricter, has no target, and is printed for information. For one job both are the
same row.

The function that `swap verify` calls is timed, without the start of a process. It also checks references, mapping and structure, which
the bare scan does not. Both sides run without parallel workers and without JIT, as `verify` sets it; `jobs` is the number of processes
that compare. There are rows of four shapes: the example's, narrow ones, 30 columns, and values stored out of line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import USERS, CommandFailedError, Example, Meter, Setting, quiesce
from bench.shapes import SHAPES, shaped
from swap.core.config import Config
from swap.core.names import TableName
from swap.state.journal import Journal
from swap.state.migration import Migration
from verify.report import Method
from verify.run import verify
from verify.settings import VerificationSettings

TARGETS: dict[Method, Target] = {"checksum": Target("at most", 1.5), "exact": Target("at most", 3)}
JOBS = (1, 2, 4)
BLOCK = 8192
Taken = dict[tuple[str, int], list[Meter]]


def measure(setting: Setting) -> list[Row]:
    with _example(setting) as example:
        rows = _measured(setting, example, "")
    for shape in SHAPES:
        with shaped(setting, shape) as example:
            rows += _measured(setting, example, f", {shape.name}")
    return rows


@contextmanager
def _example(setting: Setting) -> Iterator[Example]:
    with setting.example("d", setting.users, references=False) as example:
        example.swap("prepare")
        example.swap("sync", "--once")
        yield example


def _measured(setting: Setting, example: Example, shape: str) -> list[Row]:
    repetitions = setting.repetitions(5, 3)
    taken: Taken = {}
    for n in range(-1, repetitions):  # the first fills the cache and is not counted
        for jobs in JOBS:
            for what, work in _work(example, jobs):
                quiesce(example)
                with example.metered() as meter:
                    work()
                if n >= 0:
                    taken.setdefault((what, jobs), []).append(meter)
        setting.say(f"  repetition {n + 1} of {repetitions}{shape}")
    rows = [_against_one(taken, method, jobs, shape) for method in TARGETS for jobs in JOBS]
    rows += [_against_as_many(taken, method, jobs, shape) for method in TARGETS for jobs in JOBS if jobs > 1]
    return [*rows, *(_beside_count(taken, method, shape) for method in TARGETS)]


def _against_one(taken: Taken, method: Method, jobs: int, shape: str) -> Row:
    return _ratio(taken, method, jobs, 1, f"{shape}, / one bare hashing scan", TARGETS[method])


def _against_as_many(taken: Taken, method: Method, jobs: int, shape: str) -> Row:
    """For information: the stricter comparison."""
    return _ratio(taken, method, jobs, jobs, f"{shape}, / the same scan by {jobs} sessions")


def _ratio(taken: Taken, method: Method, jobs: int, sessions: int, beside: str, target: Target | None = None) -> Row:
    ours, scan = taken[method, jobs], taken["scan", sessions]
    walls = [m.seconds for m in ours], [m.seconds for m in scan]
    effort = pairwise_ratio([m.cpu for m in ours], [m.cpu for m in scan])
    raw = f"verify {series(walls[0], ' s')}, scan {series(walls[1], ' s')}; processor time {effort:.2f}"
    return Row("d", f"verify --method {method}, jobs = {jobs}{beside}", pairwise_ratio(*walls), raw, target)


def _beside_count(taken: Taken, method: Method, shape: str) -> Row:
    """For information: one session compared with one that only counts."""
    ours, count = [m.seconds for m in taken[method, 1]], [m.seconds for m in taken["count", 1]]
    raw = f"verify {series(ours, ' s')}, count(*) of both tables {series(count, ' s', 3)}"
    return Row("d", f"verify --method {method}, jobs = 1{shape}, / bare count(*)", pairwise_ratio(ours, count), raw)


def _work(example: Example, jobs: int) -> list[tuple[str, Callable[[], None]]]:
    work: list[tuple[str, Callable[[], None]]] = [
        ("scan", lambda: _scan(example, jobs)),
        ("checksum", lambda: _verify(example, "checksum", jobs)),
        ("exact", lambda: _verify(example, "exact", jobs)),
    ]
    return [("count", lambda: _count(example)), *work] if jobs == 1 else work


def _verify(example: Example, method: Method, jobs: int) -> None:
    config = Config.model_validate({"source": {"table": str(USERS)}})
    with example.database.session() as conn:
        run = example.current_run(conn)
        migration = Migration(example.database, conn, Journal(conn, run.plan.state_schema), run, config)
        report = verify(migration, VerificationSettings(method=method, jobs=jobs))
    if report.verdict != "identical":
        raise CommandFailedError(f"verify says {report.verdict}")


def _scan(example: Example, jobs: int) -> None:
    """Read both tables, in as many parts as there are sessions."""
    parts = max(1, jobs // 2)
    todo = [(table, n, parts) for table in (USERS, USERS.renamed("users_new")) for n in range(parts)]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda part: _hash(example, *part), todo))


def _hash(example: Example, table: TableName, part: int, parts: int) -> None:
    query = sql.SQL("SELECT count(*), sum(hash_record_extended(t, 0)) FROM {} t").format(table.sql)
    with example.session() as conn:
        conn.execute("SET jit = off; SET max_parallel_workers_per_gather = 0")
        if parts > 1:
            size = conn.execute("SELECT pg_relation_size(%s::regclass)", [str(table)]).fetchone()
            assert size is not None
            low, high = (f"({size[0] // BLOCK * n // parts},0)" for n in (part, part + 1))
            bounds = sql.SQL(" WHERE t.ctid >= {}::tid").format(sql.Literal(low))
            query += bounds if part == parts - 1 else bounds + sql.SQL(" AND t.ctid < {}::tid").format(sql.Literal(high))
        conn.execute(query)


def _count(example: Example) -> None:
    with example.session() as conn:
        conn.execute("SET jit = off; SET max_parallel_workers_per_gather = 0")
        for table in (USERS, USERS.renamed("users_new")):
            conn.execute(sql.SQL("SELECT count(*) FROM {}").format(table.sql))
