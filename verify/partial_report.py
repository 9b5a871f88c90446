"""What a running verification has found so far: whatever stops it, this is what gets reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from swap.core.names import TableName
from verify.checksum import RangeDigest
from verify.report import CheckResult, RangeRecord, RowDifference, TableResult
from verify.snapshots import ExportedSnapshot


@dataclass
class PartialReport:
    """`unfinished`: every reason why something was not looked at; `capped`: more differs than is listed;
    `views`: the snapshots, in order;
    `table_files`: the files that were compared, to see at the end that they still are the tables."""

    unfinished: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    tables: list[TableResult] = field(default_factory=list)
    findings: list[RowDifference] = field(default_factory=list)
    digests: list[RangeDigest] = field(default_factory=list)
    ranges: int = 0
    ranges_done: int = 0
    ranges_seen: list[RangeRecord] = field(default_factory=list)
    capped: bool = False
    views: list[ExportedSnapshot] = field(default_factory=list)
    fingerprint: str | None = None
    table_files: dict[TableName, tuple[int, int]] = field(default_factory=dict)
