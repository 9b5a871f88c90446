"""The verification's row: written in one transaction with the mark that a cutover asks for.

In that transaction the run is still in the phase that was verified, and every table still is the file that was
read: a TRUNCATE or a rewrite since (which may empty a table for older snapshots) or an exchange of names makes
the look unfinished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from swap.core.connection import Connection, Database
from swap.core.names import TableName
from swap.plan.direction import Direction
from swap.state.journal import Journal, Run
from verify.checksum import RangeDigest
from verify.partial_report import PartialReport
from verify.report import CheckResult, Method, Report, SnapshotRecord, verdict
from verify.table_files import table_files


def finish(database: Database, run: Run, method: Method, started_at: datetime, found: PartialReport, limit: int) -> Report:
    """Make the report and write it. Locks the run's row for the length of that transaction.

    `run.verified` becomes the watermark up to which every key was compared: pending keys, which were left out,
    lie beyond it, so a cutover compares them with those that changed later.
    """
    with database.session("report") as conn, conn.transaction():
        journal = Journal(conn, run.plan.state_schema)
        found.unfinished += _changed_since(conn, journal, run, found)
        if found.capped or len(found.findings) > limit:
            found.unfinished.append(f"more rows differ than the {limit} that are listed")
        report = _report(conn, run, method, started_at, found, limit)
        report = replace(report, id=_write(journal, run, report, found))
        if report.verdict == "identical":
            journal.update_run(run.id, verified=report.covered)
        journal.event(run.id, "verified", f"{report.verdict} ({method})")
        return report


def _changed_since(conn: Connection, journal: Journal, run: Run, found: PartialReport) -> list[str]:
    phase = journal.lock_run(run.id)
    reasons = [] if phase is run.phase else [f"the run went from {run.phase.value} to {phase.value} meanwhile"]
    now = table_files(conn, list(found.table_files))
    reasons += [
        f"{table} was truncated, rewritten or replaced meanwhile"
        for table, file in found.table_files.items()
        if now.get(table) != file
    ]
    return reasons


def _report(conn: Connection, run: Run, method: Method, started_at: datetime, found: PartialReport, limit: int) -> Report:
    view = found.views[0] if found.views else None
    reasons = list(dict.fromkeys(found.unfinished))
    snapshots = "one snapshot" if len(found.views) == 1 else f"{len(found.views)} snapshots, one after the other"
    good = f"{found.ranges_done} of {found.ranges} ranges, every row of both sides, in {snapshots}"
    coverage = CheckResult("coverage", "failed" if reasons else "ok", "; ".join(reasons) or good)
    checks = (coverage, *found.checks)
    return Report(
        id=0,
        verdict=verdict(reasons, found.tables, checks),
        method=method,
        direction=run.direction,
        snapshot=view.text if view else None,
        covered=str(view.watermark) if view else None,
        lsn=view.lsn if view else None,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        fingerprint=found.fingerprint,
        server_version=conn.info.server_version,
        tables=tuple(found.tables),
        findings=tuple(found.findings[:limit]),
        checks=checks,
        snapshots=tuple(SnapshotRecord(v.text, v.lsn, str(v.watermark)) for v in found.views),
        ranges=tuple(sorted(found.ranges_seen, key=lambda r: r.number)),
        tool_version=tool_version(),
        plan_fingerprint=run.plan.fingerprint,
    )


def tool_version() -> str:
    """Of the installed package; empty when it runs from a checkout that was not installed."""
    try:
        return version("pg-uuid-swap")
    except PackageNotFoundError:
        return ""


def write_report(journal: Journal, run: Run, report: Report) -> int:
    """The verification's row; returns its number, which the stored report has too."""
    number = journal.verifications.add(
        run.id, method=report.method, direction=report.direction, verdict=report.verdict, snapshot=report.snapshot,
        fingerprint=report.fingerprint, started_at=report.started_at,
    )  # fmt: skip
    journal.verifications.store_report(number, replace(report, id=number).to_json())
    return number


def _write(journal: Journal, run: Run, report: Report, found: PartialReport) -> int:
    """The row and, with the checksum method, the digests of every range of both sides."""
    number = write_report(journal, run, report)
    journal.verifications.store_digests(number, list(_digests(run, found)))
    return number


def _digests(run: Run, found: PartialReport) -> Iterator[dict[str, object]]:
    forward = run.direction is Direction.FORWARD
    sides: tuple[TableName, TableName] = (run.plan.source, run.plan.shadow if forward else run.plan.retired)
    for d in found.digests:
        for name, side in zip(sides, (d.origin, d.target), strict=True):
            yield _digest(name, d, side.rows, side.digest)


def _digest(name: TableName, d: RangeDigest, rows: int, digest: str) -> dict[str, object]:
    return {
        "part": str(name), "number": d.range.number, "low": d.range.low, "high": d.range.high,
        "rows": rows, "digest": digest,
    }  # fmt: skip
