"""References: every row that holds an integer key must hold the uuid of the same row of the live table.

One statement per slice compares all references at once, in the shared snapshot, so that the live table's keys
are read and hashed once and not for each reference. The pair is kept by a guard within
the writer's own transaction, so nothing is ever pending here. What is wrong is reported, never overwritten (H19).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.sql_text import load_sql, verbatim
from swap.plan.direction import Direction
from swap.plan.key_columns import unvouched
from swap.plan.model import INTEGERS, Plan, RefColumns
from verify.report import RowDifference

BLOCK = 8192  # only to divide the work


@dataclass(frozen=True)
class ReferencePair:
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
class ReferenceResult:
    """`seen`: all rows; `rows`: those the reference applies to; `nulls`: without a uuid; `orphans`: whose keys
    are nobody's."""

    pair: ReferencePair
    seen: int
    rows: int
    wrong: int
    nulls: int
    orphans: int
    findings: tuple[RowDifference, ...]

    def only_wrong(self) -> ReferenceResult:
        """Of rows that other slices have counted already: what is wrong with them, and nothing of the rest."""
        return ReferenceResult(self.pair, 0, 0, self.wrong, self.nulls, 0, self.findings)


def pairs(plan: Plan, direction: Direction, tables: dict[TableName, Table]) -> list[ReferencePair]:
    """Every reference kept in place; after the cutover also the source's own, which the new table holds itself. Of a
    partitioned table one for each partition that holds rows: blocks, and the places of rows, are those of one heap."""
    refs = [r.columns for r in plan.references]
    if direction is Direction.REVERSE:
        refs += plan.own_references
    return [_pair(plan, r, direction, tables[heap.name]) for r in refs for heap in plan.catalog.table(r.table).heaps]


def _declared(plan: Plan, ref: RefColumns, heap: TableName) -> bool:
    """Of a partitioned table each partition may have a foreign key that vouches for its rows, or none."""
    return ref.declared and heap in {t.name for t in unvouched(plan.catalog, plan.catalog.table(ref.table), ref.column)}


def _pair(plan: Plan, ref: RefColumns, direction: Direction, table: Table) -> ReferencePair:
    ahead = direction is Direction.FORWARD
    primary = table.primary_key
    key = primary.key_columns if primary else ()
    types = [c.type for name in key if (c := table.column(name))]
    return ReferencePair(
        table=table.name,
        integer=ref.column if ahead else ref.legacy_column,
        uuid=ref.uuid_column if ahead else ref.column,
        live=plan.source,
        live_integer=plan.key if ahead else plan.legacy_key,
        live_uuid=plan.identity if ahead else plan.key,
        where=ref.where,
        declared=_declared(plan, ref, table.name),
        not_null=ref.not_null,
        key=key,
        key_is_integer=len(types) == 1 and types[0] in INTEGERS,
    )


def blocks_of(start: int, stop: int, parts: int, blocks: int) -> sql.Composable:
    """The condition for slices `start` up to `stop` of `parts` of a heap, by its blocks: the first open below, the last above."""
    bounds = [
        sql.SQL("s.ctid {} {}::tid").format(verbatim(operator), sql.Literal(f"({blocks * n // parts},0)"))
        for operator, n in ((">=", start), ("<", stop))
        if 0 < n < parts
    ]
    return sql.SQL(" AND ").join(bounds) if bounds else sql.SQL("true")


def compare_references(
    conn: Connection, pairs: Sequence[ReferencePair], conditions: Mapping[TableName, sql.Composable], limit: int
) -> list[ReferenceResult]:
    """Compare the rows of every referring table that its condition selects, all in one statement."""
    live = pairs[0]
    rows = [
        load_sql("verify", "reference_rows.sql").format(
            n=sql.Literal(n),
            table=pair.table.sql,
            integer=sql.Identifier(pair.integer),
            uuid=sql.Identifier(pair.uuid),
            applies=verbatim(pair.where or "true"),
            blocks=conditions[pair.table],
        )
        for n, pair in enumerate(pairs)
    ]
    query = load_sql("verify", "references.sql").format(
        rows=sql.SQL(" UNION ALL ").join(rows),
        live=live.live.sql,
        live_integer=sql.Identifier(live.live_integer),
        live_uuid=sql.Identifier(live.live_uuid),
        limit=sql.Literal(limit),
    )
    found = {row[0]: row[1:] for row in conn.execute(query)}
    out = []
    for n, pair in enumerate(pairs):
        seen, applying, wrong, nulls, orphans, places = found.get(n, (0, 0, 0, 0, 0, None))
        findings = named(conn, pair, places) if places else ()
        out.append(ReferenceResult(pair, seen, applying, wrong, nulls, orphans, findings))
    return out


def named(conn: Connection, pair: ReferencePair, places: Sequence[str]) -> tuple[RowDifference, ...]:
    """The rows at these ctids by their keys; a snapshot's row versions stay where they are."""
    key = [sql.SQL("{}::text").format(sql.Identifier("s", c)) for c in pair.key or ("ctid",)]
    query = sql.SQL("SELECT concat_ws(',', {}) FROM {} s WHERE s.ctid = ANY ({}::tid[]) ORDER BY s.ctid").format(
        sql.SQL(", ").join(key), pair.table.sql, sql.Literal(list(places))
    )
    columns = (pair.integer, pair.uuid)
    return tuple(
        RowDifference(str(pair.table), int(k) if pair.key_is_integer else k, "mapping", columns) for (k,) in conn.execute(query)
    )


def merge(parts: Sequence[ReferenceResult]) -> ReferenceResult:
    """The slices of one reference as one result."""

    def total(name: str) -> int:
        return int(sum(getattr(r, name) for r in parts))

    findings = tuple(dict.fromkeys(f for r in parts for f in r.findings))
    twice = sum(len(r.findings) for r in parts) - len(findings)
    wrong = total("wrong") - twice
    return ReferenceResult(parts[0].pair, total("seen"), total("rows"), wrong, total("nulls"), total("orphans"), findings)
