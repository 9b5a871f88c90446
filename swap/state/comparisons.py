"""The verification under way: which key ranges it has compared, in which snapshot, and under which conditions. `verify.kept_ranges`
says when they still count.

At most one for each run. Its row in `comparison` keeps the queue's entries: the rotation of the change tables drops the row in the
transaction that drops the entries (swap/sync/rotate.py). So whoever finds the row finds every change since its watermark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from swap.core.snapshot import Snapshot
from swap.state.store import Store, age_s

BATCH = 500  # ranges of one INSERT


@dataclass(frozen=True)
class Comparison:
    """`conditions`: what has to be the same for its ranges to count. `snapshot`: its oldest, as pg_snapshot text. `watermark`: every
    compared range is equal up to these changes. `idle_s`: since it was last at work."""

    conditions: dict[str, Any]
    snapshot: str
    watermark: str
    began_at: datetime
    idle_s: float


@dataclass(frozen=True)
class ComparedRange:
    """low <= key < high of the swapped table `part`. None: no bound. The snapshot, the WAL position and replay's watermark in which it
    was compared; None while it was not. `counted`: its rows were counted without an index in that snapshot too."""

    part: str
    number: int
    low: int | None
    high: int | None
    snapshot: str | None = None
    lsn: str | None = None
    watermark: str | None = None
    origin_rows: int = 0
    target_rows: int = 0
    origin_digest: str | None = None
    target_digest: str | None = None
    pending: int = 0
    counted: bool = False

    @property
    def done(self) -> bool:
        return self.snapshot is not None


@dataclass(frozen=True)
class ComparisonProgress:
    """Of one swapped table: how many of its ranges are compared, and the age of the oldest. `up_to`: every key below it is; None:
    every key, or none."""

    part: str
    ranges: int
    planned: int
    up_to: int | None
    oldest_s: float | None


class Comparisons:
    """Of each run the verification that has begun and not ended."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _comparison(self) -> sa.Table:
        return self._store.t["comparison"]

    @property
    def _range(self) -> sa.Table:
        return self._store.t["compared_range"]

    def find(self, run_id: int) -> Comparison | None:
        c = self._comparison
        query = sa.select(c.c.conditions, c.c.snapshot, c.c.watermark, c.c.began_at, age_s(c.c.compared_at).label("idle_s"))
        return self._store.first(query.where(c.c.run_id == run_id), Comparison)

    def begin(self, run_id: int, conditions: dict[str, Any], snapshot: str, watermark: Snapshot) -> None:
        """The one before it is forgotten."""
        self.forget(run_id)
        self._store.execute(
            sa.insert(self._comparison).values(
                run_id=run_id, conditions=conditions, snapshot=snapshot, watermark=str(watermark)
            )
        )  # fmt: skip

    def plan(self, run_id: int, ranges: Iterable[ComparedRange]) -> None:
        rows = [{"run_id": run_id, "part": r.part, "number": r.number, "low": r.low, "high": r.high} for r in ranges]
        for n in range(0, len(rows), BATCH):
            self._store.execute(sa.insert(self._range).values(rows[n : n + BATCH]))

    def ranges(self, run_id: int, part: str) -> list[ComparedRange]:
        """Every planned range of a table, in order."""
        r = self._range
        query = sa.select(
            r.c.part, r.c.number, r.c.low, r.c.high, r.c.snapshot, r.c.lsn, r.c.watermark, r.c.origin_rows, r.c.target_rows,
            r.c.origin_digest, r.c.target_digest, r.c.pending, r.c.counted,
        )  # fmt: skip
        return self._store.rows(query.where(r.c.run_id == run_id, r.c.part == part).order_by(r.c.number), ComparedRange)

    def finish(self, run_id: int, done: ComparedRange) -> None:
        """The range is compared, and both sides are equal."""
        r, c = self._range, self._comparison
        now = sa.func.clock_timestamp()
        update = sa.update(r).where(r.c.run_id == run_id, r.c.part == done.part, r.c.number == done.number)
        self._store.execute(
            update.values(
                snapshot=done.snapshot, lsn=done.lsn, watermark=done.watermark, origin_rows=done.origin_rows,
                target_rows=done.target_rows, origin_digest=done.origin_digest, target_digest=done.target_digest,
                pending=done.pending, counted=done.counted, compared_at=now,
            )
        )  # fmt: skip
        self._store.execute(sa.update(c).where(c.c.run_id == run_id).values(compared_at=now))

    def touch(self, run_id: int) -> None:
        """The verification is at work."""
        c = self._comparison
        self._store.execute(sa.update(c).where(c.c.run_id == run_id).values(compared_at=sa.func.clock_timestamp()))

    def mark_counted(self, run_id: int, part: str, numbers: Iterable[int]) -> None:
        r = self._range
        where = (r.c.run_id == run_id, r.c.part == part, r.c.number.in_(list(numbers)))
        self._store.execute(sa.update(r).where(*where).values(counted=True))

    def move(self, run_id: int, since: Snapshot, to: Snapshot) -> None:
        """Every key that changed after `since` is equal up to `to`. So the ranges are, if they were equal at a later moment than
        `since`."""
        found = self.find(run_id)
        if found is not None and since.within(at := Snapshot.parse(found.watermark)) and at.within(to):
            c = self._comparison
            moved = sa.update(c).where(c.c.run_id == run_id, c.c.watermark == found.watermark)
            self._store.execute(moved.values(watermark=str(to)))

    def forget(self, run_id: int) -> None:
        for table in (self._range, self._comparison):
            self._store.execute(sa.delete(table).where(table.c.run_id == run_id))

    def progress(self, run_id: int) -> list[ComparisonProgress]:
        """Of each table, in the order in which they were planned."""
        r = self._range
        done = r.c.compared_at.is_not(None)
        first_due = sa.func.bool_or(sa.and_(~done, r.c.low.is_(None)))
        up_to = sa.case((first_due, None), else_=sa.func.min(r.c.low).filter(~done))
        query = sa.select(
            r.c.part, sa.func.count().filter(done).label("ranges"), sa.func.count().label("planned"),
            up_to.label("up_to"), age_s(sa.func.min(r.c.compared_at)).label("oldest_s"),
        )  # fmt: skip
        return self._store.rows(query.where(r.c.run_id == run_id).group_by(r.c.part).order_by(r.c.part), ComparisonProgress)
