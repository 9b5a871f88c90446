"""Arithmetic of pg_snapshot: the watermark over the change tables is a snapshot.

An entry is consumed when its transaction is visible in the watermark. Sequence numbers decide nothing, so an entry that got its
number early and commits late is not skipped (H8). Reading the new entries costs an index range from `xmax` on, and the few
transactions that were in progress, however long another snapshot keeps dead or consumed rows in the table (H11). The idea is
PgQ's batch between two ticks.

The text form is xmin:xmax:xip_list, as in PostgreSQL's documentation, "Snapshot Components".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """`xip`: the transactions below `xmax` that were in progress. Top-level ids only, as in pg_current_snapshot()."""

    xmax: int
    xip: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        _, xmax, xip = text.split(":")
        return cls(int(xmax), tuple(int(x) for x in xip.split(",") if x))

    def __str__(self) -> str:
        xmin = min((*self.xip, self.xmax))
        return f"{xmin}:{self.xmax}:{','.join(map(str, self.xip))}"

    @property
    def xmin(self) -> int:
        return min((*self.xip, self.xmax))

    def sees(self, xid: int) -> bool:
        return xid < self.xmax and xid not in self.xip

    def within(self, other: Snapshot) -> bool:
        """Whether `other` sees every transaction that this one sees."""
        return self.xmax <= other.xmax and not any(self.sees(x) for x in other.xip)

    def bounded(self, xmax: int) -> Snapshot:
        """This snapshot as if it had been taken when `xmax` was the next id: the end of a batch within it."""
        if xmax >= self.xmax:
            return self
        return Snapshot(xmax, tuple(x for x in self.xip if x < xmax))

    def without(self, xids: Iterable[int]) -> Snapshot:
        """This snapshot as if `xids` were still in progress."""
        return Snapshot(self.xmax, tuple(sorted({*self.xip, *(x for x in xids if x < self.xmax)})))
