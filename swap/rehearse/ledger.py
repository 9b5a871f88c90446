"""The ledger of the built-in load: what was acknowledged, and whether it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.plan.model import Plan
from swap.rehearse.mix import mine, read_mix

SHOWN = 20


@dataclass
class Row:
    """A row that the load made. `parent`: the marker of the row of the source that it was made for."""

    key: str
    marker: str
    number: int
    version: int
    parent: Row | None
    children: int = 0


@dataclass
class Ledger:
    """What one worker has acknowledged: its rows by table. `doubtful`: markers of commits whose outcome is not known."""

    rows: dict[TableName, list[Row]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class LedgerReport:
    """`lost`: acknowledged and not there; `unexpected`: there and never acknowledged; `misplaced`: refers to another row."""

    rows: int
    lost: tuple[str, ...]
    unexpected: tuple[str, ...]
    misplaced: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.unexpected or self.misplaced)


def compare_ledgers(conn: Connection, plan: Plan, tag: str, ledgers: Sequence[Ledger]) -> LedgerReport:
    """Compare what was acknowledged with the tables as they are now. `tag`: of the load."""
    mix = read_mix(conn, plan)
    expected: dict[str, str | None] = {}
    there: dict[str, str | None] = {}
    doubtful = {m for ledger in ledgers for m in ledger.doubtful}
    for table in {t for ledger in ledgers for t in ledger.rows}:
        rows = [r for ledger in ledgers for r in ledger.rows.get(table, ())]
        t = mix.of(table)
        with_parent = t.reference is not None and any(r.parent for r in rows)
        expected |= {r.marker: r.parent.marker if r.parent and with_parent else None for r in rows}
        query = t.parents(mix.source) if with_parent else t.marked()
        for a, b in conn.execute(query, {"like": mine(tag)}):
            there |= {a: b} if with_parent else {b: None}
    return LedgerReport(
        len(expected),
        tuple(sorted(expected.keys() - there.keys() - doubtful))[:SHOWN],
        tuple(sorted(there.keys() - expected.keys() - doubtful))[:SHOWN],
        tuple(
            f"{m}: {there[m]} and not {expected[m]}"
            for m in sorted(expected.keys() & there.keys())
            if expected[m] != there[m] and not {m, expected[m]} & doubtful
        )[:SHOWN],
    )
