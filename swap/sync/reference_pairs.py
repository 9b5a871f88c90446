"""Makes the references in place right whose parent came later, or has another key now (swap.ddl.pairs says why there are any).

`PairNotes` notes them in the transaction of a replay. `settle` makes them right after it, in small READ COMMITTED transactions of
their own: a row that an application's transaction has locked is passed by and stays noted, so no session waits for swap's and no
transaction of the application's fails because of it. The application's triggers stay quiet as during the backfill (H14).

An exchange calls `settle_locked` under its lock, where nobody else writes: afterwards nothing is noted but what waits for its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql

from swap.core.connection import Connection, may_set
from swap.core.errors import DifferenceError
from swap.core.lock_retries import RETRIED, local_timeout
from swap.core.planner_settings import ANY_PLAN, NESTED_LOOPS
from swap.core.sql_text import Query, verbatim
from swap.ddl.pairs import (
    SETTLING,
    Pair,
    advance_horizons,
    close_values,
    count_due,
    due_values,
    forget_horizons,
    forget_others,
    has_notes,
    note_stale,
    settled_references,
    wake,
    wake_gone,
)
from swap.ddl.text_references import pair_of
from swap.plan.backfill_triggers import SUPPRESS
from swap.plan.direction import Direction, TableMapping
from swap.plan.model import Plan
from swap.plan.row_keys import Key, among, origin_columns, target_columns
from swap.state.migration import Migration
from swap.sync.change_queue import Batch, ChangeQueue

VALUES, ROWS = 200, 500  # of one transaction
# A unique value is held by a row that gives it up later; or the window of a primary key's check (swap.sync.required_columns).
CONFLICT = (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation, psycopg.errors.CheckViolation)
T = TypeVar("T")
LOUD = "SET LOCAL session_replication_role = DEFAULT"


class PairNotes:
    """What one replay notes, slice by slice of the source's keys, before it changes a row of the maintained side."""

    def __init__(self, conn: Connection, plan: Plan, d: TableMapping) -> None:
        self.conn, self.plan, self.d = conn, plan, d
        self.forward = d.direction is Direction.FORWARD
        self.numbers = [r.number for r in settled_references(plan, d.direction)]
        self.some: bool | None = None

    def take(self, queue: ChangeQueue, batch: Batch, keys: Sequence[Key], left: Sequence[Key]) -> None:
        """`left`: those of the keys that a row may have left."""
        if not self.numbers or self.d.origin_uuid is None:
            return
        if self.some is None:
            row = self.conn.execute(has_notes(self.plan)).fetchone()
            self.some = bool(row and row[0])
        if self.d.target_uuid is not None:
            self.conn.execute(note_stale(self.plan, self.numbers, self._moved(keys)))
        if left:
            self.conn.execute(note_stale(self.plan, self.numbers, self._born_again(queue, batch, left)))
        if self.some:
            self.conn.execute(wake(self.plan, self._living(keys)))

    def _moved(self, keys: Sequence[Key]) -> sql.Composed:
        """By what references name them: the parents whose pair (integer, uuid) on the maintained side is not one of the captured
        side, though one of the two is there in another pair."""
        d = self.d
        assert d.origin_uuid is not None
        assert d.target_uuid is not None
        return sql.SQL(
            "SELECT t.{named}::text FROM ONLY {target} t WHERE {among} AND EXISTS (SELECT FROM ONLY {origin} s WHERE"
            " s.{key} = t.{target_key} AND s.{uuid} <> t.{target_uuid} OR s.{uuid} = t.{target_uuid} AND s.{key} <> t.{target_key})"
        ).format(
            named=sql.Identifier(d.target_key if self.forward else d.target_uuid), target=d.target.sql, origin=d.origin.sql,
            among=among(d, target_columns(d, "t"), keys), key=sql.Identifier(d.origin_key), uuid=sql.Identifier(d.origin_uuid),
            target_key=sql.Identifier(d.target_key), target_uuid=sql.Identifier(d.target_uuid),
        )  # fmt: skip

    def _born_again(self, queue: ChangeQueue, batch: Batch, left: Sequence[Key]) -> Query:
        """The parents that went and are there again. Between two replays they may have had a pair that no side has now."""
        d = self.d
        assert d.origin_uuid is not None
        if self.forward:
            return sql.SQL("SELECT s.{}::text FROM ONLY {} s WHERE {}").format(
                sql.Identifier(d.origin_key), d.origin.sql, among(d, origin_columns(d, "s"), left)
            )
        uuids = sorted({uuid for _, uuid in queue.batch_uuids(batch, d, left)})
        return sql.SQL("SELECT s.{u}::text FROM ONLY {} s WHERE s.{u} = ANY ({}::uuid[])").format(
            d.origin.sql, sql.Literal("{" + ",".join(uuids) + "}"), u=sql.Identifier(d.origin_uuid)
        )

    def _living(self, keys: Sequence[Key]) -> sql.Composed:
        """Both keys of the parents that are there, as the captured side has them."""
        d = self.d
        assert d.origin_uuid is not None
        rows = sql.SQL("SELECT s.{}::text FROM ONLY {} s WHERE {}")
        where = among(d, origin_columns(d, "s"), keys)
        both = (rows.format(sql.Identifier(c), d.origin.sql, where) for c in (d.origin_key, d.origin_uuid))
        return sql.SQL(" UNION ALL ").join(both)


