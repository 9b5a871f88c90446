"""The results of a running verification so far. The report is made of them, whatever stops the verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from swap.core.names import TableName
from swap.plan.direction import TableMapping
from verify.checksum import RangeDigest
from verify.report import CheckResult, RangeRecord, RowDifference, SnapshotRecord, TableResult
from verify.snapshots import ExportedSnapshot
from verify.table_files import TableFile


@dataclass
class PartialReport:
    """`unfinished`: every reason why a part was not compared. `interrupted`: until every range is compared, in snapshots that lasted.
    `over_limit`: more rows differ than `differences` lists. `digests`: of each range, with its table. `ranges_planned`, `ranges_done`:
    numbers of key ranges of all tables. `snapshots`: in the order in which they were taken; `earlier`: those of a verification that
    was interrupted, whose ranges count, `resumed` of them; it began at `began_at`, and its ranges are equal up to `covered`.
    `table_files`: the files that were compared; the end of the verification checks that they are still the tables'."""

    unfinished: list[str] = field(default_factory=list)
    interrupted: bool = True
    checks: list[CheckResult] = field(default_factory=list)
    tables: list[TableResult] = field(default_factory=list)
    differences: list[RowDifference] = field(default_factory=list)
    digests: list[tuple[TableMapping, RangeDigest]] = field(default_factory=list)
    ranges_planned: int = 0
    ranges_done: int = 0
    range_records: list[RangeRecord] = field(default_factory=list)
    over_limit: bool = False
    snapshots: list[ExportedSnapshot] = field(default_factory=list)
    earlier: list[SnapshotRecord] = field(default_factory=list)
    resumed: int = 0
    began_at: datetime | None = None
    covered: str | None = None
    fingerprint: str | None = None
    table_files: dict[TableName, TableFile] = field(default_factory=dict)
