"""(a) `swap prepare` + `swap sync --once` against CREATE TABLE AS and the same number of indexes, built one by one.

Both commands are timed as a user would time them: as processes, with their start. Only users is large here. In the example a million
users have 2.7 million rows that refer to them, which the baseline does not build.

CREATE TABLE AS makes less than the shadow needs: no generated column, no constraints, no statistics, no visibility map. Beside it
stands the time of the same table made by hand in one session.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import STATE, USERS, Example, Meter, Setting, quiesce, sizes
from swap.core.sql_text import Query, verbatim

COPY = USERS.renamed("users_baseline")
STARTS = 5


def measure(setting: Setting) -> list[Row]:
    repetitions = setting.repetitions(5, 3)
    baseline: list[Meter] = []
    by_hand: list[Meter] = []
    taken: dict[int, list[Meter]] = {1: [], 2: []}
    steps: dict[int, str] = {}
    with setting.example("a", setting.users, references=False) as example:
        starts = [example.swap("status").seconds for _ in range(STARTS)]
        indexes = _indexes(example)
        copy = [sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(COPY.sql, USERS.sql), *indexes]
        same = [*_same_table(example), *indexes, sql.SQL("VACUUM (ANALYZE) {}").format(COPY.sql)]
        _build(example, copy)  # not counted: it reads the table into the cache
        for n in range(repetitions):
            setting.say(f"  repetition {n + 1} of {repetitions}")
            baseline.append(_build(example, copy))
            for jobs in (1, 2) if n % 2 == 0 else (2, 1):
                meter, steps[jobs] = _swap(example, jobs)
                taken[jobs].append(meter)
            by_hand.append(_build(example, same))
        tables = sizes(example)
    start = median(starts)
    walls = {name: [m.seconds for m in meters] for name, meters in {"baseline": baseline, "hand": by_hand}.items()}
    rows = []
    for jobs, target in ((1, Target("at most", 1.15)), (2, Target("below", 1.0))):
        wall = [m.seconds for m in taken[jobs]]
        without = pairwise_ratio([s - 2 * start for s in wall], walls["baseline"])
        raw = (
            f"swap {series(wall, ' s')}, baseline {series(walls['baseline'], ' s')};"
            f" without the start of its two processes {without:.2f};"
            f" processor time {_cpu_ratio(taken[jobs], baseline)}; last run: {steps[jobs]}"
        )
        what = f"prepare + sync --once, jobs = {jobs}, / CREATE TABLE AS + {len(indexes)} indexes"
        rows.append(Row("a", what, pairwise_ratio(wall, walls["baseline"]), raw, target))
    for jobs, meters in taken.items():
        raw = f"by hand {series(walls['hand'], ' s')}; processor time {_cpu_ratio(meters, by_hand)}"
        what = f"prepare + sync --once, jobs = {jobs}, / INSERT … SELECT into the same table + indexes + VACUUM (ANALYZE)"
        rows.append(Row("a", what, pairwise_ratio([m.seconds for m in meters], walls["hand"]), raw))
    rows.append(Row("a", "start of one process (`swap status`)", start, f"{series(starts, ' s')}; {tables}", unit=" s"))
    return rows


def _cpu_ratio(over: Sequence[Meter], under: Sequence[Meter]) -> str:
    a, b = ([m.cpu for m in meters] for meters in (over, under))
    return f"{pairwise_ratio(a, b):.2f} ({series(a, ' s')} / {series(b, ' s')})"


def _indexes(example: Example) -> list[Query]:
    """The application's index definitions, from USING on."""
    rows = example.execute(
        sql.SQL(
            "SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, pg_get_indexdef(i.indexrelid)"
            " FROM pg_index i WHERE i.indrelid = {}::regclass ORDER BY i.indexrelid"
        ).format(sql.Literal(str(USERS)))
    )
    return [verbatim(f"CREATE {unique}INDEX ON {COPY} USING {text.split(' USING ', 1)[1]}") for unique, text in rows]


def _same_table(example: Example) -> list[Query]:
    """The same columns, generated ones too, and the same constraints, filled in one statement."""
    rows = example.execute(
        sql.SQL(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = {}::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
        ).format(sql.Literal(str(USERS)))
    )
    columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)
    return [
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)").format(COPY.sql, USERS.sql),
        sql.SQL("INSERT INTO {} ({c}) SELECT {c} FROM {}").format(COPY.sql, USERS.sql, c=columns),
    ]


def _build(example: Example, statements: Sequence[Query]) -> Meter:
    quiesce(example)
    with example.metered() as meter:
        example.execute(*statements)
    example.execute(sql.SQL("DROP TABLE {}").format(COPY.sql))
    return meter


def _swap(example: Example, jobs: int) -> tuple[Meter, str]:
    """Run both commands, and read where their time went. Leaves nothing of it in the database."""
    quiesce(example)
    with example.metered() as meter:
        prepare = example.swap("prepare").seconds
        sync = example.swap("sync", "--once", "--jobs", str(jobs)).seconds
    steps = _steps(example)
    example.swap("abort", "--yes")
    example.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(STATE)))
    return meter, f"prepare {prepare:.2f} s, sync {sync:.2f} s, of it {steps}"


def _steps(example: Example) -> str:
    """The longest steps by the journal: the time from each step to the one before it."""
    rows = example.execute(
        sql.SQL(
            "SELECT name, extract(epoch FROM done_at - lag(done_at) OVER (ORDER BY done_at))::float8 FROM {} ORDER BY done_at"
        ).format(sql.Identifier(STATE, "step"))
    )
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in rows if seconds is not None and seconds >= 0.05)
