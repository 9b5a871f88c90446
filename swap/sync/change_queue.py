"""Reading the change tables: which captured keys are due, in batches bounded by snapshots (swap.core.snapshot).

Consumed entries are not deleted one by one: replay moves a watermark, and a table whose entries are all behind
it is truncated in one go. So a snapshot that someone holds open for hours leaves no dead rows to wade through (H11).

`xid` is the transaction that wrote the entry: the writer's own with triggers, the stream's in logical mode. There the
transaction that changed the row is `origin`, and the entry arrives later than its commit, so a watermark over origins
would already have passed it. A watermark over the stream's transactions passes only what was there to be read. And a
decoded commit need not be visible yet (H9): the row would be read as it was before. Then the entry's transaction counts
as one that is still in progress, in the watermark too, whatever else it holds: its keys are due again until the origin
is visible. To replay a key once too often is harmless, because the row is read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from swap.core.connection import Connection
from swap.core.snapshot import Snapshot
from swap.core.sql_text import Query
from swap.ddl.change_tables import change_table
from swap.plan.model import Plan
from swap.sync.backfill import NESTED_LOOPS


def due(plan: Plan, watermark: Snapshot, columns: sql.Composable, below: int | None = None) -> sql.Composed:
    """SELECT `columns` (of xid, seq, key) FROM both change tables WHERE not consumed by `watermark`.

    With `below`, only transactions with an id under it. An index range scan plus one probe per transaction
    that was in progress at the watermark.
    """
    condition = sql.SQL("c.xid >= {}::text::xid8").format(sql.Literal(str(watermark.xmax)))
    if watermark.xip:
        xids = sql.SQL(", ").join(sql.SQL("{}::text::xid8").format(sql.Literal(str(x))) for x in watermark.xip)
        condition = sql.SQL("({} OR c.xid IN ({}))").format(condition, xids)
    if below is not None:
        condition += sql.SQL(" AND c.xid < {}::text::xid8").format(sql.Literal(str(below)))
    return sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {} FROM {} c WHERE {}").format(columns, change_table(plan, n).sql, condition) for n in (0, 1)
    )


def rows_by_xid(conn: Connection, query: Query) -> list[tuple[Any, ...]]:
    """An open-ended read of the queue, by the index on xid, in one message. A change table has no statistics for most of
    its life, and the planner would read all of it, consumed entries too, with parallel workers (H11). In or outside of a
    transaction."""
    cursor = conn.execute(sql.SQL("SET enable_seqscan = off; {}; SET enable_seqscan = DEFAULT").format(query))
    cursor.nextset()
    return cursor.fetchall()


def read_watermark(conn: Connection, plan: Plan, run_id: int) -> Snapshot:
    """The watermark as this transaction's snapshot sees it: consistent with the maintained rows it sees."""
    row = conn.execute(
        sql.SQL("SELECT watermark FROM {} WHERE run_id = {}").format(
            sql.Identifier(plan.state_schema, "capture"), sql.Literal(run_id)
        )
    ).fetchone()
    assert row is not None
    return Snapshot.parse(row[0])


def current_snapshot(conn: Connection) -> Snapshot:
    row = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
    assert row is not None
    return Snapshot.parse(row[0])


def count_due(conn: Connection, plan: Plan, watermark: Snapshot, limit: int = 1_000_000) -> int:
    """How many entries are due, counted up to `limit`."""
    entries = due(plan, watermark, sql.SQL("1"))
    count = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM ({}) d LIMIT {}) l").format(entries, sql.Literal(limit))
    return int(rows_by_xid(conn, count)[0][0])


@dataclass(frozen=True)
class Batch:
    """What one replay takes: entries below `end` that `start` had not consumed. `truncated`: a TRUNCATE is in it."""

    start: Snapshot
    end: Snapshot
    entries: int
    truncated: bool


def next_batch(conn: Connection, plan: Plan, watermark: Snapshot, limit: int | None, read_in: Snapshot | None = None) -> Batch:
    """The next batch of about `limit` entries (None: all that are visible); whole transactions only.

    `read_in`: the snapshot that replay reads rows with, where it is not the one of this transaction.
    """
    end, below = None, None
    if limit is not None:
        cut = sql.SQL("SELECT pg_current_snapshot()::text, (SELECT xid::text FROM ({}) d ORDER BY d.xid OFFSET {} LIMIT 1)")
        row = rows_by_xid(conn, cut.format(due(plan, watermark, sql.SQL("c.xid")), sql.Literal(limit)))[0]
        end = now = Snapshot.parse(row[0])
        if row[1] is not None:
            end = now.bounded(max(int(row[1]) + 1, watermark.xmax))
        below = None if end == now else end.xmax
    seen_by = sql.SQL("{}::pg_snapshot").format(sql.Literal(str(read_in))) if read_in else sql.SQL("pg_current_snapshot()")
    count = sql.SQL(
        "SELECT pg_current_snapshot()::text, count(*), coalesce(bool_or(d.key IS NULL), false), array_agg(DISTINCT d.xid::text)"
        " FILTER (WHERE NOT pg_visible_in_snapshot(coalesce(d.origin, d.xid), {})) FROM ({}) d"
    )
    row = rows_by_xid(conn, count.format(seen_by, due(plan, watermark, sql.SQL("c.key, c.xid, c.origin"), below)))[0]
    end = end or Snapshot.parse(row[0])
    return Batch(watermark, end.without(int(x) for x in row[3] or ()), row[1], row[2])


def batch_keys(conn: Connection, plan: Plan, batch: Batch, after: int | None, limit: int) -> list[tuple[int, bool]]:
    """Distinct keys of a batch in key order, `limit` at a time, above `after`: bounded memory for any batch. In the
    transaction, nested loops and indexes from now on, until `ANY_PLAN`.

    With each key, whether a row may have left it (an entry of a DELETE, of a key's change, or put there by hand).
    """
    condition: Query = sql.SQL("d.key IS NOT NULL")
    if after is not None:
        condition += sql.SQL(" AND d.key > {}").format(sql.Literal(after))
    keys = sql.SQL("SELECT d.key, bool_or(d.gone) FROM ({}) d WHERE {} GROUP BY d.key ORDER BY d.key LIMIT {}").format(
        due(plan, batch.start, sql.SQL("c.key, c.gone"), batch.end.xmax), condition, sql.Literal(limit)
    )
    cursor = conn.execute(sql.SQL("{}; {}").format(sql.SQL(NESTED_LOOPS), keys))
    while cursor.nextset():
        pass
    return [(r[0], r[1]) for r in cursor.fetchall()]


def advance(conn: Connection, plan: Plan, run_id: int, batch: Batch) -> None:
    """Move the watermark to the batch's end, in the transaction that replayed it (invariant 4)."""
    conn.execute(
        sql.SQL(
            "UPDATE {} SET watermark = {}, replayed = replayed + {}, replayed_at = clock_timestamp() WHERE run_id = {}"
        ).format(
            sql.Identifier(plan.state_schema, "capture"),
            sql.Literal(str(batch.end)),
            sql.Literal(batch.entries),
            sql.Literal(run_id),
        )
    )
