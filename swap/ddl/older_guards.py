"""What a run that an older version began has on its references, and what takes its place.

Until version 5 of the state a guard wrote a placeholder where a required side could not be seen yet (the nil uuid, or 0), a
completing trigger put the right key there, and the required side was NOT NULL, or had a validated CHECK, all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from swap.core.names import TableName
from swap.core.statement import AX, Kind, Statement, Step, Verb
from swap.ddl.guards import COMPLETE, reference_guard_function
from swap.ddl.pairs import CONSOLIDATED, pairs_table, row_applies
from swap.ddl.text_references import pair_of
from swap.plan.direction import Direction
from swap.plan.model import Plan, RefColumns


def begun_by_older(baseline: Iterable[Sequence[str]]) -> bool:
    """Whether the recorded structure has a completing trigger."""
    return any(line.startswith("trigger ") and f'"{COMPLETE}_' in line for _, line in baseline)


def tables_with_older(plan: Plan) -> list[TableName]:
    """The tables with references that the older version guarded: those in place, and the source."""
    own = [plan.source] if plan.own_references else []
    return [*own, *dict.fromkeys(r.table for r in plan.references)]


def drop_completing(plan: Plan, baseline: Iterable[Sequence[str]]) -> list[Step]:
    """The first steps of `abort` and of `finalize`, for a run that was never taken over."""
    if not begun_by_older(baseline):
        return []
    steps = []
    drop = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}")
    for table in tables_with_older(plan):
        texts = [drop.format(sql.Identifier(f"{COMPLETE}_{r.number}"), table.sql) for r in plan.references_of(table)]
        gone = (Statement(t, "of an older version", table, AX, kind=Kind.CAPTURE, verb=Verb.DROP) for t in texts)
        steps.append(Step(f"completing triggers of {table}", tuple(gone), (table,), AX))
    return steps


def renew_guards(plan: Plan, table: TableName, direction: Direction) -> list[Statement]:
    """Drop the completing triggers and the checks of one table, let the side that follows be NULL, and create the guards' functions."""
    out = []
    checks = {r.columns.number: r.check_name for r in plan.references}
    alter = sql.SQL("ALTER TABLE {} ").format(table.sql)
    for ref in plan.references_of(table):
        name = sql.Identifier(f"{COMPLETE}_{ref.number}")
        text = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(name, table.sql)
        if check := checks.get(ref.number):
            text += sql.SQL("; ") + alter + sql.SQL("DROP CONSTRAINT IF EXISTS {}").format(sql.Identifier(check))
        if direction is Direction.REVERSE:
            text += sql.SQL("; ") + alter + sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(ref.legacy_column))
        out.append(Statement(text, "of an older version", table, AX, kind=Kind.CAPTURE, verb=Verb.DROP))
        ways = Direction if checks.get(ref.number) else (Direction.REVERSE,)
        out += [reference_guard_function(plan, ref, way) for way in ways]
    return out


def note_older_rows(plan: Plan, ref: RefColumns, direction: Direction) -> list[Statement]:
    """Note the rows of a reference with a placeholder, or without the side that follows. Reads the table once."""
    pair = pair_of(plan, ref, direction)
    leader, follower = (pair.integer, pair.uuid) if pair.ahead else (pair.uuid, pair.integer)
    placeholder = sql.SQL("'00000000-0000-0000-0000-000000000000'" if pair.ahead else "0")
    insert = sql.SQL(
        "INSERT INTO {} (number, value, noted) SELECT DISTINCT {}, r.{l}::text, {} FROM {} r WHERE r.{l} IS NOT NULL"
        " AND (r.{f} IS NULL OR r.{f} = {}) AND {} ON CONFLICT DO NOTHING"
    )
    why = "rows that an older version left incomplete"
    return [
        Statement(
            insert.format(
                pairs_table(plan).sql, sql.Literal(ref.number), sql.Literal(CONSOLIDATED), heap.sql, placeholder, row_applies(ref),
                l=leader, f=follower,
            ),
            why, heap, kind=Kind.ROWS,
        )
        for heap in pair.heaps
    ]  # fmt: skip