def settle(migration: Migration) -> int:
    """Make right what is noted and can be made right now. Returns the number of rows that were changed."""
    plan, conn = migration.plan, migration.conn
    refs = settled_references(plan, migration.run.direction)
    if not refs or not _due(conn, plan):
        return 0
    conn.execute(advance_horizons(plan))
    return sum(_Settling(migration, pair_of(plan, ref, migration.run.direction)).run() for ref in refs)


def settle_locked(migration: Migration) -> int:
    """Under the exchange's lock, after the drain, in its transaction. Raises DifferenceError where a reference stays wrong."""
    plan, conn = migration.plan, migration.conn
    if not plan.references:
        return 0
    if migration.run.direction is Direction.REVERSE:
        conn.execute(wake_gone(plan))
    if not _due(conn, plan):
        return 0
    numbers = [r.columns.number for r in plan.references]
    conn.execute(forget_horizons(plan))
    conn.execute(forget_others(plan, numbers))
    pairs = [pair_of(plan, r.columns, migration.run.direction) for r in plan.references]
    changed = sum(_Settling(migration, pair, skip_locked=False).run() for pair in pairs)
    if left := unsettled(conn, plan):
        raise DifferenceError(
            f"{left} references in place cannot be made right under the lock.",
            state="Nothing was changed; syncing goes on.",
            hint="Run `swap verify --method exact`; see RUNBOOK.md, 'Differences'.",
        )
    return changed


def unsettled(conn: Connection, plan: Plan) -> int:
    """How many notes do not only wait for their parent."""
    row = conn.execute(count_due(plan)).fetchone()
    return int(row[0]) if row else 0


def _due(conn: Connection, plan: Plan) -> bool:
    row = conn.execute(has_notes(plan)).fetchone()
    return bool(row and row[1])


class _Settling:
    """One reference, page by page of its noted values. Each transaction is a savepoint where the caller has one open."""

    def __init__(self, migration: Migration, pair: Pair, *, skip_locked: bool = True) -> None:
        self.conn, self.plan, self.pair, self.skip_locked = migration.conn, migration.plan, pair, skip_locked
        quiet = may_set(migration.conn, "session_replication_role")
        wait = [local_timeout("lock_timeout", migration.config.cutover.lock_timeout_ms)] if skip_locked else []
        self.before = sql.SQL("; ").join([*wait, verbatim(SUPPRESS if quiet else "SELECT"), verbatim(NESTED_LOOPS)])
        self.after = sql.SQL("; ").join([verbatim(LOUD if quiet else "SELECT"), verbatim(ANY_PLAN)])

    def run(self) -> int:
        changed, after = 0, ""
        while values := self._values(after, VALUES):
            try:
                changed += self._page(values)
            except RETRIED:  # a lock was not free: the values stay noted
                if not self.skip_locked:
                    raise
            after = values[-1]
        return changed

    def _values(self, after: str, limit: int) -> list[str]:
        return [v for (v,) in self.conn.execute(due_values(self.plan, self.pair.ref.number, after, limit))]

    def _page(self, values: list[str]) -> int:
        try:
            changed = self._correct(values)
        except CONFLICT:
            try:
                changed = self._exchange_values()
            except CONFLICT:  # the row that holds the value is noted by a later replay
                return 0
        self._transaction(lambda: self.conn.execute(close_values(self.plan, self.pair, values)))
        return changed

    def _correct(self, values: Sequence[str]) -> int:
        changed = 0
        for heap in self.pair.heaps:
            while rows := self._transaction(
                lambda heap=heap: self.conn.execute(  # type: ignore[misc]
                    self.pair.correct(heap, values, ROWS, skip_locked=self.skip_locked)
                )
            ).rowcount:
                changed += rows
                if rows < ROWS:
                    break
        return changed

    def _exchange_values(self) -> int:
        """Rows exchange values that are unique: in one transaction all give up theirs, then each gets its own."""
        values, pair, limit = self._values("", 100 * VALUES), self.pair, 100 * ROWS

        def body() -> int:
            self.conn.execute(SETTLING)
            for heap in pair.heaps:
                self.conn.execute(pair.give_up(heap, values, limit, skip_locked=self.skip_locked))
            self.conn.execute("SET LOCAL swap.settling = ''")
            return sum(
                self.conn.execute(pair.correct(heap, values, limit, skip_locked=self.skip_locked)).rowcount for heap in pair.heaps
            )

        return self._transaction(body)

    def _transaction(self, body: Callable[[], T]) -> T:
        with self.conn.transaction():
            self.conn.execute(self.before)
            out = body()
            self.conn.execute(self.after)
        return out
