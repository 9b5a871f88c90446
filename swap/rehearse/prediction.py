"""What the night will take, from the clone's measured times and production's sizes.

A command does some work on rows, which was measured table by table (swap.rehearse.work), and the rest: it starts, connects, reads
the catalog, waits for locks. The work grows as each table's rows do, from the clone to production; the rest does not. So do time and
WAL. The new heaps and indexes grow with the rows of their tables; what `prepare` makes beside its work on rows (the journal, empty
tables and their rows in the catalog: some megabytes) does not. The time under lock does not grow: the exchange touches no
row, and drains a backlog that `sync` keeps short.

What the application's own writers cost is not in it: WAL and growth of the database while the load ran alone are subtracted.

The interval holds what each run of a command in the cycle would take there, a quarter either way and a second for the start of its
process. It is wider the further the sizes are apart: as much again for each factor of ten.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.rehearse.record import Step

SPREAD = 0.25
STARTS_S = 1.0  # by which the start of a process varies: of a short command that is most of it
REPORT = Path("rehearsal.json")
TO_GO_BACK, AFTER_CUTOVER = "only to go back", "after the cutover: a revert needs it"
NOTES = {"revert": TO_GO_BACK, "finalize": "later: it ends the way back"}


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


Sizes = Mapping[str, Size]


def sizes(conn: Connection, tables: Sequence[TableName]) -> dict[str, Size]:
    """Reads the catalog only."""
    params = {"schemas": [t.schema for t in tables], "tables": [t.name for t in tables]}
    return {s.name: s for s in fetch(conn, Size, load_sql("swap.rehearse", "sizes.sql"), params)}


@dataclass(frozen=True)
class Alone:
    """What was written while the load ran and no command did: WAL and growth of the database, by the second."""

    seconds: float = 0.0
    wal_bytes: float = 0.0
    size_bytes: float = 0.0

    @property
    def wal_per_s(self) -> float:
        return self.wal_bytes / self.seconds if self.seconds else 0.0

    @property
    def size_per_s(self) -> float:
        return self.size_bytes / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Ratios:
    """How many times the rows of the clone's tables production has. Where one of the two has no statistics, their bytes count."""

    here: Sizes
    there: Sizes
    by_table: Mapping[str, float] = field(init=False)
    whole: float = field(init=False)

    def __post_init__(self) -> None:
        found = {name: _ratio(size, self.there[name]) for name, size in self.here.items() if name in self.there}
        measured, wanted = (sum(s.all_bytes for s in side.values()) for side in (self.here, self.there))
        object.__setattr__(self, "by_table", found)
        object.__setattr__(self, "whole", wanted / measured if measured else 1.0)

    def of(self, table: str | None) -> float:
        return self.by_table.get(table or "", self.whole)

    def weighted(self, weights: Mapping[str, float]) -> float:
        """Of all tables, each as heavy as `weights` says."""
        total = sum(weights.values())
        return sum(w * self.of(t) for t, w in weights.items()) / total if total else self.whole


def _ratio(here: Size, there: Size) -> float:
    if here.all_rows > 0 and there.all_rows > 0:
        return there.all_rows / here.all_rows
    return there.all_bytes / here.all_bytes if here.all_bytes else 1.0


@dataclass(frozen=True)
class Measured:
    """What a rehearsal measured. `here`: the clone's sizes before the cycle; `built`: bytes that the plan says it builds, by table."""

    steps: Sequence[Step]
    here: Sizes
    built: Mapping[str, float]
    alone: Alone


def night_cutover(report: Path = REPORT, *, snapshot: bool = True) -> str:
    """The command of that night. `report`: the rehearsal's JSON; `snapshot`: production has a hook for it."""
    return f"swap cutover {'' if snapshot else '--no-snapshot '}--require-rehearsal {shlex.quote(str(report))}"


