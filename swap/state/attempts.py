"""Attempts at an exchange. The row of a committed one is written in its own transaction: it is there if and only if that
committed (invariant 5)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from swap.state.store import Store, age_s, kept

DETAIL = 2000  # characters of a reason that are kept
COMMITTED, MEASURED = "committed", "measured"


@dataclass(frozen=True)
class Attempt:
    """`kind`: cutover | revert; `outcome`: committed | rolled_back; `detail`: why it was rolled back. `locked_ms`, `lock_wait_ms`: of
    one that committed; None where the command was lost before it could measure them."""

    kind: str
    outcome: str
    at: datetime
    detail: str | None
    xid: str | None
    locked_ms: float | None = None
    lock_wait_ms: float | None = None


class _Count(NamedTuple):
    kind: str
    outcome: str
    number: int


class Attempts:
    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _table(self) -> sa.Table:
        return self._store.t["attempt"]

    def committed(self, run_id: int, kind: str) -> str:
        """Note that the current transaction exchanges. Returns its id."""
        a = self._table
        insert = sa.insert(a).values(run_id=run_id, kind=kind, outcome=COMMITTED, xid=sa.text("pg_current_xact_id()::text"))
        return str(self._store.value(insert.returning(a.c.xid)))

    def measured(self, run_id: int, xid: str, *, locked_ms: float, lock_wait_ms: float) -> None:
        """How long the exchange of transaction `xid` held its locks and waited for them: known when that has committed. It is an event:
        the attempt's row tells by its xmin which transaction was the exchange (verify/own_transactions.sql), so it stays as it is."""
        times = json.dumps({"xid": xid, "locked_ms": round(locked_ms, 1), "lock_wait_ms": round(lock_wait_ms, 1)})
        self._store.execute(sa.insert(self._store.t["event"]).values(run_id=run_id, kind=MEASURED, message=times))

    def rolled_back(self, run_id: int, kind: str, reason: str) -> None:
        detail = kept(self._store.conn, reason)[:DETAIL]
        self._store.execute(sa.insert(self._table).values(run_id=run_id, kind=kind, outcome="rolled_back", detail=detail))

    def counts(self, run_id: int) -> dict[tuple[str, str], int]:
        """How many attempts of the run there were, by kind and outcome."""
        a = self._table
        number = sa.func.count().label("number")
        query = sa.select(a.c.kind, a.c.outcome, number).where(a.c.run_id == run_id).group_by(a.c.kind, a.c.outcome)
        return {(c.kind, c.outcome): c.number for c in self._store.rows(query, _Count)}

    def has(self, run_id: int, xid: str) -> bool:
        """Whether the exchange of transaction `xid` committed."""
        a = self._table
        return self._store.value(sa.select(a.c.id).where(a.c.run_id == run_id, a.c.xid == xid)) is not None

    def forget_ids(self, run_id: int) -> None:
        """The exchanges of a copy's original: here other transactions have, or will have, their ids."""
        a = self._table
        self._store.execute(sa.update(a).where(a.c.run_id == run_id).values(xid=None))

    def last(self, run_id: int) -> Attempt | None:
        a, e = self._table, self._store.t["event"]
        query = sa.select(a.c.kind, a.c.outcome, a.c.at, a.c.detail, a.c.xid).where(a.c.run_id == run_id)
        found = self._store.first(query.order_by(a.c.id.desc()).limit(1), Attempt)
        if found is None or found.outcome != COMMITTED:
            return found
        measured = sa.select(e.c.message).where(e.c.run_id == run_id, e.c.kind == MEASURED).order_by(e.c.id.desc()).limit(1)
        times = json.loads(self._store.value(measured) or "{}")
        if found.xid is None or times.get("xid") != found.xid:
            return found
        return replace(found, locked_ms=times["locked_ms"], lock_wait_ms=times["lock_wait_ms"])

    def exchanged_xid(self, run_id: int) -> str | None:
        """The transaction of the last exchange. None where its id is another server's."""
        a = self._table
        query = sa.select(a.c.xid).where(a.c.run_id == run_id, a.c.outcome == "committed")
        found = self._store.value(query.order_by(a.c.id.desc()).limit(1))
        return None if found is None else str(found)

    def exchanged_s(self, run_id: int) -> float | None:
        """How long ago that was, by the server's clock."""
        a = self._table
        found = self._store.value(sa.select(age_s(sa.func.max(a.c.at))).where(a.c.run_id == run_id, a.c.outcome == COMMITTED))
        return None if found is None else float(found)

    def exchanged_at(self, run_id: int) -> datetime | None:
        """When the last exchange of the run wrote its row, under its lock: a session that began later has read nothing of
        before."""
        a = self._table
        found = self._store.value(sa.select(sa.func.max(a.c.at)).where(a.c.run_id == run_id, a.c.outcome == COMMITTED))
        return found if isinstance(found, datetime) else None
