"""Verifications: one row each, and the digests of its ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from swap.core.printable import printable_document
from swap.plan.direction import Direction
from swap.state.store import Store, age_s

BATCH = 500  # digests of one INSERT


@dataclass(frozen=True)
class Verification:
    """`snapshot`: as pg_snapshot text; `rows`: compared, over all tables; `repaired`: differing keys were queued after it. `files`:
    of the tables that were compared, by their names: oid and relfilenode. Empty where an older version verified."""

    id: int
    method: str
    direction: str
    verdict: str
    repaired: bool
    snapshot: str
    finished_at: datetime
    age_s: float
    rows: int
    files: dict[str, tuple[int, int]]


def _verification(*, tables: list[dict[str, Any]] | None, files: list[dict[str, Any]] | None, **row: Any) -> Verification:
    known = {f["table"]: (f["oid"], f["filenode"]) for f in files or ()}
    return Verification(**row, rows=sum(t["rows"] for t in tables or ()), files=known)


class Verifications:
    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _table(self) -> sa.Table:
        return self._store.t["verification"]

    def add(
        self, run_id: int, *, method: str, direction: Direction, verdict: str, snapshot: str | None, fingerprint: str | None,
        started_at: datetime,
    ) -> int:  # fmt: skip
        """Returns the number of the verification. Its report, which holds that number, comes with `store_report`."""
        v = self._table
        insert = sa.insert(v).values(
            run_id=run_id, method=method, direction=direction, verdict=verdict, snapshot=snapshot, fingerprint=fingerprint,
            repaired=False, started_at=started_at,
        )  # fmt: skip
        return int(self._store.value(insert.returning(v.c.id)))

    def store_report(self, number: int, document: Mapping[str, object]) -> None:
        v = self._table
        self._store.execute(sa.update(v).where(v.c.id == number).values(report=printable_document(dict(document))))

    def store_digests(self, number: int, digests: Sequence[Mapping[str, object]]) -> None:
        """`digests`: part, number, low, high, rows, digest of each range and side."""
        table = self._store.t["range_digest"]
        for n in range(0, len(digests), BATCH):
            rows = [{"verification_id": number, **values} for values in digests[n : n + BATCH]]
            self._store.execute(sa.insert(table).values(rows))

    def mark_repaired(self, number: int) -> None:
        v = self._table
        self._store.execute(sa.update(v).where(v.c.id == number).values(repaired=True))

    def last(self, run_id: int) -> Verification | None:
        v = self._table
        query = sa.select(
            v.c.id, v.c.method, v.c.direction, v.c.verdict, v.c.repaired, v.c.snapshot, v.c.finished_at,
            age_s(v.c.finished_at).label("age_s"), v.c.report["tables"].label("tables"),
            v.c.report["files"].label("files"),
        )  # fmt: skip
        return self._store.first(query.where(v.c.run_id == run_id).order_by(v.c.id.desc()).limit(1), _verification)

    def clean_age_s(self, run_id: int, direction: Direction | None = None) -> float | None:
        """How long ago the last verification that found both sides identical ended; None when there was none."""
        v = self._table
        query = sa.select(age_s(v.c.finished_at)).where(v.c.run_id == run_id, v.c.verdict == "identical")
        if direction is not None:
            query = query.where(v.c.direction == direction)
        found = self._store.value(query.order_by(v.c.id.desc()).limit(1))
        return None if found is None else float(found)
