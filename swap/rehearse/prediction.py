"""What the night will take, from the clone's measured times and production's sizes.

A command has a part that does not depend on the rows (it starts, connects, reads the catalog) and one that does. The first is what
the shortest command of the rehearsal took. The second grows with the rows for the commands that read or write them, and so do WAL
and disk. The time under lock does not grow: the exchange touches no row, and drains a backlog that `sync` keeps short.

The interval is wider the further the sizes are apart: a quarter either way, and as much again for each factor of ten.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.rehearse.record import Step

GROWS = ("sync --once", "verify")
SPREAD = 0.25
IN_PRODUCTION = {"cutover --yes --no-snapshot": "swap cutover --require-rehearsal rehearsal.json"}
IN_PRODUCTION |= {f"{c} --yes": f"swap {c}" for c in ("revert", "finalize")}


class Size(NamedTuple):
    """A row of sizes.sql."""

    name: str
    leaf_rows: int | None
    rows: int
    tree_bytes: int
    bytes: int

    @property
    def all_rows(self) -> int:
        return self.leaf_rows or self.rows

    @property
    def all_bytes(self) -> int:
        return self.tree_bytes or self.bytes


def sizes(conn: Connection, tables: Sequence[TableName]) -> dict[str, Size]:
    """Reads the catalog only."""
    params = {"schemas": [t.schema for t in tables], "tables": [t.name for t in tables]}
    return {s.name: s for s in fetch(conn, Size, load_sql("swap.rehearse", "sizes.sql"), params)}


def predict(steps: Sequence[Step], here: dict[str, Size], production: dict[str, Size]) -> dict[str, Any]:
    """`here`: the clone's sizes before the cycle. Times in seconds, each with the bounds of its interval."""
    measured, wanted = (sum(s.all_bytes for s in side.values()) for side in (here, production))
    factor = wanted / measured if measured else 1.0
    spread = SPREAD * (1 + abs(math.log10(factor))) if factor else SPREAD
    done = [s for s in steps if s.code == 0]
    fixed = min((s.seconds for s in done), default=0.0)
    phases = []
    for s in _firsts(done):
        grows = s.command in GROWS
        seconds = fixed + (s.seconds - fixed) * factor if grows else s.seconds
        phases.append(
            {
                "command": IN_PRODUCTION.get(s.command, f"swap {s.command}"), "measured_s": round(s.seconds, 1), "seconds": round(seconds, 1), **_interval(seconds, spread),
                "wal_bytes": round((s.wal_bytes or 0) * (factor if grows else 1)),
            }
        )  # fmt: skip
    locked = [s.facts["locked_ms"] for s in done if "locked_ms" in s.facts]
    return {
        "factor": round(factor, 3), "rows_measured": sum(s.all_rows for s in here.values()),
        "rows_production": sum(s.all_rows for s in production.values()), "phases": phases,
        "disk_bytes": round(_grown(done) * factor), "wal_bytes": sum(p["wal_bytes"] for p in phases),
        "locked_ms": {"low": min(locked), "high": max(locked)} if locked else None,
    }  # fmt: skip


def _firsts(steps: Sequence[Step]) -> list[Step]:
    """The commands of the night, each as it first ran. `doctor` and `plan` take no part in it."""
    found: dict[str, Step] = {}
    for s in steps:
        found.setdefault(s.command, s)
    return [s for name, s in found.items() if name not in ("doctor", "plan")]


def _interval(seconds: float, spread: float) -> dict[str, float]:
    return {"low_s": round(seconds / (1 + spread), 1), "high_s": round(seconds * (1 + spread), 1)}


def _grown(steps: Sequence[Step]) -> int:
    """By how many bytes the database grew at most."""
    known = [s.size_bytes for s in steps if s.size_bytes is not None]
    return max(known) - known[0] if known else 0
