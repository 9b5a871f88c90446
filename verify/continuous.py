"""`verify --watch`: changed keys compared every few seconds, everything on a schedule.

A clean full pass opens the gate of a cutover; clean looks after it keep it current: they move the watermark from which
the cutover compares once more. A difference that a look finds closes the gate at once, by a verification of its own in
the journal, and stays until a full pass is clean again (invariant 7).

A pass gives way to a cutover, revert, finalize or abort, whose locks it would be in the way of; what it had found by
then is no verification. The direction is asked for before each look: after a cutover the same goes on with the retired
table, until the run ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from swap.core.advisory_locks import OPERATOR, holder
from swap.core.connection import Database
from swap.core.errors import RefusedError
from swap.core.report import Reporter
from swap.core.snapshot import Snapshot
from swap.plan.direction import table_mapping
from swap.state.journal import Journal, Phase, Run
from swap.sync.change_queue import count_due
from swap.sync.logical.barrier import GivenUp, delivered
from verify.change_comparison import ChangeComparison, compare_changes
from verify.record import tool_version, write_report
from verify.report import CheckResult, Method, Report, RowDifference, TableResult
from verify.run import verify

if TYPE_CHECKING:
    from verify.metrics import Metrics

VERIFIABLE = (Phase.SYNCING, Phase.CUT_OVER)


@dataclass(frozen=True)
class Settings:
    """`every_s`: between two looks; `full_every_s`: between two full passes."""

    every_s: float
    full_every_s: float
    method: Method
    jobs: int
    snapshot_max_s: float


@dataclass
class ContinuousSummary:
    """What a watch has done. `reason`: `stopped` (a signal), `ended` (the run is finalized or aborted)."""

    reason: str = "stopped"
    passes: int = 0
    looks: int = 0
    keys: int = 0
    differences: int = 0
    last: Report | None = None


@dataclass
class ContinuousVerification:
    """One watch. `reader`: a standby for the full passes; `on_pass` takes each of them."""

    database: Database
    journal: Journal
    run_id: int
    settings: Settings
    reporter: Reporter
    metrics: Metrics
    stop: threading.Event
    reader: Database | None = None
    on_pass: Callable[[Report], None] = lambda _: None
    done: ContinuousSummary = field(default_factory=ContinuousSummary)
    _since: Snapshot | None = None
    _direction: str = ""
    _clean: bool = False
    _full_at: float = 0.0
    _known: dict[int, RowDifference] = field(default_factory=dict)
    _elsewhere: int = 0

    def run(self) -> ContinuousSummary:
        """Until told to stop, or until the run ends."""
        self._remember()
        while not self.stop.is_set():
            run = self.journal.get(self.run_id)
            if run.phase not in VERIFIABLE:
                self.done.reason = "ended"
                break
            if run.direction != self._direction:
                self._direction, self._since, self._clean, self._known = run.direction, None, False, {}
                if self.done.passes:
                    self.metrics.never_clean()
            if self._since is None or time.monotonic() >= self._full_at:
                self._pass(run)
            else:
                self._look(run, self._since)
            self.stop.wait(self.settings.every_s)
        self.done.differences = len(self._known) + self._elsewhere
        return self.done

    def _remember(self) -> None:
        """The age of the last clean pass, of another process maybe."""
        age_s = self.journal.verifications.clean_age_s(self.run_id, self.journal.get(self.run_id).direction)
        if age_s is not None:
            self.metrics.clean(age_s)

    def _pass(self, run: Run) -> None:
        s = self.settings
        reason = self._asked(run.plan.tag)
        if not reason:
            try:
                report = verify(
                    self.database, run, method=s.method, jobs=s.jobs, reporter=self.reporter,
                    snapshot_max_s=s.snapshot_max_s, reader=self.reader, give_up=lambda: self._asked(run.plan.tag),
                )  # fmt: skip
            except GivenUp as e:
                reason = str(e)
            except RefusedError:
                if not self._overtaken(run):
                    raise
                reason = "another command changes how changes are captured"
        if reason:
            self.reporter.waiting(reason)
            return
        self.reporter.waiting("")
        self.done.passes += 1
        self.done.last = report
        self._full_at = time.monotonic() + s.full_every_s
        self._clean = report.verdict == "identical"
        self._since = Snapshot.parse(report.covered) if report.covered else None
        self._known = {f.key: f for f in report.findings if f.table == str(run.source) and isinstance(f.key, int)}
        failed = sum(c.status == "failed" and c.name != "coverage" for c in report.checks)
        self._elsewhere = len(report.findings) - len(self._known) + failed
        self.metrics.passed(report)
        self.metrics.pending.set(report.tables[0].pending if report.tables else 0)
        self._differences()
        self.reporter.note(f"full pass {report.id}: {report.verdict}, {sum(t.rows for t in report.tables):,} rows")
        self.on_pass(report)

    def _stopped(self) -> str:
        return "stopped by the operator" if self.stop.is_set() else ""

    def _asked(self, tag: int) -> str:
        """Why a full pass must not go on; empty when it may."""
        operator = holder(self.journal.conn, OPERATOR, tag)
        return self._stopped() or (f"it gives way to another command ({operator})" if operator else "")

    def _overtaken(self, run: Run) -> bool:
        """Names were exchanged, the queue or the slot was dropped, after the run was asked for."""
        now = self.journal.get(run.id)
        return bool(self._asked(run.plan.tag)) or (now.phase, now.mode) != (run.phase, run.mode)

    def _look(self, run: Run, since: Snapshot) -> None:
        d, known = table_mapping(run.plan, run.direction), self._known.keys()
        try:
            with delivered(self.database, run, self._stopped) as fence:
                look = compare_changes(self.journal.conn, run.plan, d, run.id, since, known, fence)
        except GivenUp:
            return
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, RefusedError):
            if self._overtaken(run):
                return
            raise
        self.done.looks += 1
        self.done.keys += look.compared
        self.metrics.keys.inc(look.compared)
        self.metrics.pending.set(look.pending)
        found = {f.key: f for f in look.findings if isinstance(f.key, int)}
        new = [f for key, f in found.items() if key not in self._known]
        for f in new[:20]:
            self.reporter.note(f"difference: {f.kind} {f.table} key {f.key}: {', '.join(f.columns)}")
        if new:
            self._close(run, look)
        if self._known and not found and not self._elsewhere:
            self._full_at = 0.0  # mended: a full pass says so
        self._known = found
        if not found:
            self._advance(run, since, look.watermark)
        self._differences(count_due(self.journal.conn, run.plan, look.watermark))

    def _advance(self, run: Run, since: Snapshot, to: Snapshot) -> None:
        """All is equal up to `to`. The mark a cutover compares from follows, unless somebody else has moved it."""
        self._since = to
        if self._clean:
            self.journal.move_verified(run, since, to)

    def _close(self, run: Run, look: ChangeComparison) -> None:
        """A verification that says `different`: the last one counts."""
        self._clean = False
        now = datetime.now(UTC)
        name = str(run.source)
        result = TableResult(name, look.compared, 0, 0, len(look.findings), look.pending, None, 0.0)
        check = CheckResult("coverage", "warning", f"only the {look.compared} keys that changed since the last look")
        report = Report(
            id=0, verdict="different", method="exact", direction=run.direction, snapshot=str(look.snapshot), covered=None,
            lsn=None, started_at=now, finished_at=now, fingerprint=None,
            server_version=self.journal.conn.info.server_version, tables=(result,), findings=look.findings[:1000],
            checks=(check,), tool_version=tool_version(), plan_fingerprint=run.plan.fingerprint,
        )  # fmt: skip
        with self.journal.conn.transaction():
            write_report(self.journal, run, report)
            self.journal.event(run.id, "verified", "different (changed keys)")

    def _differences(self, lag: int | None = None) -> None:
        self.metrics.differences.set(len(self._known) + self._elsewhere)
        if lag is not None:
            self.metrics.lag.set(lag)