def predict(measured: Measured, there: Sizes, cutover: str = night_cutover()) -> dict[str, Any]:
    """For tables of the sizes `there`. Times in seconds, each with the bounds of its interval. `cutover`: the command in production."""
    ratios, alone = Ratios(measured.here, there), measured.alone
    done = [_without_exchange(s) for s in measured.steps if s.code == 0]
    phases: list[dict[str, Any]] = []
    for note, (s, *again) in _night(done):
        seconds, factor = _seconds(s, ratios)
        phases.append(
            {
                "command": cutover if s.command.startswith("cutover ") else f"swap {s.command.removesuffix(' --yes')}", "note": note, "measured_s": round(s.seconds, 1), "seconds": round(seconds, 1),
                **_interval([seconds, *(_seconds(x, ratios)[0] for x in again)], factor), "wal_bytes": round(_wal(s, factor, alone)),
            }
        )  # fmt: skip
    grown = grown_bytes(done, alone)
    fixed = min(grown, fixed_bytes(done))
    locked = [s.facts["locked_ms"] for s in done if "locked_ms" in s.facts]
    return {
        "factor": round(ratios.whole, 3), "rows_measured": sum(s.all_rows for s in ratios.here.values()),
        "seconds": round(sum(p["seconds"] for p in phases if p["note"] != TO_GO_BACK), 1), "rows_production": sum(s.all_rows for s in ratios.there.values()), "phases": phases,
        "disk_bytes": round(fixed + (grown - fixed) * ratios.weighted(measured.built)), "wal_bytes": sum(p["wal_bytes"] for p in phases),
        "locked_ms": {"low": min(locked), "high": max(locked)} if locked else None,
    }  # fmt: skip


def _without_exchange(step: Step) -> Step:
    """What a command does under an exchange's lock names the tables, and is no work on their rows: it does not grow with them."""
    worked, locked = sum(step.work_s.values()), step.facts.get("locked_ms", 0.0) / 1000
    if not worked or not locked:
        return step
    rest = max(0.0, worked - locked) / worked
    work = {table: seconds * rest for table, seconds in step.work_s.items()}
    return replace(step, work_s=work, work_wal_bytes=step.work_wal_bytes * rest)


def own_wal(step: Step, alone: Alone) -> tuple[float, float]:
    """The WAL of one command's work on rows, and that of the rest, without the load's."""
    worked = sum(step.work_s.values())
    of_work = min(step.work_wal_bytes, step.wal_bytes or 0)
    work = max(0.0, of_work - alone.wal_per_s * worked)
    rest = max(0.0, (step.wal_bytes or 0) - of_work - alone.wal_per_s * max(0.0, step.seconds - worked))
    return work, rest


def _wal(step: Step, factor: float, alone: Alone) -> float:
    work, rest = own_wal(step, alone)
    return work * factor + rest


def _seconds(step: Step, ratios: Ratios) -> tuple[float, float]:
    """What it takes there, and how many times its work that is."""
    worked = sum(step.work_s.values())
    grown = sum(seconds * ratios.of(t) for t, seconds in step.work_s.items())
    return max(0.0, step.seconds - worked) + grown, grown / worked if worked and grown else 1.0


def _night(steps: Sequence[Step]) -> list[tuple[str, list[Step]]]:
    """The commands of the night with what is to be said of each, and each time that it ran. A verification of the reverse direction is
    one of its own. `doctor` and `plan` take no part in it."""
    found: dict[tuple[str, str], list[Step]] = {}
    reverse = False
    for s in steps:
        name = s.command.split()[0]
        if name in ("cutover", "revert"):
            reverse = name == "cutover"
        found.setdefault((s.command, AFTER_CUTOVER if name == "verify" and reverse else NOTES.get(name, "")), []).append(s)
    return [(note, ran) for (command, note), ran in found.items() if command not in ("doctor", "plan")]


def _interval(seconds: Sequence[float], factor: float) -> dict[str, float]:
    """Around what each time that the command ran would be there."""
    times = 1 + SPREAD * (1 + abs(math.log10(factor)))
    low, high = max(0.0, min(seconds) / times - STARTS_S), max(seconds) * times + STARTS_S
    return {"low_s": round(low, 1), "high_s": round(high, 1)}


def grown_bytes(steps: Sequence[Step], alone: Alone) -> float:
    """By how many bytes the database grew at most, without what the load added until then."""
    known = [(s.began_s + s.seconds, s.size_bytes) for s in steps if s.size_bytes is not None]
    if not known:
        return 0.0
    (first, before), (last, most) = known[0], max(known, key=lambda x: x[1])
    return max(0.0, most - before - alone.size_per_s * (last - first))


def fixed_bytes(steps: Sequence[Step]) -> float:
    """By how many bytes the database grew until `prepare` was through, without its work on rows, which is told by the WAL."""
    fixed, before = 0.0, None
    for s in steps:
        if s.command not in ("doctor", "plan", "prepare"):
            break
        if before is not None and s.size_bytes is not None:
            worked = min(1.0, s.work_wal_bytes / s.wal_bytes) if s.wal_bytes else 0.0
            fixed += max(0, s.size_bytes - before) * (1 - worked)
        before = s.size_bytes
    return fixed
