"""What a verification says: immutable results, and the one place where a verdict is made of them.

An unfinished look is never a success, and a difference is never hidden by anything: `incomplete` outranks
`different`, `different` outranks `identical` (invariant 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from swap.plan.direction import Direction

Method = Literal["exact", "checksum"]
Verdict = Literal["identical", "different", "incomplete"]
Kind = Literal["missing", "extra", "different", "mapping"]
Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class RowDifference:
    """One differing row. `table`: as the application knows it. `key`: the integer key of the source; for a
    reference the referring row's primary key (several columns joined by commas, its ctid without one).

    `missing`: only the captured side has it; `extra`: only the maintained side, or twice there; `mapping`: the
    pair of a reference is not one row of the live table. `columns`: names on the maintained side.
    """

    table: str
    key: int | str
    kind: Kind
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    name: str
    status: Status
    detail: str


@dataclass(frozen=True)
class TableResult:
    """One comparison. `rows`: compared on the captured side, `pending` keys left out. `checksum`: digest over
    all rows of the captured side, whatever the ranges were (None with `exact`). `columns`: of a reference, its
    pair."""

    name: str
    rows: int
    missing: int
    extra: int
    different: int
    pending: int
    checksum: str | None
    seconds: float
    columns: tuple[str, ...] = ()

    @property
    def differences(self) -> int:
        return self.missing + self.extra + self.different


@dataclass(frozen=True)
class RangeRecord:
    """What one key range held. `snapshot`: which of the run's snapshots it was compared in, counted from 1; digests
    with the checksum method only."""

    number: int
    low: int | None
    high: int | None
    snapshot: int
    origin_rows: int
    target_rows: int
    origin_digest: str | None
    target_digest: str | None


@dataclass(frozen=True)
class SnapshotRecord:
    """One of the run's snapshots: pg_snapshot text, WAL position, replay watermark."""

    snapshot: str
    lsn: str
    watermark: str


@dataclass(frozen=True)
class Report:
    """The whole verification. `snapshot`: the first of those that were compared (pg_snapshot text), at WAL position
    `lsn`; `covered`: the changes up to which every key was compared (the watermark in that one, the oldest: pending
    keys lie beyond it); `id`: its row in the journal; `plan_fingerprint`: of the plan that the run follows."""

    id: int
    verdict: Verdict
    method: Method
    direction: Direction
    snapshot: str | None
    covered: str | None
    lsn: str | None
    started_at: datetime
    finished_at: datetime
    fingerprint: str | None
    server_version: int
    tables: tuple[TableResult, ...]
    findings: tuple[RowDifference, ...]
    checks: tuple[CheckResult, ...]
    snapshots: tuple[SnapshotRecord, ...] = ()
    ranges: tuple[RangeRecord, ...] = ()
    tool_version: str = ""
    plan_fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data: the document of `swap verify --json`, and what the journal keeps."""
        return {k: v for k, v in self.evidence().items() if k != "ranges"}

    def evidence(self) -> dict[str, Any]:
        """The same with every range: the document of `--report`."""
        return {k: _plain(v) for k, v in asdict(self).items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def verdict(unfinished: Sequence[str], tables: Iterable[TableResult], checks: Iterable[CheckResult]) -> Verdict:
    """`unfinished`: every reason why something was not looked at."""
    if unfinished:
        return "incomplete"
    if any(t.differences for t in tables) or any(c.status == "failed" for c in checks):
        return "different"
    return "identical"
