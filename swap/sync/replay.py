"""Replay: makes the maintained side's rows for captured keys equal to the captured side's rows as they are now.

One REPEATABLE READ transaction reads the queue and the rows. So a row is a function of its origin at a moment after its
last processed change (invariant 3). The watermark moves in the same transaction (invariant 4).
The cutover runs the same functions under its lock, where nothing can change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import DefectError
from swap.core.names import TableName
from swap.core.planner_settings import NESTED_LOOPS
from swap.plan.direction import TableMapping
from swap.plan.key_columns import vouches
from swap.plan.model import Plan
from swap.state.migration import Migration
from swap.sync.change_queue import Batch, ChangeQueue, current_snapshot

BATCH = 20_000
SLICE = 30_000  # keys of one statement: an ordinary batch whole, because the queue is read once for each slice
CONFLICT = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation)


@dataclass(frozen=True)
class Replayed:
    """`entries` taken from the queue; `complete`: the maintained side equals the captured one at that snapshot."""

    entries: int
    complete: bool


class Barrier(Protocol):
    """Logical mode: `wait_delivered` waits until the queue holds every change that committed before the call, and returns
    the session in which to read the queue then. Its transactions see later entries than the caller's snapshot does."""

    def wait_delivered(self) -> Connection: ...


def replay(migration: Migration, limit: int | None = BATCH, barrier: Barrier | None = None) -> Replayed:
    """One batch in a transaction of its own.

    A violation of a unique or exclusion constraint means that another stale row still holds the value. The key of that row
    is queued too, or in logical mode not delivered yet. Then the whole visible queue is taken, behind the barrier if there
    is one, and every row of it is deleted before any is inserted. A second violation, or any other conflict, is a defect,
    and nothing is applied.
    """
    try:
        return _replay(migration, limit, two_pass=False)
    except CONFLICT:
        try:
            if barrier is not None:
                return _replay_all(migration, barrier, two_pass=True)
            return _replay(migration, None, two_pass=True)
        except CONFLICT as e:
            raise _unexplained(migration.mapping, e) from None


def _unexplained(d: TableMapping, e: psycopg.Error) -> DefectError:
    return DefectError(
        f"Replay into {d.target} met a conflict that no queued change explains: {e.diag.message_primary}."
        f" {e.diag.message_detail or ''}",
        hint="Was the shadow written to by someone else? `swap verify` names the rows.",
    )


def replay_all(migration: Migration, barrier: Barrier) -> Replayed:
    """Logical mode: replay everything that one snapshot shows. Afterwards the maintained side equals the captured one in it.

    The queue alone cannot promise that: the stream may not have delivered yet all that this snapshot shows. So the snapshot
    is taken first; then the stream passes it; then a later snapshot of another session reads the queue, and this one reads
    the rows. Entries of transactions that only the later one sees are applied harmlessly and stay due.
    """
    try:
        return _replay_all(migration, barrier, two_pass=False)
    except CONFLICT:
        try:
            return _replay_all(migration, barrier, two_pass=True)
        except CONFLICT as e:
            raise _unexplained(migration.mapping, e) from None


def _replay_all(migration: Migration, barrier: Barrier, *, two_pass: bool) -> Replayed:
    queue = ChangeQueue.of(migration)
    with migration.conn.transaction():
        migration.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        read_in = current_snapshot(migration.conn)
        watermark = queue.watermark()
        later = barrier.wait_delivered()
        with later.transaction():
            later.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            batch = queue.on(later).next_batch(None, since=watermark, read_in=read_in)
            if batch.entries:
                apply(migration, batch, two_pass=two_pass, queue=queue.on(later))
                queue.advance(batch)
    return Replayed(batch.entries, complete=True)


def _replay(migration: Migration, limit: int | None, *, two_pass: bool) -> Replayed:
    with migration.conn.transaction():
        migration.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return replay_batch(migration, limit, two_pass=two_pass)


