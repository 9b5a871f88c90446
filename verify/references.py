"""References: every row that holds an integer key must hold the uuid of the same row of the live table.

One set-based query per part of the referring table, in the shared snapshot. The pair is kept by a guard within
the writer's own transaction, so nothing is ever pending here. What is wrong is reported, never overwritten (H19).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from psycopg import sql

from swap.core.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.plan import INTEGERS, Plan, RefColumns
from swap.core.text import load_sql, verbatim
from verify.findings import Finding

BLOCKS_PER_PART = 32_768


@dataclass(frozen=True)
class Pair:
    """One reference as it stands in this direction: its two columns, and the live table's two keys."""

    table: TableName
    integer: str
    uuid: str
    live: TableName
    live_integer: str
    live_uuid: str
    where: str | None
    declared: bool
    not_null: bool
    key: tuple[str, ...]
    key_is_integer: bool

    @property
    def label(self) -> str:
        return f"{self.table}.{self.integer}"


@dataclass(frozen=True)
class PairResult:
    """`seen`: all rows; `rows`: those the reference applies to; `nulls`: without a uuid; `orphans`: whose keys
    are nobody's."""

    pair: Pair
    seen: int
    rows: int
    wrong: int
    nulls: int
    orphans: int
    findings: tuple[Finding, ...]
    seconds: float


def pairs(plan: Plan, direction: str, tables: dict[TableName, Table]) -> list[Pair]:
    """Every reference kept in place; after the cutover also the source's own, which the new table holds itself."""
    refs = [r.columns for r in plan.references]
    if direction == "reverse":
        refs += plan.own_references
    return [_pair(plan, r, direction, tables[r.table]) for r in refs]


def _pair(plan: Plan, ref: RefColumns, direction: str, table: Table) -> Pair:
    ahead = direction == "forward"
    primary = table.primary_key
    key = primary.key_columns if primary else ()
    types = [c.type for name in key if (c := table.column(name))]
    return Pair(
        table=ref.table,
        integer=ref.column if ahead else ref.legacy_column,
        uuid=ref.uuid_column if ahead else ref.column,
        live=plan.source,
        live_integer=plan.key if ahead else plan.legacy_key,
        live_uuid=plan.identity if ahead else plan.key,
        where=ref.where,
        declared=ref.declared,
        not_null=ref.not_null,
        key=key,
        key_is_integer=len(types) == 1 and types[0] in INTEGERS,
    )


def parts(blocks: int, jobs: int) -> list[tuple[int | None, int | None]]:
    """Block ranges of a heap, the last open: one per worker at most, since each builds its own hash of the keys."""
    count = max(1, min(jobs, blocks // BLOCKS_PER_PART))
    bounds = [None, *(blocks * n // count for n in range(1, count)), None]
    return list(pairwise(bounds))


def compare_part(conn: Connection, pair: Pair, part: tuple[int | None, int | None], limit: int) -> PairResult:
    """Compare the pairs in a range of heap blocks."""
    began = time.monotonic()
    low, high = part
    bounds = [
        sql.SQL("s.ctid {} {}::tid").format(verbatim(operator), sql.Literal(f"({block},0)"))
        for operator, block in ((">=", low), ("<", high))
        if block is not None
    ]
    key = [sql.SQL("{}::text").format(sql.Identifier("s", c)) for c in pair.key or ("ctid",)]
    query = load_sql("verify", "references.sql").format(
        table=pair.table.sql,
        key=sql.SQL("concat_ws(',', {})").format(sql.SQL(", ").join(key)),
        integer=sql.Identifier(pair.integer),
        uuid=sql.Identifier(pair.uuid),
        applies=verbatim(pair.where or "true"),
        blocks=sql.SQL(" AND ").join(bounds) if bounds else sql.SQL("true"),
        live=pair.live.sql,
        live_integer=sql.Identifier(pair.live_integer),
        live_uuid=sql.Identifier(pair.live_uuid),
        limit=sql.Literal(limit),
    )
    row = conn.execute(query).fetchone()
    assert row is not None
    seen, rows, wrong, nulls, orphans, keys = row
    columns = (pair.integer, pair.uuid)
    findings = tuple(Finding(str(pair.table), int(k) if pair.key_is_integer else k, "mapping", columns) for k in keys or ())
    return PairResult(pair, seen, rows, wrong, nulls, orphans, findings, time.monotonic() - began)
