"""Where capture stands: the change table in use, the number of the exchange, the stream's slot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from swap.core.snapshot import Snapshot
from swap.state.store import Store


@dataclass(frozen=True)
class ReplayPosition:
    """How many changes were replayed since the run began; when the last batch was, and when this was read."""

    replayed: int
    replayed_at: datetime | None
    now: datetime


class Capture:
    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, run_id: int) -> None:
        """Capture begins: the watermark is the snapshot of the current transaction."""
        now = self._store.value(sa.select(sa.func.pg_current_snapshot().cast(sa.Text)))
        watermark = str(Snapshot.parse(now))
        self._store.execute(sa.insert(self._store.t["capture"]).values(run_id=run_id, watermark=watermark))

    def begin_again(self, run_id: int, watermark: Snapshot) -> None:
        """Everything that commits after `watermark` is due, and nothing before it."""
        c = self._store.t["capture"]
        self._store.execute(sa.update(c).where(c.c.run_id == run_id).values(watermark=str(watermark)))

    def position(self, run_id: int) -> ReplayPosition | None:
        """None before capture began."""
        c = self._store.t["capture"]
        query = sa.select(c.c.replayed, c.c.replayed_at, sa.func.clock_timestamp().label("now")).where(c.c.run_id == run_id)
        return self._store.first(query, ReplayPosition)

    def table_no(self, run_id: int) -> int:
        """The number of the change table that writers add to: 0 or 1."""
        c = self._store.t["capture"]
        return int(self._store.value(sa.select(c.c.active).where(c.c.run_id == run_id)))

    def use_table(self, run_id: int, table_no: int) -> None:
        c = self._store.t["capture"]
        self._store.execute(sa.update(c).where(c.c.run_id == run_id).values(active=table_no))

    def after_exchange(self, run_id: int, tag: int) -> tuple[int, int]:
        """For the functions of capture and fence that the next exchange makes: the change table in use, and the number of that
        exchange."""
        return self.table_no(run_id), self.generation(tag) + 1

    def generation(self, tag: int) -> int:
        """How many exchanges the source of `tag` has been through: the fence compares it (swap/ddl/fence.sql)."""
        f = self._store.t["fence"]
        return int(self._store.value(sa.select(f.c.generation).where(f.c.tag == tag)))

    def begin_stream(self, run_id: int, slot: str, position: int) -> None:
        """The stream reads `slot`, from this WAL position (as a number) on. What an earlier slot left is forgotten."""
        self.end_stream(run_id)
        self._store.execute(sa.insert(self._store.t["stream"]).values(run_id=run_id, slot=slot, position=position))

    def end_stream(self, run_id: int) -> None:
        s = self._store.t["stream"]
        self._store.execute(sa.delete(s).where(s.c.run_id == run_id))