def replay_batch(migration: Migration, limit: int | None, *, two_pass: bool) -> Replayed:
    """Read a batch, apply it, move the watermark: in the caller's transaction."""
    queue = ChangeQueue.of(migration)
    batch = queue.next_batch(limit)
    complete = limit is None or batch.entries <= limit
    if batch.entries:
        apply(migration, batch, two_pass=two_pass)
        queue.advance(batch)
    return Replayed(batch.entries, complete)


def apply(migration: Migration, batch: Batch, *, two_pass: bool, queue: ChangeQueue | None = None) -> None:
    """`queue`: on the session that reads the batch's keys, if that is not the migration's own."""
    conn, d = migration.conn, migration.mapping
    queue = queue or ChangeQueue.of(migration)
    if batch.truncated:
        conn.execute(delete_all_gone(d))
    if queue.conn is not conn:
        conn.execute(sql.SQL(NESTED_LOOPS))
    primary = migration.plan.source_table.primary_key
    immediate = primary is None or not primary.deferrable
    stale: list[int] = []

    def delete(keys: list[int], left: list[int]) -> None:
        stale.extend(_delete_gone(migration, d, keys, left))
        conn.execute(delete_keys(d, keys))

    def put(keys: list[int], left: list[int]) -> None:
        stale.extend(_delete_gone(migration, d, keys, left))
        conn.execute(upsert(d, keys) if immediate else update_and_insert(d, keys))

    if two_pass:
        _slices(queue, batch, delete)
    _slices(queue, batch, put)
    while stale:
        keys = stale[:SLICE]
        del stale[:SLICE]
        put(keys, keys)


def _slices(queue: ChangeQueue, batch: Batch, do: Callable[[list[int], list[int]], None]) -> None:
    """`do(keys, left)` for each slice of the batch; `left`: those of the keys that a row may have left."""
    after = None
    while entries := queue.batch_keys(batch, after, SLICE):
        do([key for key, _ in entries], [key for key, gone in entries if gone])
        after = entries[-1][0]
        if len(entries) < SLICE:
            break


def _delete_gone(migration: Migration, d: TableMapping, keys: list[int], left: list[int]) -> list[int]:
    """Delete the rows that the captured side no longer has. Returns the keys of rows that look up the uuid of another row
    than before: such rows are stale though they did not change themselves.

    Behind a validated foreign key only a row that was deleted and inserted again under its key, with another uuid,
    has them; without one, a row that came or went has them too.
    """
    conn = migration.conn
    gone = [r[0] for r in conn.execute(delete_gone(d, left)).fetchall()] if left else []
    out: list[int] = []
    for m in d.lookups:
        if not _backed(migration.plan, m.origin):
            changed = _absent(conn, d, keys)
        else:
            changed = _among(conn, d.origin, d.origin_key, gone) if gone else []
        if changed:
            out += _among(conn, d.origin, m.origin, changed, d.origin_key)
    return out


def _backed(plan: Plan, column: str) -> bool:
    return any(
        f.validated and f.table == plan.source and column in f.columns and vouches(f, column, plan.catalog)
        for f in plan.catalog.incoming
    )


def key_array(keys: list[int]) -> sql.Composable:
    return sql.SQL("{}::bigint[]").format(sql.Literal("{" + ",".join(map(str, keys)) + "}"))


def delete_gone(d: TableMapping, keys: list[int]) -> sql.Composed:
    """DELETE the rows that the captured side no longer has, or has under another uuid."""
    return sql.SQL(
        "DELETE FROM {t} t WHERE t.{tk} = ANY ({keys}) AND NOT EXISTS"
        " (SELECT FROM {s} s WHERE s.{sk} = t.{tk} AND s.{su} = t.{tu}) RETURNING t.{tk}"
    ).format(
        t=d.target.sql, s=d.origin.sql, keys=key_array(keys),
        tk=sql.Identifier(d.target_key), sk=sql.Identifier(d.origin_key),
        tu=sql.Identifier(d.target_uuid), su=sql.Identifier(d.origin_uuid),
    )  # fmt: skip


def delete_keys(d: TableMapping, keys: list[int]) -> sql.Composed:
    return sql.SQL("DELETE FROM {} t WHERE t.{} = ANY ({})").format(d.target.sql, sql.Identifier(d.target_key), key_array(keys))


