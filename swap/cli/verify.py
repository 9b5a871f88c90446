"""`swap verify`: the command that lets an operator press the button."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from swap.cli.cross_database import compare
from swap.cli.metrics_port import MetricsPort
from swap.cli.output import emit_json, print_lines, print_sql
from swap.cli.results import conclude
from swap.cli.session import Session, active, opened
from swap.cli.terminal import print_checks, print_table
from swap.core.blockers import reporting_all_waits
from swap.core.connection import Database
from swap.core.errors import DifferenceError, ExitCode, PhaseError, SwapError, UsageError
from swap.core.files import refuse_unwritable
from swap.core.sql_text import Query
from swap.plan.direction import Direction
from swap.state.journal import Phase, Run
from verify.continuous import ContinuousSettings, ContinuousVerification
from verify.evidence import evidence_files, write_evidence
from verify.repair import reference_repairs, repair_statement, repairable
from verify.repair import repair as repair_all
from verify.report import Method, Report
from verify.run import verify as run_verification
from verify.settings import VerificationSettings

REPAIRED = "Differing keys are queued for replay; nothing else was changed."


def work(
    dsn: str | None, config: Path | None, *,
    method: Method, jobs: int | None, repair: bool, dry_run: bool, report: Path | None, watch: float | None,
    metrics: MetricsPort, on: str | None, no_resume: bool, against_dsn: str | None, as_json: bool,
) -> int:  # fmt: skip
    if watch is not None and not math.isfinite(watch):  # no limit of an option refuses a NaN
        raise UsageError("--watch is a number of seconds.")
    if against_dsn is not None:
        if repair or watch is not None or on is not None or report is not None or no_resume:
            raise UsageError("--against compares two databases and goes with --jobs only.")
        other = Database.from_options(against_dsn, "verify")
        with opened("verify", dsn, config) as s:
            return compare(s, other, jobs or s.config.sync.jobs, as_json=as_json)
    if report is not None:
        refuse_unwritable(lambda: evidence_files(report))
    reader = Database.from_options(on, "verify") if on is not None else None
    if watch is not None:
        if repair:
            raise UsageError("--watch only looks: it repairs nothing.", hint="Run `swap verify --repair` beside it.")
        if no_resume:
            raise UsageError("--watch compares everything again and again.", hint="Leave --no-resume out.")
        return _watch(watch, metrics, method, jobs, report, reader, dsn, config, as_json=as_json)
    if metrics.port is not None:
        raise UsageError("--metrics-port belongs to --watch.")
    if dry_run and not repair:
        raise UsageError("--dry-run says what --repair would do.", hint="Add --repair; without it `verify` changes nothing.")
    with opened("verify", dsn, config) as s:
        run = _verifiable(s)
        with reporting_all_waits(s.database, s.report):
            settings = replace(_settings(s, method, jobs, reader), afresh=no_resume)
            result = run_verification(s.migration(run), settings)
        s.ending.set(result.verdict, ExitCode.DONE if result.verdict == "identical" else ExitCode.DIFFERENT)
        tell_verdict(s, result)
        document = result.to_json() | {"next": _then(result, repair=repair)}
        if repair:
            document |= _repair(s, run, result, dry_run=dry_run)
    if report is not None:
        _write(result, report)
    if not as_json:
        _print(document)
    return conclude(
        document,
        _failure(result, repaired=bool(document.get("repaired") or document.get("references_repaired"))),
        as_json=as_json,
    )


def _watch(
    every_s: float, port: MetricsPort, method: Method, jobs: int | None, report: Path | None, reader: Database | None,
    dsn: str | None, config: Path | None, *, as_json: bool,
) -> int:  # fmt: skip
    from verify.metrics import Metrics  # here: only a watch has metrics, and their library takes long to load

    with opened("verify", dsn, config, graceful=True) as s, ExitStack() as stack:
        run = _verifiable(s)
        metrics = Metrics(str(run.source))
        stack.enter_context(port.serving(s, metrics.registry))
        settings = ContinuousSettings(every_s, s.config.verify.full_pass_s, _settings(s, method, jobs, reader))

        def passed(r: Report) -> None:
            tell_verdict(s, r)
            if report is not None:
                _write(r, report)

        found = ContinuousVerification(
            s.migration(run), settings, metrics, on_pass=passed, on_difference=lambda r: tell_verdict(s, r)
        )
        done = found.run()
    if as_json:
        emit_json(
            {
                "reason": done.reason, "passes": done.passes, "looks": done.comparisons, "keys": done.keys,
                "differences": done.differences, "last": done.last_report.to_json() if done.last_report else None,
            }
        )  # fmt: skip
    else:
        compared = f"{done.passes} full passes, {done.comparisons} comparisons of {done.keys:,} changed keys"
        print_lines([f"{done.reason}: {compared}, {done.differences} differences known"])
    return 0


def verify_first(s: Session, run: Run) -> None:
    """The verification that an exchange asks for, right before it. Raises DifferenceError unless both sides are identical."""
    with reporting_all_waits(s.database, s.report):
        result = run_verification(s.migration(run), _settings(s, "checksum", None, None))
    s.report.note(f"verification {result.id}: {result.verdict}, {sum(t.rows for t in result.tables):,} rows")
    tell_verdict(s, result)
    if error := _failure(result, repaired=False):
        error.state = f"{error.state} The exchange did not begin."
        raise error


def tell_verdict(s: Session, result: Report) -> None:
    """The event `verification_failed`, of a verification that did not say `identical`."""
    if result.verdict == "identical":
        return
    error = _failure(result, repaired=False)
    said = error.message if error else ""
    s.events.tell("verification_failed", said, verdict=result.verdict, differences=len(result.findings), verification=result.id)


def _settings(s: Session, method: Method, jobs: int | None, standby: Database | None) -> VerificationSettings:
    return VerificationSettings(
        method=method, jobs=jobs or s.config.sync.jobs, snapshot_max_s=s.config.verify.snapshot_max_s, standby=standby
    )


def _verifiable(s: Session) -> Run:
    """Return the run. Raises PhaseError while there is nothing to compare."""
    run = s.need_run("verify")
    if run.phase not in (Phase.SYNCING, Phase.CUT_OVER):
        hint = "Run `swap sync --once` first." if active(run) else "The run has ended; `swap status` shows it."
        raise PhaseError(f"There is nothing to verify: the run is {run.phase.public}.", hint=hint)
    return run


def _repair(s: Session, run: Run, result: Report, *, dry_run: bool) -> dict[str, Any]:
    m = s.migration(run)
    if not dry_run:
        done = repair_all(m, result)
        return {"repaired": done.keys, "references_repaired": done.references}
    keys = repairable(run.plan, result.findings)
    why = "the keys are replayed like any changed key"
    found: list[tuple[Query, str]] = [(repair_statement(run.plan, keys), why)] if keys else []
    found += [(r.update, f"the other side of {r.pair.label} follows the one that leads") for r in reference_repairs(m, result)]
    statements = [{"sql": text.as_string(s.journal.conn).strip() + ";", "why": reason} for text, reason in found]
    return {"repaired": 0, "references_repaired": 0, "statements": statements}


def _write(result: Report, path: Path) -> None:
    try:
        write_evidence(result, path)
    except OSError as e:
        raise UsageError(
            f"The report was not written: {e.strerror}: {e.filename}.",
            state=f"Verification {result.id} says {result.verdict}; it is journalled.",
            hint="Name a file that can be written with --report.",
        ) from None


def _then(result: Report, *, repair: bool) -> str:
    if result.verdict != "identical":
        return "swap sync" if repair else "swap verify --repair" if result.findings else "swap verify"
    return "swap cutover" if result.direction is Direction.FORWARD else "swap status"


def _failure(result: Report, *, repaired: bool) -> SwapError | None:
    """Make the error of a verification; None for `identical`."""
    if result.verdict == "identical":
        return None
    said = (
        "Verification did not finish"
        if result.verdict == "incomplete"
        else f"Verification found {len(result.findings)} differences"
    )
    failed = [c.detail for c in result.checks if c.status == "failed"]
    if failed and not result.findings and result.verdict == "different":
        names = ", ".join(c.name for c in result.checks if c.status == "failed")
        hint = f"No row differs. RUNBOOK.md, 'Differences', 2, says what mends each of these checks: {names}."
        return DifferenceError(f"Verification failed: {failed[0]}.", state=REPAIRED if repaired else None, hint=hint)
    return DifferenceError(f"{said}{': ' + failed[0] if failed else ''}.", state=REPAIRED if repaired else None)


def _print(document: dict[str, Any]) -> None:
    columns = ["name", "rows", "missing", "extra", "different", "pending", "seconds"]
    print_table(columns, [[t.get(c) for c in columns] for t in document["tables"]])
    print_checks(document["checks"])
    for f in document["findings"][:20]:
        print_lines([f"{f['kind']:10} {f['table']} key {f['key']}: {', '.join(f['columns'])}"])
    if len(document["findings"]) > 20:
        print_lines([f"... and {len(document['findings']) - 20} more (--json or --report has all)"])
    print_lines([f"verdict: {document['verdict']} ({document['method']})"])
    for statement in document.get("statements", ()):
        print_sql([statement["sql"]])
    if document.get("repaired"):
        print_lines([f"REPAIRED: {document['repaired']} keys queued for replay; run `swap verify` again before a cutover"])
    if document.get("references_repaired"):
        print_lines(
            [f"REPAIRED: {document['references_repaired']} rows of references mended; run `swap verify` again before a cutover"]
        )
