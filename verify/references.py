"""References in place: every row that holds an integer key must hold the uuid of the same row of the live table.

One statement for each block range compares all references at once, in the shared snapshot. So the keys of the live table are read
and hashed once, and not for each reference. A row whose parent came later, or has another key now, is noted, or its parent's change
is in the queue (swap.ddl.pairs): it is pending. A wrong row is reported, and only `--repair` mends it (H19).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import load_sql, verbatim
from swap.ddl.text_references import INTEGER, UUID
from swap.plan.direction import Direction
from swap.plan.key_columns import unvouched
from swap.plan.model import INTEGERS, Plan, RefColumns
from verify.report import RowDifference


@dataclass(frozen=True)
class ReferencePair:
    """One reference as it is in this direction: its two columns, `integer` and `uuid`, and the two keys of the live table.
    `number`: of the reference. `text`: the column called `uuid` is a text, and holds keys of other types too. `declared`: no foreign key forbids orphans. `key`: the primary key of the referring table."""

    number: int
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
    text: bool = False
    forward: bool = True

    @property
    def label(self) -> str:
        return f"{self.table}.{self.integer}"


@dataclass(frozen=True)
class ReferenceResult:
    """`seen`: all rows. `rows`: rows to which the reference applies. `pending`: those that will be made right. `nulls`:
    others without a uuid. `orphans`: those whose keys belong to no row. `differences`: the first of the `wrong` rows."""

    pair: ReferencePair
    seen: int
    rows: int
    wrong: int
    pending: int
    nulls: int
    orphans: int
    differences: tuple[RowDifference, ...]

    def only_wrong(self) -> ReferenceResult:
        """The result for rows that other block ranges have counted already: the wrong rows, and no count of the others."""
        return ReferenceResult(
            pair=self.pair, seen=0, rows=0, wrong=self.wrong, pending=0, nulls=self.nulls, orphans=0, differences=self.differences
        )  # fmt: skip


def reference_pairs(plan: Plan, direction: Direction, tables: dict[TableName, Table]) -> list[ReferencePair]:
    """Every reference that is kept in place. Those of swapped tables are compared with the rows: nothing relies on the integer that
    the new table has beside the uuid.

    A partitioned table has one pair for each partition that holds rows: blocks and ctids belong to one heap."""
    refs = [r.columns for r in plan.references]
    return [_pair(plan, r, direction, tables[heap.name]) for r in refs for heap in plan.catalog.table(r.table).heaps]


def _declared(plan: Plan, ref: RefColumns, heap: TableName) -> bool:
    """Whether no foreign key vouches for the rows of `heap`. Of a partitioned table each partition may have one, or none."""
    return ref.declared and heap in {t.name for t in unvouched(plan.catalog, plan.catalog.table(ref.table), ref.column)}


def _pair(plan: Plan, ref: RefColumns, direction: Direction, table: Table) -> ReferencePair:
    forward = direction is Direction.FORWARD
    primary = table.primary_key
    key = primary.key_columns if primary else ()
    types = [c.type for name in key if (c := table.column(name))]
    return ReferencePair(
        number=ref.number,
        table=table.name,
        integer=ref.column if forward else ref.legacy_column,
        uuid=ref.uuid_column if forward else ref.uuid_after,
        live=plan.source,
        live_integer=plan.key if forward else plan.legacy_key,
        live_uuid=plan.identity if forward else plan.key,
        where=ref.where,
        declared=_declared(plan, ref, table.name),
        not_null=ref.not_null and not ref.text,
        key=key,
        key_is_integer=len(types) == 1 and types[0] in INTEGERS,
        text=ref.text,
        forward=forward,
    )


class _ReferenceRow(NamedTuple):
    n: int
    seen: int
    rows: int
    wrong: int
    pending: int
    nulls: int
    orphans: int
    places: tuple[str, ...] | None


def compare_references(
    conn: Connection,
    pairs: Sequence[ReferencePair],
    conditions: Mapping[TableName, sql.Composable],
    limit: int,
    noted: TableName,
    pending: Sequence[int],
) -> list[ReferenceResult]:
    """Compare the rows that meet the condition of their table, of all references in one statement. Names up to `limit` wrong
    rows of each. `noted`: the table of incomplete pairs. `pending`: the integers of the source's rows that are pending."""
    live = pairs[0]
    rows = [
        load_sql("verify", "reference_rows_text.sql" if pair.text else "reference_rows.sql").format(
            n=sql.Literal(n),
            number=sql.Literal(pair.number),
            table=pair.table.sql,
            integer=sql.Identifier(pair.integer),
            uuid=sql.Identifier(pair.uuid),
            applies=verbatim(pair.where or "true"),
            blocks=conditions[pair.table],
            is_integer=sql.Literal(INTEGER),
            is_uuid=sql.Literal(UUID),
            either=sql.SQL("false" if pair.forward else "true"),
        )
        for n, pair in enumerate(pairs)
    ]
    query = load_sql("verify", "references.sql").format(
        rows=sql.SQL(" UNION ALL ").join(rows),
        live=live.live.sql,
        live_integer=sql.Identifier(live.live_integer),
        live_uuid=sql.Identifier(live.live_uuid),
        limit=sql.Literal(limit),
        noted=noted.sql,
        pending=sql.Literal("{" + ",".join(map(str, pending)) + "}"),
    )
    found = {row.n: row for row in fetch(conn, _ReferenceRow, query)}
    none = _ReferenceRow(n=0, seen=0, rows=0, wrong=0, pending=0, nulls=0, orphans=0, places=None)
    return [_result(conn, pair, found.get(n, none)) for n, pair in enumerate(pairs)]


def _result(conn: Connection, pair: ReferencePair, row: _ReferenceRow) -> ReferenceResult:
    return ReferenceResult(
        pair=pair,
        seen=row.seen,
        rows=row.rows,
        wrong=row.wrong,
        pending=row.pending,
        nulls=row.nulls,
        orphans=row.orphans,
        differences=_differences(conn, pair, row.places) if row.places else (),
    )


def _differences(conn: Connection, pair: ReferencePair, places: Sequence[str]) -> tuple[RowDifference, ...]:
    """The rows at these ctids by their keys. Within a snapshot a row version stays where it is."""
    key = [sql.SQL("{}::text").format(sql.Identifier("s", c)) for c in pair.key or ("ctid",)]
    query = sql.SQL("SELECT concat_ws(',', {}) FROM {} s WHERE s.ctid = ANY ({}::tid[]) ORDER BY s.ctid").format(
        sql.SQL(", ").join(key), pair.table.sql, sql.Literal(list(places))
    )
    columns = (pair.integer, pair.uuid)
    keys = fetch_values(conn, query)
    return tuple(RowDifference(str(pair.table), int(k) if pair.key_is_integer else k, "mapping", columns) for k in keys)


def merge_results(parts: Sequence[ReferenceResult]) -> ReferenceResult:
    """The results of all block ranges of one reference as one result."""
    listed = [d for part in parts for d in part.differences]
    differences = tuple(dict.fromkeys(listed))
    counted_twice = len(listed) - len(differences)
    return ReferenceResult(
        pair=parts[0].pair,
        seen=sum(part.seen for part in parts),
        rows=sum(part.rows for part in parts),
        wrong=sum(part.wrong for part in parts) - counted_twice,
        pending=sum(part.pending for part in parts),
        nulls=sum(part.nulls for part in parts),
        orphans=sum(part.orphans for part in parts),
        differences=differences,
    )
