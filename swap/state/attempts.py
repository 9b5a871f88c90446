"""Attempts at an exchange. The row of a committed one is written in its own transaction: it is there if and only if that
committed (invariant 5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from swap.state.store import Store, age_s, kept

DETAIL = 2000  # characters of a reason that are kept


@dataclass(frozen=True)
class Attempt:
    """`kind`: cutover | revert; `outcome`: committed | rolled_back; `detail`: why it was rolled back."""

    kind: str
    outcome: str
    at: datetime
    detail: str | None
    xid: str | None


class Attempts:
    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _table(self) -> sa.Table:
        return self._store.t["attempt"]

    def committed(self, run_id: int, kind: str) -> str:
        """Note that the current transaction exchanges. Returns its id."""
        a = self._table
        insert = sa.insert(a).values(run_id=run_id, kind=kind, outcome="committed", xid=sa.text("pg_current_xact_id()::text"))
        return str(self._store.value(insert.returning(a.c.xid)))

    def rolled_back(self, run_id: int, kind: str, reason: str) -> None:
        detail = kept(self._store.conn, reason)[:DETAIL]
        self._store.execute(sa.insert(self._table).values(run_id=run_id, kind=kind, outcome="rolled_back", detail=detail))

    def has(self, run_id: int, xid: str) -> bool:
        """Whether the exchange of transaction `xid` committed."""
        a = self._table
        return self._store.value(sa.select(a.c.id).where(a.c.run_id == run_id, a.c.xid == xid)) is not None

    def forget_ids(self, run_id: int) -> None:
        """The exchanges of a copy's original: here other transactions have, or will have, their ids."""
        a = self._table
        self._store.execute(sa.update(a).where(a.c.run_id == run_id).values(xid=None))

    def last(self, run_id: int) -> Attempt | None:
        a = self._table
        query = sa.select(a.c.kind, a.c.outcome, a.c.at, a.c.detail, a.c.xid).where(a.c.run_id == run_id)
        return self._store.first(query.order_by(a.c.id.desc()).limit(1), Attempt)

    def exchanged_xid(self, run_id: int) -> str | None:
        """The transaction of the last exchange. None where its id is another server's."""
        a = self._table
        query = sa.select(a.c.xid).where(a.c.run_id == run_id, a.c.outcome == "committed")
        found = self._store.value(query.order_by(a.c.id.desc()).limit(1))
        return None if found is None else str(found)

    def exchanged_s(self, run_id: int) -> float | None:
        """How long ago that was, by the server's clock."""
        a = self._table
        found = self._store.value(sa.select(age_s(sa.func.max(a.c.at))).where(a.c.run_id == run_id, a.c.outcome == "committed"))
        return None if found is None else float(found)

    def exchanged_at(self, run_id: int) -> datetime | None:
        """When the last exchange of the run wrote its row, under its lock: a session that began later has read nothing of
        before."""
        a = self._table
        found = self._store.value(sa.select(sa.func.max(a.c.at)).where(a.c.run_id == run_id, a.c.outcome == "committed"))
        return found if isinstance(found, datetime) else None
