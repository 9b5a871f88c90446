"""(e) Time under lock by the number of tables: for each further table that is rebuilt, with four indexes and two keys, and with two
hundred references that get their column in place; and of a source with two hundred partitions.

The tables are all but empty: an exchange changes the catalog alone. The cutovers and reverts of both numbers of tables take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from psycopg import sql

from bench.result import Row, Target, series
from bench.setting import Example, Setting

FEW = 5
PARENTS = sql.SQL("CREATE TABLE users (id bigserial PRIMARY KEY); CREATE TABLE others (id bigserial PRIMARY KEY);")
CHILD = sql.SQL(
    "CREATE TABLE {t} (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, other_id bigint REFERENCES others, email text UNIQUE);"
    "CREATE INDEX ON {t} (user_id); CREATE INDEX ON {t} (other_id);"
)
ROWS = sql.SQL("INSERT INTO users SELECT FROM generate_series(1, 10);")
# Nothing but the exchange is measured, on whatever machine.
PATIENT = "[cutover]\nlock_timeout_ms = 20000\nmax_lock_hold_ms = 20000\n"
PARTITIONED = sql.SQL(
    "CREATE TABLE users (id bigserial, at int NOT NULL, email text, PRIMARY KEY (id, at)) PARTITION BY LIST (at);"
    "CREATE INDEX ON users (email);"
)
PARTITION = sql.SQL("CREATE TABLE {} PARTITION OF users FOR VALUES IN ({});")
COLUMN = """
[[reference]]
table = "public.r{n}"
column = "user_id"
strategy = "column"
"""


def measure(setting: Setting) -> Iterator[Row]:
    rounds, many_tables, in_place = setting.repetitions(5, 2), setting.repetitions(65, 25), setting.repetitions(200, 50)
    with ExitStack() as stack:
        few, many = (stack.enter_context(setting.schema(f"e_{n}", _tables(n))) for n in (FEW, many_tables))
        locked: dict[str, dict[int, list[float]]] = {kind: {FEW: [], many_tables: []} for kind in ("cutover", "revert")}
        for example, n in ((few, FEW), (many, many_tables)):
            _begin(
                example,
                PATIENT
                + "".join(f'\n[[reference]]\ntable = "public.r{i}"\ncolumn = "user_id"\nstrategy = "table"\n' for i in range(n)),
            )
        for n in range(rounds):
            for kind in locked:
                for example, number in ((few, FEW), (many, many_tables)):
                    locked[kind][number].append(_exchange(example, kind))
            setting.say(f"  {FEW} and {many_tables} rebuilt tables: cutover and revert {n + 1} of {rounds}")
    for kind, found in locked.items():
        each = (median(found[many_tables]) - median(found[FEW])) / (many_tables - FEW)
        raw = f"{many_tables} tables {series(found[many_tables], ' ms', 0)}, {FEW} tables {series(found[FEW], ' ms', 0)}"
        what = f"locked_ms of a {kind} for each further rebuilt table with four indexes and two keys"
        yield Row("e", what, each, raw, Target("at most", 8), " ms", 1)
    with setting.schema("e_in_place", _tables(in_place)) as example:
        _begin(example, PATIENT + "".join(COLUMN.format(n=n) for n in range(in_place)))
        yield from _turns(setting, example, f"{in_place} references in place", 400)
    with setting.schema("e_partitioned", _partitions(in_place)) as example:
        _begin(example, PATIENT)
        yield from _turns(setting, example, f"{in_place} partitions of the source, two indexes each", 150)


def _turns(setting: Setting, example: Example, what: str, target_ms: int) -> Iterator[Row]:
    """Cutover and revert by turns."""
    rounds = setting.repetitions(5, 2)
    times: dict[str, list[float]] = {"cutover": [], "revert": []}
    for n in range(rounds):
        for kind, taken in times.items():
            taken.append(_exchange(example, kind))
        setting.say(f"  {what}: cutover and revert {n + 1} of {rounds}")
    for kind, taken in times.items():
        target = Target("at most", target_ms)
        yield Row("e", f"locked_ms of a {kind} with {what}", median(taken), series(taken, " ms", 0), target, " ms", 0)


def _partitions(number: int) -> sql.Composed:
    leaves = (PARTITION.format(sql.Identifier("public", f"users_{n}"), n) for n in range(number))
    rows = sql.SQL("INSERT INTO users (at) SELECT n FROM generate_series(0, {}) n;").format(number - 1)
    return sql.SQL(" ").join([PARTITIONED, *leaves, rows])


def _tables(number: int) -> sql.Composed:
    children = (CHILD.format(t=sql.Identifier("public", f"r{n}")) for n in range(number))
    return sql.SQL(" ").join([PARENTS, *children, ROWS])


def _begin(example: Example, more: str) -> None:
    """A configuration of this measurement's own, and a run that is in sync."""
    example.config.write_text(f'[source]\ntable = "public.users"\n{more}', encoding="utf-8")
    example.swap("prepare")
    example.swap("sync", "--once", "--jobs", "2")


def _exchange(example: Example, kind: str) -> float:
    example.swap("verify")
    extra = ["--no-snapshot"] if kind == "cutover" else []
    locked_ms = float(example.swap(kind, "--yes", *extra).document["locked_ms"])
    example.swap("sync", "--once")
    return locked_ms
