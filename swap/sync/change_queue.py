"""The queue of changed keys of all swapped tables: which are due, in batches bounded by snapshots (swap.core.snapshot).

Each swapped table has change tables of its own, and there is one watermark for all of them. So a batch is whole transactions,
whatever tables they wrote to.

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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from swap.core.connection import Connection
from swap.core.planner_settings import NESTED_LOOPS
from swap.core.snapshot import Snapshot
from swap.core.sql_text import Query, verbatim
from swap.ddl.change_tables import change_table, key_names
from swap.plan.direction import UUID, TableMapping
from swap.plan.model import Plan
from swap.plan.row_keys import COMMA, UUID_LENGTH, Key, among, selected, to_key
from swap.state.migration import Migration

NOTHING = sql.SQL("")
FEW = 8  # tables whose change tables are read without a look at their files first


@dataclass(frozen=True)
class TableBatch:
    """The part of a batch that is one table's. `truncated`: a TRUNCATE is in it."""

    entries: int
    truncated: bool


@dataclass(frozen=True)
class Batch:
    """What one replay takes: entries below `end` that `start` had not consumed. `tables`: by the number of the swapped table, for
    those with entries."""

    start: Snapshot
    end: Snapshot
    tables: Mapping[int, TableBatch]

    @property
    def entries(self) -> int:
        return sum(t.entries for t in self.tables.values())


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

    def due(
        self,
        since: Snapshot,
        columns: sql.Composable,
        below: int | None = None,
        number: int = 0,
        also: Query = NOTHING,
    ) -> sql.Composed:
        """SELECT `columns` (of c: xid, key, key_2, …, uuid, gone, origin) FROM both change tables of the swapped table `number`
        WHERE `since` has not consumed it.

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
            sql.SQL("SELECT {} FROM {} c WHERE {}{}").format(columns, change_table(self.plan, n, number).sql, condition, also)
            for n in (0, 1)
        )

    def _due_in_all(self, since: Snapshot, columns: Callable[[int], sql.Composable], below: int | None = None) -> sql.Composed:
        """The same of every swapped table with entries (`filled`). `columns(number)`: of the same types for each."""
        return sql.SQL(" UNION ALL ").join(self.due(since, columns(number), below, number) for number in self.filled())

    def filled(self) -> list[int]:
        """The numbers of the swapped tables whose change tables are not empty files; the source's is always among them.

        Of many tables few are written to at a time. A statement over all change tables of two hundred takes 0.1 s to plan
        (seen), whether they have entries or not. So they are looked at first, which takes 0.01 s. An entry that a snapshot
        sees is in a file that is not empty by then, unless it was consumed and truncated."""
        numbers = [t.number for t in self.plan.swapped]
        if len(numbers) <= FEW:
            return numbers
        names = [change_table(self.plan, n, number).sql.as_string(None) for number in numbers for n in (0, 1)]
        rows = self.conn.execute(  # NULL: no such table, which the statement over it will say
            "SELECT DISTINCT (u.i - 1) / 2 FROM unnest(%s::text[]) WITH ORDINALITY u (name, i)"
            " WHERE pg_relation_size(to_regclass(u.name)) IS DISTINCT FROM 0 ORDER BY 1",
            [names],
        )
        return list(dict.fromkeys([0, *(int(number) for (number,) in rows)]))

    def count_due(self, since: Snapshot | None = None, limit: int = 1_000_000) -> int:
        """How many entries are due since a snapshot (the watermark), counted up to `limit`."""
        entries = self._due_in_all(since or self.watermark(), lambda _: sql.SQL("1"))
        count = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM ({}) d LIMIT {}) l").format(entries, sql.Literal(limit))
        return int(self.rows_by_xid(count)[0][0])

    def touched(self, mappings: Iterable[TableMapping], since: Snapshot) -> dict[int, set[Key]]:
        """By the number of each table: its keys with an entry that `since` does not see. One statement, whatever their number:
        an exchange asks under its locks."""
        by_number = {d.number: d for d in mappings}
        keys = sql.SQL("SELECT {}, ARRAY[{}] FROM (SELECT DISTINCT {} FROM ({}) d WHERE d.key IS NOT NULL) k")
        queries = []
        for number in by_number.keys() & self.filled():
            d = by_number[number]
            text = COMMA.join(sql.SQL("{}::text").format(column) for column in _key(d, "k"))
            queries.append(keys.format(sql.Literal(number), text, COMMA.join(_key(d, "d")), self._keys_due(d, since)))
        out: dict[int, set[Key]] = {number: set() for number in by_number}
        for number, texts in self.rows_by_xid(sql.SQL(" UNION ALL ").join(queries)) if queries else ():
            out[number].add(int(texts[0]) if by_number[number].integer_key else tuple(texts))
        return out

    def pending(self, mapping: TableMapping, since: Snapshot, limit: int) -> tuple[list[Key | None], bool]:
        """The first `limit` keys of a table with an entry that `since` does not see, in order (None, the last: a TRUNCATE); and
        whether a TRUNCATE is among the entries."""
        entries = self._keys_due(mapping, since)
        some = sql.SQL(
            "SELECT {key}, k.key IS NULL FROM (SELECT DISTINCT {d} FROM ({due}) d ORDER BY {d} LIMIT {n}) k ORDER BY {k}"
        )
        found = self.rows_by_xid(
            some.format(
                key=selected(mapping, _key(mapping, "k")), k=COMMA.join(_key(mapping, "k")), d=COMMA.join(_key(mapping, "d")),
                due=entries, n=sql.Literal(limit),
            )
        )  # fmt: skip
        truncated = sql.SQL("SELECT EXISTS (SELECT FROM ({}) d WHERE d.key IS NULL)").format(entries)
        return [None if none else to_key(key) for key, none in found], bool(self.rows_by_xid(truncated)[0][0])

    def _keys_due(self, mapping: TableMapping, since: Snapshot, more: str = "", below: int | None = None) -> sql.Composed:
        columns = COMMA.join(_key(mapping, "c")) + verbatim(more)
        return self.due(since, columns, below, mapping.number, _of_direction(mapping))

    def next_batch(self, limit: int | None, since: Snapshot | None = None, read_in: Snapshot | None = None) -> Batch:
        """The next batch of about `limit` entries (None: all that are visible); whole transactions only.

        `since`: the watermark, where another session has read it. `read_in`: the snapshot that replay reads rows with,
        where it is not the one of this transaction.
        """
        watermark = since or self.watermark()
        end, below = None, None
        if limit is not None:
            cut = sql.SQL("SELECT pg_current_snapshot()::text, (SELECT xid::text FROM ({}) d ORDER BY d.xid OFFSET {} LIMIT 1)")
            due = self._due_in_all(watermark, lambda _: sql.SQL("c.xid"))
            now_text, xid = self.rows_by_xid(cut.format(due, sql.Literal(limit)))[0]
            end = now = Snapshot.parse(now_text)
            if xid is not None:
                end = now.bounded(max(int(xid) + 1, watermark.xmax))
            below = None if end == now else end.xmax
        seen_by = sql.SQL("{}::pg_snapshot").format(sql.Literal(str(read_in))) if read_in else sql.SQL("pg_current_snapshot()")
        count = sql.SQL(
            "SELECT pg_current_snapshot()::text, t.* FROM (VALUES (1)) o LEFT JOIN"
            " (SELECT d.number, count(*), bool_or(d.truncated), array_agg(DISTINCT d.xid::text)"
            " FILTER (WHERE NOT pg_visible_in_snapshot(coalesce(d.origin, d.xid), {})) FROM ({}) d GROUP BY d.number) t ON true"
        )
        columns = sql.SQL("{} AS number, c.key IS NULL AS truncated, c.xid, c.origin")
        entries = self._due_in_all(watermark, lambda number: columns.format(sql.Literal(number)), below)
        rows = self.rows_by_xid(count.format(seen_by, entries))
        tables = {number: TableBatch(n, truncated) for _, number, n, truncated, _ in rows if number is not None}
        end = end or Snapshot.parse(rows[0][0])
        return Batch(start=watermark, end=end.without(int(x) for row in rows for x in row[4] or ()), tables=tables)

    def batch_keys(self, batch: Batch, mapping: TableMapping, after: Key | None, limit: int) -> list[tuple[Key, bool]]:
        """Distinct keys of one table's part of a batch in key order, `limit` at a time, above `after`: bounded memory for any
        batch. In the transaction, nested loops and indexes from now on, until `ANY_PLAN`.

        With each key, whether a row may have left it (an entry of a DELETE, of a key's change, or put there by hand).
        """
        key = COMMA.join(_key(mapping, "d"))
        condition: Query = sql.SQL("d.key IS NOT NULL")
        if after is not None:
            condition += sql.SQL(" AND ({}) > ({})").format(key, COMMA.join(_literals(mapping, after)))
        keys = sql.SQL("SELECT {}, bool_or(d.gone) FROM ({}) d WHERE {} GROUP BY {key} ORDER BY {key} LIMIT {}").format(
            selected(mapping, _key(mapping, "d")), self._keys_due(mapping, batch.start, ", c.gone", batch.end.xmax), condition,
            sql.Literal(limit), key=key,
        )  # fmt: skip
        return [(to_key(found), gone) for found, gone in self._rows_by_key(keys)]

    def batch_uuids(self, batch: Batch, mapping: TableMapping, keys: Sequence[Key]) -> list[tuple[int, str]]:
        """(key, uuid) of the batch's entries for these keys of the source, the last writer's last. Entries of before the cutover,
        and those put there by hand, have no uuid."""
        due = self.due(batch.start, sql.SQL("c.key, c.uuid, c.xid, c.ctid"), batch.end.xmax)
        query = sql.SQL("SELECT d.key, d.uuid::text FROM ({}) d WHERE d.uuid IS NOT NULL AND {} ORDER BY d.xid, d.ctid").format(
            due, among(mapping, _key(mapping, "d"), keys)
        )
        return list(dict.fromkeys((key, uuid) for key, uuid in reversed(self._rows_by_key(query))))[::-1]

    def _rows_by_key(self, query: Query) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(sql.SQL("{}; {}").format(sql.SQL(NESTED_LOOPS), query))
        while cursor.nextset():
            pass
        return cursor.fetchall()

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


def _of_direction(mapping: TableMapping) -> Query:
    """Where a reference is in the key: the entries that have it as this direction captures it. A stream that begins again, and a clone
    that takes a run over, may bring consumed ones of the other."""
    for name, k in zip(key_names(len(mapping.key)), mapping.key, strict=True):
        if k.exchanged:
            column = sql.Identifier("c", name)
            form = sql.SQL("=" if k.origin_type == UUID else "<")
            return sql.SQL(" AND (c.key IS NULL OR length({}) {} {})").format(column, form, sql.Literal(UUID_LENGTH))
    return NOTHING


def _key(mapping: TableMapping, alias: str) -> list[sql.Identifier]:
    """The columns of a change table that hold the key."""
    return [sql.Identifier(alias, name) for name in key_names(len(mapping.key))]


def _literals(mapping: TableMapping, key: Key) -> list[sql.Composable]:
    """The key's values with their types."""
    if isinstance(key, int):
        return [sql.Literal(key)]
    return [sql.SQL("{}::").format(sql.Literal(v)) + verbatim(k.type) for v, k in zip(key, mapping.key, strict=True)]
