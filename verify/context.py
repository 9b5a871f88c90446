"""The state that all comparisons of one verification share."""

from __future__ import annotations

from dataclasses import dataclass

from swap.core.report import Reporter
from verify.kept_ranges import KeptRanges
from verify.partial_report import PartialReport
from verify.settings import VerificationSettings
from verify.snapshots import SnapshotSeries
from verify.workers import Workers


@dataclass(frozen=True)
class ComparisonContext:
    """`workers` run the comparisons, in one snapshot of `snapshots` after the other. Results go to `found`, and those of
    ranges that are equal to `kept` as well."""

    settings: VerificationSettings
    workers: Workers
    snapshots: SnapshotSeries
    found: PartialReport
    kept: KeptRanges
    report: Reporter
