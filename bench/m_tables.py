"""(m, n, o) The fresh example with its references rebuilt beside: the time of `prepare` and `sync --once` against CREATE TABLE AS
of the same tables with the same indexes, built one after another in one session; the WAL that they write against the size of what they
build; and the files of the application's tables before, after `sync` and after `abort`.

Both commands are timed as a user would time them: as processes, with their start.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from psycopg import sql

from bench.result import Row, Target, pairwise_ratio, series
from bench.setting import STATE, Example, Meter, Setting, quiesce, sizes
from bench.shapes import all_rebuilt
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim

SUFFIX = "_baseline"
WAL = sql.SQL("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")


def measure(setting: Setting) -> list[Row]:
    repetitions = setting.repetitions(5, 3)
    baseline: list[Meter] = []
    taken: dict[int, list[Meter]] = {1: [], 2: []}
    ratios: list[float] = []
    with all_rebuilt(setting, "m", setting.users) as example:
        example.swap("prepare")
        tables = _swapped(example)
        _undo(example)
        statements = _copies(example, tables)
        before = _files(example, tables)
        _build(example, tables, statements)  # not counted: it reads the tables into the cache
        for n in range(repetitions):
            setting.say(f"  repetition {n + 1} of {repetitions}")
            baseline.append(_build(example, tables, statements))
            for jobs in (1, 2) if n % 2 == 0 else (2, 1):
                meter, ratio, synced = _swap(example, tables, jobs)
                taken[jobs].append(meter)
                ratios.append(ratio)
            after = _files(example, tables)
        raw_sizes = sizes(example)
    rows = []
    for jobs, target in ((1, Target("at most", 1.3)), (2, Target("at most", 0.85))):
        wall = [m.seconds for m in taken[jobs]]
        raw = f"swap {series(wall, ' s')}, baseline {series([m.seconds for m in baseline], ' s')}; processor time {_cpu(taken[jobs], baseline)}; {raw_sizes}"
        what = f"prepare + sync --once, {len(tables)} tables, jobs = {jobs}, / CREATE TABLE AS of them + {len(statements) - len(tables)} indexes"
        rows.append(Row("m", what, pairwise_ratio(wall, [m.seconds for m in baseline]), raw, target))
    rows.append(
        Row(
            "n",
            "WAL of prepare + sync --once / size of the new tables and indexes",
            median(ratios),
            series(ratios),
            Target("at most", 1.2),
        )
    )
    for when, found in (("after sync", synced), ("after abort", after)):
        total, was = sum(found.values()), sum(before.values())
        other = sorted(name for name in before if found.get(name) != before[name])
        raw = f"{total:,} / {was:,} bytes in {len(before)} files; other sizes: {', '.join(other) or 'none'}"
        rows.append(
            Row(
                "o",
                f"size of the application's tables and indexes {when} / before",
                total / was,
                raw,
                Target("at most", 1.0),
                digits=4,
            )
        )
    return rows


def _cpu(over: Sequence[Meter], under: Sequence[Meter]) -> str:
    a, b = ([m.cpu for m in meters] for meters in (over, under))
    return f"{pairwise_ratio(a, b):.2f} ({series(a, ' s')} / {series(b, ' s')})"


def _swapped(example: Example) -> list[TableName]:
    """The tables that are rebuilt, as the prepared run has them."""
    with example.session() as conn:
        return [t.name for t in example.migration(conn).plan.swapped]


def _copies(example: Example, tables: Sequence[TableName]) -> list[Query]:
    """CREATE TABLE AS and the indexes of each table in turn."""
    out: list[Query] = []
    for table in tables:
        copy = table.renamed(table.name + SUFFIX)
        out.append(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(copy.sql, table.sql))
        rows = example.execute(
            sql.SQL(
                "SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, pg_get_indexdef(i.indexrelid)"
                " FROM pg_index i WHERE i.indrelid = {}::regclass ORDER BY i.indexrelid"
            ).format(sql.Literal(str(table)))
        )
        out += [verbatim(f"CREATE {unique}INDEX ON {copy} USING {text.split(' USING ', 1)[1]}") for unique, text in rows]
    return out


def _build(example: Example, tables: Sequence[TableName], statements: Sequence[Query]) -> Meter:
    quiesce(example)
    with example.metered() as meter:
        example.execute(*statements)
    names = sql.SQL(", ").join(t.renamed(t.name + SUFFIX).sql for t in tables)
    example.execute(sql.SQL("DROP TABLE {}").format(names))
    return meter


def _swap(example: Example, tables: Sequence[TableName], jobs: int) -> tuple[Meter, float, dict[str, int]]:
    """Run both commands. Returns also the WAL for each byte that they built, and the files of the application's tables. Leaves
    nothing of it in the database."""
    quiesce(example)
    ((before,),) = example.execute(WAL)
    with example.metered() as meter:
        example.swap("prepare")
        example.swap("sync", "--once", "--jobs", str(jobs))
    ((after,),) = example.execute(WAL)
    with example.session() as conn:
        shadows = [t.shadow for t in example.migration(conn).plan.swapped]
    size = sum(_files(example, shadows).values())
    files = _files(example, tables)
    _undo(example)
    return meter, float(after - before) / size, files


def _undo(example: Example) -> None:
    example.swap("abort", "--yes")
    example.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(STATE)))


def _files(example: Example, tables: Sequence[TableName]) -> dict[str, int]:
    """The bytes of each table, of its TOAST table, and of their indexes: the rows alone, without the maps that VACUUM keeps."""
    rows = example.execute(
        sql.SQL(
            "WITH t AS (SELECT c.oid, c.reltoastrelid FROM pg_class c WHERE c.oid = ANY ({}::regclass[]::oid[])),"
            " heap AS (SELECT oid FROM t UNION ALL SELECT reltoastrelid FROM t WHERE reltoastrelid <> 0),"
            " file AS (SELECT oid FROM heap UNION ALL SELECT i.indexrelid FROM pg_index i JOIN heap ON i.indrelid = heap.oid)"
            " SELECT oid::regclass::text, pg_relation_size(oid) FROM file"
        ).format(sql.Literal([str(t) for t in tables]))
    )
    return dict(rows)
