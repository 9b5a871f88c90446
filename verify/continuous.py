"""`verify --watch`: compares the changed keys every few seconds, and everything on a schedule.

The first full pass is made at once. From then on it rolls: the oldest range is compared whenever it is due, so that every range is
compared once in `full_every_s`, and the load is spread over that time. When the last one is, references and structure follow, and
that is the next full pass. One that is cut off goes on where it was (verify.kept_ranges), by this command or another one.

A clean full pass opens the gate of a cutover. Clean comparisons of changed keys after it keep it open: they move the watermark
from which the cutover compares once more. A difference among the changed keys closes the gate at once, by a verification of its
own in the journal. The gate stays closed until a full pass is clean again (invariant 7).

A full pass gives way to a cutover, revert, finalize or abort, because its locks would be in the way. A pass that gave way is no
verification. Each round reads the direction again: after a cutover the verification goes on with the retired table, until the run
ends.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from swap.core.errors import SwapError
from swap.core.snapshot import Snapshot
from swap.plan.row_keys import Key
from swap.state.journal import Phase, Run
from swap.state.locks import OPERATOR
from swap.state.migration import Migration
from swap.sync.logical.barrier import GivenUp, delivered
from verify.change_comparison import NO_KEYS, ChangeComparison, KeySets, compare_changes, united
from verify.record import tool_version, write_report
from verify.report import CheckResult, Report, RowDifference, TableResult
from verify.run import verify_share
from verify.settings import MAX_DIFFERENCES, VerificationSettings

if TYPE_CHECKING:
    from verify.metrics import Metrics

VERIFIABLE = (Phase.SYNCING, Phase.CUT_OVER)
SHOWN = 20
RowKey = tuple[int, Key]  # the number of a swapped table, and a key of it


@dataclass(frozen=True)
class ContinuousSettings:
    """`every_s`: the time between two comparisons of changed keys. `full_every_s`: the time between two full passes.
    `full_pass`: the options of a full pass."""

    every_s: float
    full_every_s: float
    full_pass: VerificationSettings


@dataclass
class ContinuousSummary:
    """What a continuous verification has done. `reason`: `stopped` (a signal) or `ended` (the run is finalized or aborted).
    `comparisons`: of changed keys, `keys` in all. `differences`: rows known to differ and failed checks."""

    reason: str = "stopped"
    passes: int = 0
    comparisons: int = 0
    keys: int = 0
    differences: int = 0
    last_report: Report | None = None


@dataclass
class ContinuousVerification:
    """`on_pass` takes the report of each full pass, `on_difference` that of changed keys that differ. `m.stop` ends the
    verification."""

    m: Migration
    settings: ContinuousSettings
    metrics: Metrics
    on_pass: Callable[[Report], None] = lambda _: None
    on_difference: Callable[[Report], None] = lambda _: None
    summary: ContinuousSummary = field(default_factory=ContinuousSummary)
    _compared_to: Snapshot | None = None
    _direction: str = ""
    _clean: bool = False
    _full_pass_at: float = 0.0
    _planned: Counter[str] = field(default_factory=Counter)  # ranges of each table, in the last full pass
    _rolled: int = 0  # ranges that were due since then
    _known: dict[RowKey, RowDifference] = field(default_factory=dict)
    _again: KeySets = field(default_factory=dict)  # rows that referred to a pending row when they were compared
    _other_differences: int = 0

    def go_on_from_last_pass(self) -> None:
        """Call it before `run`: the last clean full pass of the journal counts, as old as it is, in place of one at once."""
        run = self.m.reload()
        last = self.m.journal.verifications.last(run.id)
        if (
            last is None
            or run.verified is None
            or (last.verdict, last.repaired, last.direction) != ("identical", False, run.direction)
        ):
            return
        self._direction, self._compared_to, self._clean = run.direction, Snapshot.parse(run.verified), True
        self._full_pass_at = time.monotonic() + self.settings.full_every_s - max(0.0, last.age_s)

    def run(self) -> ContinuousSummary:
        """Verify until told to stop, or until the run ends."""
        while not self.m.stop.is_set():
            run = self.m.reload()
            if run.phase not in VERIFIABLE:
                self.summary.reason = "ended"
                break
            if run.direction != self._direction:
                self._direction, self._compared_to, self._clean, self._known = run.direction, None, False, {}
                self._again = NO_KEYS
            if self._clean and run.verified is None:
                self._full_pass_at = 0.0  # the mark is gone: keys that changed since may be in no queue (swap/sync/rotate.py)
            if self._compared_to is None or time.monotonic() >= self._full_pass_at:
                self._full_pass()
            else:
                self._compare_changes(self._compared_to)
                self._roll()
            self.m.stop.wait(self.settings.every_s)
        self.summary.differences = len(self._known) + self._other_differences
        return self.summary

    def _roll(self) -> None:
        """Compare the ranges that are due since the last full pass; small tables have none before the next one."""
        share = 1.0 - (self._full_pass_at - time.monotonic()) / self.settings.full_every_s
        due = sum(int(share * planned) for planned in self._planned.values())
        if self._clean and 0.0 < share < 1.0 and due > self._rolled:
            self._rolled = due
            self._full_pass(share)

    def _full_pass(self, share: float = 1.0) -> None:
        """Everything that is left of a full pass, or as much of it as is due."""
        m, reason, report = self.m, self._reason_to_give_up(), None
        if not reason:
            try:
                report = verify_share(m, replace(self.settings.full_pass, share=share), self._reason_to_give_up)
            except GivenUp as e:
                reason = str(e)
            except (psycopg.Error, SwapError):
                if m.conn.closed or not self._overtaken():
                    raise
                reason = "another command changes what is compared"
        if reason:
            m.report.waiting(reason)
            return
        m.report.waiting("")
        if report is None:
            return
        self._planned, self._rolled = Counter(r.table for r in report.ranges), 0
        self._full_pass_at = time.monotonic() + self.settings.full_every_s
        self._clean = report.verdict == "identical"
        self._compared_to = Snapshot.parse(report.covered) if report.covered else None
        self._known, self._again = self._by_key(d for d in report.findings if d.kind != "mapping"), NO_KEYS
        failed = sum(c.status == "failed" and c.name != "coverage" for c in report.checks)
        self._other_differences = len(report.findings) - len(self._known) + failed
        self._tell_full_pass(report)

    def _tell_full_pass(self, report: Report) -> None:
        self.summary.passes += 1
        self.summary.last_report = report
        self.metrics.passed(report)
        self.metrics.pending.set(sum(t.pending for t in report.tables))
        self._tell_differences()
        self.m.report.note(f"full pass {report.id}: {report.verdict}, {sum(t.rows for t in report.tables):,} rows")
        self.on_pass(report)

    def _by_key(self, differences: Iterable[RowDifference]) -> dict[RowKey, RowDifference]:
        """The differences of rows of the swapped tables."""
        numbers = {str(t.name): t.number for t in self.m.plan.swapped}
        return {(numbers[d.table], d.key): d for d in differences if d.table in numbers and not isinstance(d.key, str)}

    def _also(self) -> KeySets:
        """What to compare besides the keys that changed: the rows known to differ, and those that could not be judged."""
        known: dict[int, set[Key]] = {}
        for number, key in self._known:
            known.setdefault(number, set()).add(key)
        return united(known, self._again)

    def _reason_to_stop(self) -> str:
        return "stopped by the operator" if self.m.stop.is_set() else ""

    def _reason_to_give_up(self) -> str:
        """Why a full pass must not go on; empty when it may."""
        operator = self.m.locks.holder(OPERATOR)
        return self._reason_to_stop() or (f"it gives way to another command ({operator})" if operator else "")

    def _overtaken(self) -> bool:
        """Whether another command has exchanged the names, or dropped the queue or the slot, since the run was read."""
        now = self.m.journal.get(self.m.run.id)
        return bool(self._reason_to_give_up()) or (now.phase, now.mode) != (self.m.run.phase, self.m.run.mode)

    def _compare_changes(self, since: Snapshot) -> None:
        m = self.m
        try:
            with delivered(m.database, m.run, self._reason_to_stop) as barrier:
                compared = compare_changes(m, since, self._also(), barrier)
        except GivenUp:
            return
        except (psycopg.Error, SwapError):  # what another command drops may be missed anywhere
            if m.conn.closed or not self._overtaken():
                raise
            return
        self.summary.comparisons += 1
        self.summary.keys += compared.compared
        self.metrics.keys.inc(compared.compared)
        self.metrics.pending.set(compared.pending)
        found, self._again = self._by_key(compared.differences), compared.again
        new = [d for key, d in found.items() if key not in self._known]
        for d in new[:SHOWN]:
            m.report.note(f"difference: {d.kind} {d.table} key {d.shown}: {', '.join(d.columns)}")
        if new:
            self._close_gate(m.run, compared)
        if self._known and not found and not self._other_differences:
            self._full_pass_at = 0.0  # no row differs any more, and a full pass has to say so
        self._known = found
        if not found:
            self._advance(m.run, since, compared.watermark)
        self._tell_differences()

    def _advance(self, run: Run, since: Snapshot, to: Snapshot) -> None:
        """Everything is equal up to `to`. Move the mark from which a cutover compares, unless another command has moved it."""
        self._compared_to = to
        if self._clean:
            self.m.journal.move_verified(run, since, to)

    def _close_gate(self, run: Run, compared: ChangeComparison) -> None:
        """Journal a verification that says `different`: a cutover asks for the last one."""
        self._clean = False
        now = datetime.now(UTC)
        results = tuple(
            TableResult(
                name=str(t.table.origin),
                rows=t.compared,
                missing=0,
                extra=0,
                different=len(t.differences),
                pending=t.pending,
                checksum=None,
                seconds=0.0,
            )
            for t in compared.tables
        )
        detail = f"only the {compared.compared} keys that changed since the last comparison"
        report = Report(
            id=0, verdict="different", method="exact", direction=run.direction, snapshot=str(compared.snapshot), covered=None,
            lsn=None, started_at=now, finished_at=now, fingerprint=None,
            server_version=self.m.conn.info.server_version, tables=results,
            findings=compared.differences[:MAX_DIFFERENCES],
            checks=(CheckResult("coverage", "warning", detail),), tool_version=tool_version(),
            plan_fingerprint=run.plan.fingerprint,
        )  # fmt: skip
        with self.m.conn.transaction():
            write_report(self.m.journal, run.id, report)
            self.m.journal.event(run.id, "verified", "different (changed keys)")
        self.on_difference(report)

    def _tell_differences(self) -> None:
        self.metrics.differences.set(len(self._known) + self._other_differences)
