"""The verification's row. It is written in one transaction with the mark that a cutover asks for.

In that transaction the run is still in the phase that was verified, and every table still has the file that was read. Otherwise
the verification is unfinished: a TRUNCATE or a rewrite (which may empty a table for older snapshots) or an exchange of names
came in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from swap import __version__
from swap.plan.direction import TableMapping
from swap.state.journal import Journal
from swap.state.migration import Migration
from verify.checksum import RangeDigest
from verify.partial_report import PartialReport
from verify.report import CheckResult, FileRecord, RangeRecord, Report, SnapshotRecord, verdict
from verify.settings import VerificationSettings
from verify.table_files import TableFile, table_files


def finish(
    migration: Migration, settings: VerificationSettings, started_at: datetime, found: PartialReport, *, keeps: bool
) -> Report:
    """Make the report and write it, in a session of its own. Locks the run's row for the length of that transaction.

    `run.verified` becomes the watermark up to which every key was compared. The pending keys, which were left out, changed after
    it, so a cutover compares them together with the keys that changed later. `keeps`: the ranges in the journal are this
    verification's, and go, unless it was interrupted. One that came to its end is `incomplete` for a reason of its own: the next
    one compares everything.
    """
    with migration.database.session("report") as conn, conn.transaction():
        m = migration.on(conn)
        found.unfinished += _changed_since(m, found)
        if found.over_limit or len(found.differences) > settings.limit:
            found.unfinished.append(f"more rows differ than the {settings.limit} that are listed")
        report = _report(m, settings, started_at, found)
        report = replace(report, id=_write(m, report, found))
        if report.verdict == "identical":
            m.journal.update_run(m.run.id, verified=report.covered)
        if keeps and not (found.interrupted and report.verdict == "incomplete"):
            m.journal.comparisons.forget(m.run.id)
        m.journal.event(m.run.id, "verified", f"{report.verdict} ({settings.method})")
        return report


def _changed_since(m: Migration, found: PartialReport) -> list[str]:
    phase = m.journal.lock_run(m.run.id)
    reasons = [] if phase is m.run.phase else [f"the run went from {m.run.phase.value} to {phase.value} meanwhile"]
    now = table_files(m.conn, found.table_files)
    reasons += [
        f"{table} was {_change(now.get(table), file)} meanwhile"
        for table, file in found.table_files.items()
        if now.get(table) != file
    ]
    return reasons


def _change(now: TableFile | None, then: TableFile) -> str:
    same = now is not None and (now.oid, now.filenode) == (then.oid, then.filenode)
    return "detached and attached" if same else "truncated, rewritten or replaced"


def _report(m: Migration, settings: VerificationSettings, started_at: datetime, found: PartialReport) -> Report:
    snapshots_of = [
        *found.earlier, *(SnapshotRecord(snapshot=s.text, lsn=s.lsn, watermark=str(s.watermark)) for s in found.snapshots)
    ]  # fmt: skip
    first = snapshots_of[0] if snapshots_of else None
    reasons = list(dict.fromkeys(found.unfinished))
    snapshots = "one snapshot" if len(snapshots_of) == 1 else f"{len(snapshots_of)} snapshots, one after the other"
    good = f"{found.ranges_done} of {found.ranges_planned} ranges, every row of both sides, in {snapshots}"
    if found.resumed and found.began_at:
        good += f"; {found.resumed} of them before an interruption (it began {found.began_at:%Y-%m-%d %H:%M:%S %Z})"
    coverage = CheckResult("coverage", "failed" if reasons else "ok", "; ".join(reasons) or good)
    checks = (coverage, *found.checks)
    return Report(
        id=0,
        verdict=verdict(reasons, found.tables, checks),
        method=settings.method,
        direction=m.direction,
        snapshot=first.snapshot if first else None,
        covered=found.covered or (first.watermark if first else None),
        lsn=first.lsn or None if first else None,
        started_at=found.began_at or started_at,
        finished_at=datetime.now(UTC),
        fingerprint=found.fingerprint,
        server_version=m.conn.info.server_version,
        tables=tuple(found.tables),
        findings=tuple(found.differences[: settings.limit]),
        checks=checks,
        snapshots=tuple(snapshots_of),
        ranges=_ranges(found),
        tool_version=tool_version(),
        plan_fingerprint=m.plan.fingerprint,
        resumed=found.resumed,
        files=tuple(FileRecord(str(t), f.oid, f.filenode) for t, f in sorted(found.table_files.items())),
    )


def _ranges(found: PartialReport) -> tuple[RangeRecord, ...]:
    """Table by table, as they were compared, and the ranges of each in order."""
    place = {name: n for n, name in enumerate(dict.fromkeys(r.table for r in found.range_records))}
    return tuple(sorted(found.range_records, key=lambda r: (place[r.table], r.number)))


def tool_version() -> str:
    """The version of this swap, installed or not."""
    return __version__


def write_report(journal: Journal, run_id: int, report: Report) -> int:
    """Write the verification's row. Returns its number, which the stored report has too."""
    number = journal.verifications.add(
        run_id, method=report.method, direction=report.direction, verdict=report.verdict, snapshot=report.snapshot,
        fingerprint=report.fingerprint, started_at=report.started_at,
    )  # fmt: skip
    journal.verifications.store_report(number, replace(report, id=number).to_json())
    return number


def _write(m: Migration, report: Report, found: PartialReport) -> int:
    """Write the row and, with the checksum method, the digests of every range of both sides."""
    number = write_report(m.journal, m.run.id, report)
    m.journal.verifications.store_digests(number, _digests(found.digests))
    return number


def _digests(digests: Sequence[tuple[TableMapping, RangeDigest]]) -> list[dict[str, object]]:
    return [
        {
            "part": str(table), "number": d.range.number, "low": d.range.low, "high": d.range.high,
            "rows": side.rows, "digest": side.digest,
        }
        for mapping, d in digests
        for table, side in ((mapping.origin, d.origin), (mapping.target, d.target))
    ]  # fmt: skip
