"""The result of a verification: frozen data, and the one function that decides the verdict.

The field names are the names in the JSON document (docs/json.md) and in the journal.

An unfinished verification is never a success, and nothing hides a difference: `incomplete` outranks `different`, and
`different` outranks `identical` (invariant 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from swap.plan.direction import Direction
from swap.plan.row_keys import Key

Method = Literal["exact", "checksum"]
Verdict = Literal["identical", "different", "incomplete"]
Kind = Literal["missing", "extra", "different", "mapping"]
Status = Literal["ok", "warning", "failed"]


def shown(key: Key | str) -> int | str:
    """A key as it is printed: several columns are joined by commas."""
    return ",".join(key) if isinstance(key, tuple) else key


@dataclass(frozen=True)
class RowDifference:
    """One row that differs. `table`: its name as the application knows it. `key`: the key of a swapped table's row; for a
    reference in place the primary key of the referring row as text (a row without a primary key has its ctid).

    `missing`: only the captured side has the row. `extra`: only the maintained side has it, or has it twice. `mapping`: the
    integer and the uuid of a reference do not belong to the same row of the live table. `columns`: names on the maintained
    side.
    """

    table: str
    key: Key | str
    kind: Kind
    columns: tuple[str, ...] = ()

    @property
    def shown(self) -> int | str:
        return shown(self.key)


@dataclass(frozen=True)
class CheckResult:
    """One named check. `detail`: every problem, or what was checked."""

    name: str
    status: Status
    detail: str


@dataclass(frozen=True)
class TableResult:
    """One comparison. `rows`: rows compared on the captured side, without `pending` keys. `checksum`: the digest over all
    rows of the captured side, which does not depend on the ranges (None with `exact`). `columns`: the two columns of a
    reference."""

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
    """The rows and digests of one key range of `table`. `snapshot`: the number of the snapshot in which it was compared, counted
    from 1. Only the checksum method has digests."""

    table: str
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
    """One snapshot of the verification: the text of pg_snapshot, the WAL position, replay's watermark."""

    snapshot: str
    lsn: str
    watermark: str


@dataclass(frozen=True)
class FileRecord:
    """A table that was compared, by its oid and the number of its file (pg_class.relfilenode)."""

    table: str
    oid: int
    filenode: int


@dataclass(frozen=True)
class Report:
    """The whole verification. `id`: its row in the journal. `snapshot`: the first of its snapshots (the text of
    pg_snapshot), taken at WAL position `lsn`. `covered`: every key was compared up to these changes (the watermark in the
    first snapshot, the oldest one; pending keys changed later). `findings`: the rows that differ. `plan_fingerprint`: the
    fingerprint of the plan that the run follows. `files`: of the tables that were compared; an exchange asks for the same ones.
    `resumed`: how many ranges a verification that was interrupted had compared; `started_at` is when that one began."""

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
    files: tuple[FileRecord, ...] = ()
    resumed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data: the document of `swap verify --json`, which the journal keeps too."""
        return {k: v for k, v in self.evidence().items() if k != "ranges"}

    def evidence(self) -> dict[str, Any]:
        """The same document with every range: the document of `--report`."""
        shown = [asdict(f) | {"key": f.shown} for f in self.findings]
        return {k: _plain(v) for k, v in (asdict(self) | {"findings": shown}).items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def verdict(unfinished: Sequence[str], tables: Iterable[TableResult], checks: Iterable[CheckResult]) -> Verdict:
    """Decide the verdict. `unfinished`: every reason why a part was not compared."""
    if unfinished:
        return "incomplete"
    if any(t.differences for t in tables) or any(c.status == "failed" for c in checks):
        return "different"
    return "identical"
