"""Ranges of the backfill. A range's row is marked done in the transaction that wrote its rows (invariant 4)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from swap.state.store import Store

OF_FILE = " of file "
"""Between the name of a part and the number of the file whose heap blocks its ranges are."""


@dataclass(frozen=True)
class Chunk:
    """The range from `low` to `high`, both in it. `rows`: how many it wrote; None while it is not done."""

    number: int
    low: int
    high: int
    rows: int | None = None

    @property
    def done(self) -> bool:
        return self.rows is not None

    @property
    def width(self) -> int:
        """Keys or blocks."""
        return self.high - self.low + 1


@dataclass(frozen=True)
class PartProgress:
    """How far a part is: `rows` written and `width` (keys or blocks) passed by its finished ranges; `high`: the last that was claimed;
    `unfinished`: claimed ranges that are not done. `recent_rows`, `recent_width`: of the last `recent_s` seconds."""

    part: str
    rows: int
    width: int
    high: int
    unfinished: int
    recent_rows: int
    recent_width: int
    recent_s: float


class Chunks:
    """The ranges of one run's parts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _table(self) -> sa.Table:
        return self._store.t["chunk"]

    def of(self, run_id: int, part: str) -> list[Chunk]:
        """Every range of the part that was claimed, in their order."""
        c = self._table
        query = sa.select(c.c.number, c.c.low, c.c.high, c.c.rows).where(c.c.run_id == run_id, c.c.part == part)
        return self._store.rows(query.order_by(c.c.number), Chunk)

    def claim(self, run_id: int, part: str, chunk: Chunk) -> None:
        insert = sa.insert(self._table)
        self._store.execute(insert.values(run_id=run_id, part=part, number=chunk.number, low=chunk.low, high=chunk.high))

    def finish(self, run_id: int, part: str, number: int, rows: int) -> bool:
        """Mark the range done. False when it is already: the session of a killed worker may commit its range after all."""
        c = self._table
        update = (
            sa.update(c)
            .where(c.c.run_id == run_id, c.c.part == part, c.c.number == number)
            .where(c.c.rows.is_(None))
            .values(rows=rows, done_at=sa.func.clock_timestamp())
        )
        return self._store.value(update.returning(c.c.number)) is not None

    def bound(self, run_id: int, part: str) -> int | None:
        """The last key or heap block of the part; None before it began."""
        b = self._store.t["bound"]
        found = self._store.value(sa.select(b.c.last).where(b.c.run_id == run_id, b.c.part == part))
        return None if found is None else int(found)

    def set_bound(self, run_id: int, part: str, last: int) -> None:
        self._store.execute(sa.insert(self._store.t["bound"]).values(run_id=run_id, part=part, last=last))

    def forget(self, run_id: int, part: str) -> None:
        """The part begins again: its ranges and its bound are forgotten."""
        for table in (self._table, self._store.t["bound"]):
            self._store.execute(sa.delete(table).where(table.c.run_id == run_id, table.c.part == part))

    def rows_by_part(self, run_id: int) -> dict[str, int]:
        """Rows that the finished ranges of each part wrote, in all its files."""
        c = self._table
        rows = sa.func.coalesce(sa.func.sum(c.c.rows), 0).label("rows")
        query = sa.select(c.c.part, rows).where(c.c.run_id == run_id).group_by(c.c.part)
        out: dict[str, int] = {}
        for part, count in self._store.rows(query, lambda part, rows: (part, int(rows))):
            name = part.partition(OF_FILE)[0]
            out[name] = out.get(name, 0) + count
        return out

    def progress(self, run_id: int, window_s: float) -> dict[str, PartProgress]:
        """Each part by its name, the number of its file in it. Rates are those of the last `window_s` seconds, or since the part
        began, by the server's clock."""
        c = self._table
        now = sa.func.clock_timestamp()
        width = c.c.high - c.c.low + 1
        recent = c.c.done_at > now - sa.func.make_interval(0, 0, 0, 0, 0, 0, window_s)
        since_s = sa.cast(sa.func.extract("epoch", now - sa.func.min(c.c.done_at)), sa.Double)

        def total(value: sa.ColumnElement[int], where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
            return sa.cast(sa.func.coalesce(sa.func.sum(value).filter(where), 0), sa.BigInteger)

        done = c.c.rows.is_not(None)
        query = sa.select(
            c.c.part, total(c.c.rows, done).label("rows"), total(width, done).label("width"), sa.func.max(c.c.high).label("high"),
            sa.func.count().filter(c.c.rows.is_(None)).label("unfinished"), total(c.c.rows, recent).label("recent_rows"),
            total(width, recent).label("recent_width"), sa.func.least(since_s, window_s).label("recent_s"),
        )  # fmt: skip
        found = self._store.rows(query.where(c.c.run_id == run_id).group_by(c.c.part), PartProgress)
        return {p.part: p for p in found}