def delete_all_gone(d: TableMapping) -> sql.Composed:
    """After a TRUNCATE: every maintained row whose key the captured side does not have."""
    return sql.SQL("DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM {} s WHERE s.{} = t.{})").format(
        d.target.sql, d.origin.sql, sql.Identifier(d.origin_key), sql.Identifier(d.target_key)
    )


def upsert(d: TableMapping, keys: list[int]) -> sql.Composed:
    """INSERT … ON CONFLICT (integer key) DO UPDATE, skipping rows whose image is already equal (1.0 is not 1.00)."""
    written = [m for m in d.columns if m.written]
    names = [sql.Identifier(m.target) for m in written]
    comma = sql.SQL(", ")
    return sql.SQL(
        "INSERT INTO {t} AS t ({columns}) SELECT {values} FROM {s} s WHERE s.{sk} = ANY ({keys})"
        " ON CONFLICT ({tk}) DO UPDATE SET {sets}"
        " WHERE ROW({old})::record *<> ROW({new})::record"
    ).format(
        t=d.target.sql,
        s=d.origin.sql,
        columns=comma.join(names),
        values=comma.join(d.value(m) for m in written),
        sk=sql.Identifier(d.origin_key),
        tk=sql.Identifier(d.target_key),
        keys=key_array(keys),
        sets=comma.join(sql.SQL("{} = EXCLUDED.{}").format(n, n) for n in names),
        old=comma.join(sql.SQL("t.{}").format(n) for n in names),
        new=comma.join(sql.SQL("EXCLUDED.{}").format(n) for n in names),
    )


def update_and_insert(d: TableMapping, keys: list[int]) -> sql.Composed:
    """The same for a key that is no arbiter of ON CONFLICT: a deferrable one (H61). There is one writer, so no row comes in between."""
    written = [m for m in d.columns if m.written]
    names = [sql.Identifier(m.target) for m in written]
    aliases = [sql.Identifier("v", f"c{n}") for n in range(len(written))]
    comma = sql.SQL(", ")
    return sql.SQL(
        "UPDATE {t} t SET {sets} FROM (SELECT s.{sk}, {values} FROM {s} s WHERE s.{sk} = ANY ({keys})) v (k, {numbered})"
        " WHERE t.{tk} = v.k AND ROW({old})::record *<> ROW({new})::record;"
        " INSERT INTO {t} ({columns}) SELECT {values} FROM {s} s WHERE s.{sk} = ANY ({keys})"
        " AND NOT EXISTS (SELECT FROM {t} t WHERE t.{tk} = s.{sk})"
    ).format(
        t=d.target.sql,
        s=d.origin.sql,
        columns=comma.join(names),
        values=comma.join(d.value(m) for m in written),
        numbered=comma.join(sql.Identifier(f"c{n}") for n in range(len(written))),
        sk=sql.Identifier(d.origin_key),
        tk=sql.Identifier(d.target_key),
        keys=key_array(keys),
        sets=comma.join(sql.SQL("{} = {}").format(n, a) for n, a in zip(names, aliases, strict=True)),
        old=comma.join(sql.SQL("t.{}").format(n) for n in names),
        new=comma.join(aliases),
    )


def _among(conn: Connection, table: TableName, column: str, values: list[int], wanted: str | None = None) -> list[int]:
    """`wanted` (else `column`) of the rows whose `column` is one of `values`."""
    if not values:
        return []
    query = sql.SQL("SELECT s.{} FROM {} s WHERE s.{} = ANY ({})").format(
        sql.Identifier(wanted or column), table.sql, sql.Identifier(column), key_array(values)
    )
    return [r[0] for r in conn.execute(query).fetchall()]


def _absent(conn: Connection, d: TableMapping, keys: list[int]) -> list[int]:
    query = sql.SQL("SELECT k FROM unnest({}) k WHERE NOT EXISTS (SELECT FROM {} t WHERE t.{} = k)").format(
        key_array(keys), d.target.sql, sql.Identifier(d.target_key)
    )
    return [r[0] for r in conn.execute(query).fetchall()]
