"""The queue of changed keys: which are due, in batches bounded by snapshots (swap.core.snapshot).

Consumed entries are not deleted one by one. Replay moves a watermark, and a table whose entries are all behind it is
truncated at once. So a snapshot that a session holds open for hours leaves no dead rows to read through (H11).

`xid` is the transaction that wrote the entry: the writer's own with triggers, the stream's in logical mode. In logical mode
`origin` is the transaction that changed the row. The entry arrives later than the commit of its origin, so a watermark over
origins would already have passed it. A watermark over the stream's transactions passes only entries that could be read.

A decoded commit need not be visible yet (H9): the row would be read as it was before. Then the entry's transaction counts as
one that is still in progress, in the watermark too, whatever else it holds. Its keys are due again until the origin is
visible. To replay a key once too often is harmless, because the row is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from swap.core.connection import Connection
from swap.core.planner_settings import NESTED_LOOPS
from swap.core.snapshot import Snapshot
from swap.core.sql_text import Query
from swap.ddl.change_tables import change_table
from swap.plan.model import Plan
from swap.state.migration import Migration


@dataclass(frozen=True)
class Batch:
    """What one replay takes: entries below `end` that `start` had not consumed. `truncated`: a TRUNCATE is in it."""

    start: Snapshot
    end: Snapshot
    entries: int
    truncated: bool


@dataclass(frozen=True)
class ChangeQueue:
    """The change tables of one run, read on one connection, in the caller's transaction if there is one."""

    conn: Connection
    plan: Plan
    run_id: int

    @classmethod
    def of(cls, migration: Migration) -> ChangeQueue:
        return cls(migration.conn, migration.plan, migration.run.id)

    def on(self, conn: Connection) -> ChangeQueue:
        """The same queue, read on another session."""
        return replace(self, conn=conn)

    def watermark(self) -> Snapshot:
        """As this transaction's snapshot sees it: consistent with the maintained rows that it sees."""
        query = sql.SQL("SELECT watermark FROM {} WHERE run_id = {}").format(self._state, sql.Literal(self.run_id))
        row = self.conn.execute(query).fetchone()
        assert row is not None
        return Snapshot.parse(row[0])

    def due(self, since: Snapshot, columns: sql.Composable, below: int | None = None) -> sql.Composed:
        """SELECT `columns` (of xid, seq, key, gone, origin) FROM both change tables WHERE `since` has not consumed it.

        With `below`, only transactions with an id under it. An index range scan plus one probe per transaction
        that was in progress at `since`.
        """
        condition = sql.SQL("c.xid >= {}::text::xid8").format(sql.Literal(str(since.xmax)))
        if since.xip:
            xids = sql.SQL(", ").join(sql.SQL("{}::text::xid8").format(sql.Literal(str(x))) for x in since.xip)
            condition = sql.SQL("({} OR c.xid IN ({}))").format(condition, xids)
        if below is not None:
            condition += sql.SQL(" AND c.xid < {}::text::xid8").format(sql.Literal(str(below)))
        return sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} FROM {} c WHERE {}").format(columns, change_table(self.plan, n).sql, condition) for n in (0, 1)
        )

    def count_due(self, since: Snapshot | None = None, limit: int = 1_000_000) -> int:
        """How many entries are due since a snapshot (the watermark), counted up to `limit`."""
        entries = self.due(since or self.watermark(), sql.SQL("1"))
        count = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM ({}) d LIMIT {}) l").format(entries, sql.Literal(limit))
        return int(self.rows_by_xid(count)[0][0])

    def touched(self, since: Snapshot) -> set[int]:
        """Keys with an entry that `since` does not see."""
        keys = sql.SQL("SELECT DISTINCT d.key FROM ({}) d WHERE d.key IS NOT NULL")
        return {r[0] for r in self.rows_by_xid(keys.format(self.due(since, sql.SQL("c.key"))))}

    def pending(self, since: Snapshot, limit: int) -> tuple[list[int | None], bool]:
        """The first `limit` keys with an entry that `since` does not see, in order (None, the last: a TRUNCATE); and whether
        a TRUNCATE is among the entries."""
        entries = self.due(since, sql.SQL("c.key"))
        some = sql.SQL("SELECT DISTINCT d.key FROM ({}) d ORDER BY 1 LIMIT {}").format(entries, sql.Literal(limit))
        keys = [key for (key,) in self.rows_by_xid(some)]
        truncated = sql.SQL("SELECT EXISTS (SELECT FROM ({}) d WHERE d.key IS NULL)").format(entries)
        return keys, bool(self.rows_by_xid(truncated)[0][0])

    def next_batch(self, limit: int | None, since: Snapshot | None = None, read_in: Snapshot | None = None) -> Batch:
        """The next batch of about `limit` entries (None: all that are visible); whole transactions only.

        `since`: the watermark, where another session has read it. `read_in`: the snapshot that replay reads rows with,
        where it is not the one of this transaction.
        """
        watermark = since or self.watermark()
        end, below = None, None
        if limit is not None:
            cut = sql.SQL("SELECT pg_current_snapshot()::text, (SELECT xid::text FROM ({}) d ORDER BY d.xid OFFSET {} LIMIT 1)")
            now_text, xid = self.rows_by_xid(cut.format(self.due(watermark, sql.SQL("c.xid")), sql.Literal(limit)))[0]
            end = now = Snapshot.parse(now_text)
            if xid is not None:
                end = now.bounded(max(int(xid) + 1, watermark.xmax))
            below = None if end == now else end.xmax
        seen_by = sql.SQL("{}::pg_snapshot").format(sql.Literal(str(read_in))) if read_in else sql.SQL("pg_current_snapshot()")
        count = sql.SQL(
            "SELECT pg_current_snapshot()::text, count(*), coalesce(bool_or(d.key IS NULL), false), array_agg(DISTINCT d.xid::text)"
            " FILTER (WHERE NOT pg_visible_in_snapshot(coalesce(d.origin, d.xid), {})) FROM ({}) d"
        )
        entries = self.due(watermark, sql.SQL("c.key, c.xid, c.origin"), below)
        now_text, number, truncated, unseen = self.rows_by_xid(count.format(seen_by, entries))[0]
        end = end or Snapshot.parse(now_text)
        return Batch(start=watermark, end=end.without(int(x) for x in unseen or ()), entries=number, truncated=truncated)

    def batch_keys(self, batch: Batch, after: int | None, limit: int) -> list[tuple[int, bool]]:
        """Distinct keys of a batch in key order, `limit` at a time, above `after`: bounded memory for any batch. In the
        transaction, nested loops and indexes from now on, until `ANY_PLAN`.

        With each key, whether a row may have left it (an entry of a DELETE, of a key's change, or put there by hand).
        """
        condition: Query = sql.SQL("d.key IS NOT NULL")
        if after is not None:
            condition += sql.SQL(" AND d.key > {}").format(sql.Literal(after))
        keys = sql.SQL("SELECT d.key, bool_or(d.gone) FROM ({}) d WHERE {} GROUP BY d.key ORDER BY d.key LIMIT {}").format(
            self.due(batch.start, sql.SQL("c.key, c.gone"), batch.end.xmax), condition, sql.Literal(limit)
        )
        cursor = self.conn.execute(sql.SQL("{}; {}").format(sql.SQL(NESTED_LOOPS), keys))
        while cursor.nextset():
            pass
        return [(key, gone) for key, gone in cursor.fetchall()]

    def advance(self, batch: Batch) -> None:
        """Move the watermark to the batch's end, in the transaction that replayed it (invariant 4)."""
        update = sql.SQL(
            "UPDATE {} SET watermark = {}, replayed = replayed + {}, replayed_at = clock_timestamp() WHERE run_id = {}"
        )
        values = sql.Literal(str(batch.end)), sql.Literal(batch.entries), sql.Literal(self.run_id)
        self.conn.execute(update.format(self._state, *values))

    def rows_by_xid(self, query: Query) -> list[tuple[Any, ...]]:
        """An open-ended read of the queue, by the index on xid, in one message. A change table has no statistics for most of
        its life, and the planner would read all of it, consumed entries too, with parallel workers (H11). In or outside of a
        transaction."""
        cursor = self.conn.execute(sql.SQL("SET enable_seqscan = off; {}; SET enable_seqscan = DEFAULT").format(query))
        cursor.nextset()
        return cursor.fetchall()

    @property
    def _state(self) -> sql.Identifier:
        return sql.Identifier(self.plan.state_schema, "capture")


def current_snapshot(conn: Connection) -> Snapshot:
    row = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
    assert row is not None
    return Snapshot.parse(row[0])
