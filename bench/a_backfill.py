"""(a) `swap prepare` + `swap sync --once` against CREATE TABLE AS and the same number of indexes, built one by one.

Both commands are timed as a user would: as processes, start-up included. Only users is large here: in the
example a million users have 2.7 million rows that refer to them, which the baseline does not build.
"""

from __future__ import annotations

import time
from statistics import median

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import STATE, USERS, Example, Setting, quiesce, sizes
from swap.core.text import verbatim

COPY = USERS.renamed("users_baseline")
STARTS = 5


def measure(setting: Setting) -> list[Row]:
    repetitions = setting.repetitions(5, 3)
    baseline: list[float] = []
    taken: dict[int, list[float]] = {1: [], 2: []}
    steps: dict[int, str] = {}
    with setting.example("a", setting.users, references=False) as example:
        starts = [example.swap("status").seconds for _ in range(STARTS)]
        definitions = _indexes(example)
        _baseline(example, definitions)  # not counted: it reads the table into the cache
        for n in range(repetitions):
            setting.say(f"  repetition {n + 1} of {repetitions}")
            baseline.append(_baseline(example, definitions))
            for jobs in (1, 2) if n % 2 == 0 else (2, 1):
                seconds, steps[jobs] = _swap(example, jobs)
                taken[jobs].append(seconds)
        tables = sizes(example)
    start = median(starts)
    rows = []
    for jobs, target in ((1, Target("at most", 1.15)), (2, Target("below", 1.0))):
        without = [s - 2 * start for s in taken[jobs]]
        raw = (
            f"swap {series(taken[jobs], ' s')}, baseline {series(baseline, ' s')};"
            f" without the start of two processes {pairwise_ratio(without, baseline):.2f}; last run: {steps[jobs]}"
        )
        what = f"prepare + sync --once, jobs = {jobs}, / CREATE TABLE AS + {len(definitions)} indexes"
        rows.append(Row("a", what, pairwise_ratio(taken[jobs], baseline), raw, target))
    rows.append(Row("a", "start of one process (`swap status`)", start, f"{series(starts, ' s')}; {tables}", unit=" s"))
    return rows


def _indexes(example: Example) -> list[str]:
    """The application's own definitions, from USING on."""
    rows = example.execute(
        sql.SQL(
            "SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, pg_get_indexdef(i.indexrelid)"
            " FROM pg_index i WHERE i.indrelid = {}::regclass ORDER BY i.indexrelid"
        ).format(sql.Literal(str(USERS)))
    )
    return [f"CREATE {unique}INDEX ON {COPY} USING {text.split(' USING ', 1)[1]}" for unique, text in rows]


def _baseline(example: Example, definitions: list[str]) -> float:
    quiesce(example)
    with example.session() as conn:
        began = time.perf_counter()
        conn.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(COPY.sql, USERS.sql))
        for definition in definitions:
            conn.execute(verbatim(definition))
        seconds = time.perf_counter() - began
        conn.execute(sql.SQL("DROP TABLE {}").format(COPY.sql))
    return seconds


def _swap(example: Example, jobs: int) -> tuple[float, str]:
    """Seconds of both commands, and where they went; afterwards nothing of it is left."""
    quiesce(example)
    prepare = example.swap("prepare").seconds
    sync = example.swap("sync", "--once", "--jobs", str(jobs)).seconds
    steps = _steps(example)
    example.swap("abort", "--yes")
    example.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(STATE)))
    return prepare + sync, f"prepare {prepare:.2f} s, sync {sync:.2f} s, of it {steps}"


def _steps(example: Example) -> str:
    """What the journal says took longest: the time from each step to the one before it."""
    rows = example.execute(
        sql.SQL(
            "SELECT name, extract(epoch FROM done_at - lag(done_at) OVER (ORDER BY done_at))::float8 FROM {} ORDER BY done_at"
        ).format(sql.Identifier(STATE, "step"))
    )
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in rows if seconds is not None and seconds >= 0.05)
