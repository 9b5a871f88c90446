"""Replay: makes the maintained side's rows for captured keys equal to the captured side's rows as they are now.

One REPEATABLE READ transaction reads the queue and the rows, so a row is a function of its origin at a moment
after its last processed change (invariant 3); the watermark moves in the same transaction (invariant 4).
Inside the cutover the same functions run under the lock, where nothing can change.
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
from swap.sync.change_queue import Batch, advance, batch_keys, current_snapshot, next_batch, read_watermark

BATCH = 20_000
SLICE = 30_000  # keys of one statement: an ordinary batch whole, because the queue is read once for each slice
CONFLICT = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation)


@dataclass(frozen=True)
class Replayed:
    """`entries` taken from the queue; `complete`: the maintained side equals the captured one at that snapshot."""

    entries: int
    complete: bool


class Fence(Protocol):
    """Logical mode: `close_up` waits until the queue holds every change that committed before it was called, and returns
    the session in which to read the queue then. Its transactions see later entries than the caller's snapshot does."""

    def close_up(self) -> Connection: ...


def replay(
    conn: Connection, plan: Plan, d: TableMapping, run_id: int, limit: int | None = BATCH, fence: Fence | None = None
) -> Replayed:
    """One batch in a transaction of its own.

    A violation of a unique or exclusion constraint means that another stale row still holds the value, and its key is
    queued too, or in logical mode not delivered yet: then the whole visible queue is taken, behind the fence if there is
    one, and every row of it is deleted before any is inserted. A second violation, or any other conflict, is a defect
    and nothing is applied.
    """
    try:
        return _replay(conn, plan, d, run_id, limit, two_pass=False)
    except CONFLICT:
        try:
            if fence is not None:
                return _replay_all(conn, plan, d, run_id, fence, two_pass=True)
            return _replay(conn, plan, d, run_id, None, two_pass=True)
        except CONFLICT as e:
            raise _unexplained(d, e) from None


def _unexplained(d: TableMapping, e: psycopg.Error) -> DefectError:
    return DefectError(
        f"Replay into {d.target} met a conflict that no queued change explains: {e.diag.message_primary}."
        f" {e.diag.message_detail or ''}",
        hint="Was the shadow written to by someone else? `swap verify` names the rows.",
    )


def replay_all(conn: Connection, plan: Plan, d: TableMapping, run_id: int, fence: Fence) -> Replayed:
    """Logical mode: what one snapshot shows, whole. Afterwards the maintained side equals the captured one in it.

    The queue alone cannot promise that: what this snapshot shows may not have been delivered yet. So the snapshot is
    taken first; then the stream passes it; then the queue is read by a later snapshot of another session, and the rows
    by this one. Entries of transactions that only the later one sees are applied harmlessly and stay due.
    """
    try:
        return _replay_all(conn, plan, d, run_id, fence, two_pass=False)
    except CONFLICT:
        try:
            return _replay_all(conn, plan, d, run_id, fence, two_pass=True)
        except CONFLICT as e:
            raise _unexplained(d, e) from None


def _replay_all(conn: Connection, plan: Plan, d: TableMapping, run_id: int, fence: Fence, *, two_pass: bool) -> Replayed:
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        read_in = current_snapshot(conn)
        watermark = read_watermark(conn, plan, run_id)
        later = fence.close_up()
        with later.transaction():
            later.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            batch = next_batch(later, plan, watermark, None, read_in)
            if batch.entries:
                apply(conn, plan, d, batch, two_pass=two_pass, queue=later)
                advance(conn, plan, run_id, batch)
    return Replayed(batch.entries, complete=True)


def _replay(conn: Connection, plan: Plan, d: TableMapping, run_id: int, limit: int | None, *, two_pass: bool) -> Replayed:
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return take(conn, plan, d, run_id, limit, two_pass=two_pass)


def take(conn: Connection, plan: Plan, d: TableMapping, run_id: int, limit: int | None, *, two_pass: bool) -> Replayed:
    """Read a batch, apply it, move the watermark: in the caller's transaction."""
    watermark = read_watermark(conn, plan, run_id)
    batch = next_batch(conn, plan, watermark, limit)
    complete = limit is None or batch.entries <= limit
    if batch.entries:
        apply(conn, plan, d, batch, two_pass=two_pass)
        advance(conn, plan, run_id, batch)
    return Replayed(batch.entries, complete)


def apply(
    conn: Connection, plan: Plan, d: TableMapping, batch: Batch, *, two_pass: bool, queue: Connection | None = None
) -> None:
    """`queue`: the session that reads the batch's keys, if not this one."""
    queue = queue or conn
    if batch.truncated:
        conn.execute(delete_all_gone(d))
    if queue is not conn:
        conn.execute(sql.SQL(NESTED_LOOPS))
    stale: list[int] = []

    def delete(keys: list[int], left: list[int]) -> None:
        stale.extend(_delete_gone(conn, plan, d, keys, left))
        conn.execute(delete_keys(d, keys))

    def put(keys: list[int], left: list[int]) -> None:
        stale.extend(_delete_gone(conn, plan, d, keys, left))
        conn.execute(upsert(d, keys))

    if two_pass:
        _slices(queue, plan, batch, delete)
    _slices(queue, plan, batch, put)
    while stale:
        keys = stale[:SLICE]
        del stale[:SLICE]
        put(keys, keys)


def _slices(conn: Connection, plan: Plan, batch: Batch, do: Callable[[list[int], list[int]], None]) -> None:
    """`do(keys, left)` for each slice of the batch; `left`: those of the keys that a row may have left."""
    after = None
    while entries := batch_keys(conn, plan, batch, after, SLICE):
        do([key for key, _ in entries], [key for key, gone in entries if gone])
        after = entries[-1][0]
        if len(entries) < SLICE:
            break


def _delete_gone(conn: Connection, plan: Plan, d: TableMapping, keys: list[int], left: list[int]) -> list[int]:
    """Delete what the captured side no longer has. Returns the keys of rows that look up the uuid of another row
    than before: such rows are stale though they did not change themselves.

    Behind a validated foreign key only a row that was deleted and inserted again under its key, with another uuid,
    has them; without one, a row that came or went has them too.
    """
    gone = [r[0] for r in conn.execute(delete_gone(d, left)).fetchall()] if left else []
    out: list[int] = []
    for m in d.lookups:
        if not _backed(plan, m.origin):
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
    """DELETE what the captured side no longer has, or has under another uuid."""
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
