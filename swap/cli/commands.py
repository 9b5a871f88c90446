"""init, doctor, plan, prepare, sync, status, pause, resume."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cutover.trial import try_out
from swap.cli import listing
from swap.cli.context import ConfigFile, DryRun, Dsn, Json, Session, Verbose, opened
from swap.cli.output import emit_json, error_document, print_checks, print_error, print_lines
from swap.cli.status import read_status, status_lines
from swap.core.connection import Database
from swap.core.errors import PhaseError, RefusedError, SwapError, UsageError
from swap.core.journal import Phase, Run
from swap.core.names import parse_table
from swap.core.plan import Plan
from swap.core.worker import only_worker, taking_over
from swap.prepare.backfill_triggers import may_suppress, touched_by
from swap.prepare.baseline import store_baseline
from swap.prepare.checks_base import Subject
from swap.prepare.checks_logical import check_logical
from swap.prepare.checks_server import check_wal, read_server
from swap.prepare.doctor import examine, refuse
from swap.prepare.init import render, write
from swap.prepare.planning import key_type, read_plan
from swap.prepare.run import resume_prepare
from swap.sync.logical.restart import lost, restart_capture
from swap.sync.logical.switch import forget_logical, switch_mode
from swap.sync.loop import Sync


class Mode(StrEnum):
    trigger = "trigger"
    logical = "logical"


Jobs = Annotated[int | None, typer.Option("--jobs", min=1, max=64, help="Sessions at work. Else [sync] jobs.")]


def register(app: typer.Typer) -> None:
    for function in (init, doctor, plan, prepare, sync, status, pause, resume):
        app.command(epilog=f"Example: {EXAMPLES[function.__name__]}")(function)


EXAMPLES = {
    "init": "swap init public.users --out swap.toml",
    "doctor": "swap doctor --trial --json",
    "plan": "swap plan --sql > plan.sql",
    "prepare": "swap prepare --dry-run",
    "sync": "swap sync --once --jobs 4",
    "status": "swap status --watch",
    "pause": "swap pause",
    "resume": "swap resume",
}


def init(
    table: Annotated[str, typer.Argument(help="schema.table whose integer primary key becomes a uuid")],
    out: Annotated[Path, typer.Option("--out", help="Where to write it.")] = Path("swap.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    dsn: Dsn = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Inspect a table and everything that refers to it; write a commented swap.toml."""
    try:
        name = parse_table(table)
    except ValueError as e:
        raise UsageError(f"{e}.") from None
    with Database.from_options(dsn, "init").session() as conn:
        text = render(conn, name)
    write(out, text, force=force)
    if as_json:
        emit_json({"path": str(out), "table": str(name)})
    else:
        print_lines([f"Wrote {out}. Read it, declare or ignore the look-alikes, then run `swap doctor`."])


def doctor(
    trial: Annotated[bool, typer.Option("--trial", help="Build the whole target schema, empty, and roll it back.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """Every preflight check: ok, warning or blocker, with why it matters and what mends it."""
    with opened("doctor", dsn, config) as s:
        findings = examine(s.journal.conn, s.config, trial=try_out if trial else None)
    rows = [{"name": f.name, "status": f.status, "object": f.object, "detail": f.detail, "hint": f.hint} for f in findings]
    blockers = [r for r in rows if r["status"] == "blocker"]
    error = None
    if blockers:
        first = blockers[0]
        error = RefusedError(f"{len(blockers)} blockers, the first is {first['name']} of {first['object']}.", hint=first["hint"])
    if not as_json:
        print_checks(rows)
        print_lines([f"{len(rows)} checks, {len(blockers)} blockers, {sum(r['status'] == 'warning' for r in rows)} warnings"])
    return conclude({"checks": rows}, error, as_json=as_json)


def plan(
    show_sql: Annotated[bool, typer.Option("--sql", help="Every statement.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """What will happen, phase by phase: objects, locks, estimated rows and bytes."""
    with opened("plan", dsn, config) as s:
        the_plan = _plan_of(s)
        met = touched_by(the_plan, suppressed=may_suppress(s.journal.conn))
    phases = listing.phases(the_plan)
    source = the_plan.source_table
    index_bytes = sum(i.size_bytes for i in source.indexes)
    reference_bytes = sum(i.size_bytes for r in the_plan.references for i in the_plan.catalog.table(r.table).indexes)
    needed = source.heap_bytes + index_bytes + reference_bytes
    estimate = {
        "rows": source.rows_estimate,
        "shadow_bytes": source.heap_bytes + index_bytes,
        "reference_bytes": reference_bytes,
        "wal_bytes": int(needed * 1.1),
        "disk_bytes": int(needed * 1.2),
    }
    if as_json:
        emit_json(
            {
                "phases": [{"name": n, "statements": listing.as_json(st)} for n, st in phases],
                "fingerprint": the_plan.fingerprint,
                "estimate": estimate,
                "backfill_triggers": listing.triggers_as_json(met),
            }
        )
        return
    print_lines([f"plan for {the_plan.source}, fingerprint {the_plan.fingerprint}"])
    print_lines([f"  {k}: {v:,}" for k, v in estimate.items()])
    print_lines(listing.triggers_as_text(met))
    for name, statements in phases:
        strongest = sorted({f"{st.lock} on {st.table}" for st in statements if st.lock})
        print_lines([f"\n== {name}: {len(statements)} statements"])
        print_lines(listing.as_text(statements) if show_sql else [f"  {line}" for line in strongest])


def _plan_of(s: Session) -> Plan:
    """The run's own plan; before there is one, a new one that was tried out. Raises RefusedError."""
    if s.run and _active(s.run):
        return s.run.plan
    made = read_plan(s.journal.conn, s.config)
    refuse(try_out(s.journal.conn, made), s.config)
    return made


def conclude(document: dict[str, Any], error: SwapError | None, *, as_json: bool) -> int:
    """End of a command that reports and may fail: the report, then the three lines (or `error` in the document)."""
    if as_json:
        emit_json(document | ({"error": error_document(error)} if error else {}))
    elif error:
        print_error(error.message, error.state, error.hint)
    return int(error.exit_code) if error else 0


def _active(run: Run) -> bool:
    return run.phase not in (Phase.FINALIZED, Phase.ABORTED)


def prepare(
    dry_run: DryRun = False,
    mode: Annotated[Mode | None, typer.Option("--mode", help="Else [sync] mode. Of a prepared run: changes how it captures.")] = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Build the shadow table, the identity and reference columns, and start change capture. Resumes or does nothing."""
    with opened("prepare", dsn, config) as s:
        if mode is not None:
            s.config = s.config.model_copy(update={"sync": s.config.sync.model_copy(update={"mode": mode.value})})
        if dry_run:
            the_plan = _plan_of(s)
            _print_statements(listing.prepare_phase(the_plan)[1], as_json=as_json)
            return
        run = _prepare(s, mode)
    said = f"prepared: capture is live on {run.source}, {run.plan.shadow} is being kept. Next: swap sync"
    _done(as_json, {"phase": run.phase.public, "run_id": str(run.id)}, said)


def _prepare(s: Session, mode: Mode | None = None) -> Run:
    conn, run = s.journal.conn, s.run
    if run is not None and _active(run) and mode is not None and mode.value != run.mode:
        return _switch(s, run)
    if run is not None and (why := lost(conn, run)):
        s.report.note(why)
        with only_worker(conn, run.plan.tag):
            restart_capture(s.database, s.journal, run, s.config, s.report)
        return s.journal.get(run.id)
    if run is not None and run.phase is Phase.CUT_OVER:
        raise PhaseError("The run is cut over; there is nothing to prepare.")
    if run is not None and _active(run) and run.phase is not Phase.PREPARING:
        forget_logical(s.journal, run)
        return run
    if run is not None and run.phase is Phase.FINALIZED and key_type(conn, run.source, s.config.source.key) == "uuid":
        raise PhaseError(
            f"The run is finalized: {run.source}.{s.config.source.key} is a uuid already.",
            hint="There is nothing to prepare. Name another table in [source] to migrate it.",
        )
    if run is None or not _active(run):
        refuse(examine(conn, s.config, trial=try_out), s.config)
        the_plan = read_plan(conn, s.config)
    else:
        the_plan = run.plan
    with only_worker(conn, the_plan.tag):
        s.journal.create()
        run = s.journal.current(the_plan.source)
        if run is None or not _active(run):
            with conn.transaction():
                run = s.journal.add_run(the_plan, s.config.sync.mode)
                store_baseline(conn, s.journal, run)
        if run.phase is not Phase.PREPARING:
            return run
        return resume_prepare(conn, s.journal, run, s.config, s.report, s.database)


def _switch(s: Session, run: Run) -> Run:
    """Another mode of capture for a run that is prepared; a running `sync` makes way for it and goes on."""
    if run.phase is Phase.PREPARING:
        raise PhaseError(f"The run is being prepared with {run.mode} capture.", hint="Finish it without --mode; then change it.")
    if s.config.sync.mode == "logical":
        server = read_server(s.journal.conn)
        found = [
            *check_wal(server, s.config, slot_exists=False),
            *check_logical(s.journal.conn, Subject(run.plan.catalog, s.config)),
        ]
        refuse(found, s.config)
    with taking_over(s.journal.conn, run.plan.tag):
        return switch_mode(s.database, s.journal, s.journal.get(run.id), s.config.sync.mode, s.config, s.report)


def _print_statements(statements: list[Any], *, as_json: bool) -> None:
    if as_json:
        emit_json({"statements": listing.as_json(statements)})
    else:
        print_lines(listing.as_text(statements))


def _done(as_json: bool, document: dict[str, Any], said: str) -> None:
    if as_json:
        emit_json(document)
    else:
        print_lines([said])


def sync(
    once: Annotated[bool, typer.Option("--once", help="Exit as soon as it has caught up.")] = False,
    jobs: Jobs = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Backfill what is missing, build indexes, then replay changes until stopped. After a cutover: in reverse."""
    with opened("sync", dsn, config, graceful=True) as s:
        run = s.need_run("sync")
        if run.phase in (Phase.FINALIZED, Phase.ABORTED):
            raise PhaseError(f"There is nothing to sync: the run is {run.phase.public}.")
        result = Sync(s.database, s.config, s.journal, run, s.report, s.stop, jobs=jobs or s.config.sync.jobs, once=once).run()
    document = {
        "reason": result.reason, "phase": result.phase.public, "direction": result.direction,
        "replayed": result.replayed, "pending_changes": result.pending,
    }  # fmt: skip
    said = {"caught_up": "caught up", "stopped": "stopped after the batch in hand", "finished": "the run has ended"}
    text = f"{said[result.reason]}: {result.phase.public}, {result.replayed:,} changes replayed, {result.pending:,} pending"
    _done(as_json, document, text)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until interrupted.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Phase, direction, progress, lag, pending changes, last verification, and whether a revert is possible."""
    with opened("status", dsn, config, graceful=watch) as s:
        if as_json or not watch:
            document = read_status(s)
            _done(as_json, document, "\n".join(status_lines(document)))
            return
        from rich.live import Live

        with Live(refresh_per_second=2, screen=False) as live:
            stopped = False
            while not stopped:
                s.run = s.journal.current(s.config.source.name) if s.journal.exists() else None
                live.update("\n".join(status_lines(read_status(s))))
                stopped = s.stop.wait(0.5)


def _set_paused(command: str, value: bool, dsn: str | None, config: Path | None, as_json: bool) -> None:
    with opened(command, dsn, config) as s:
        run = s.need_run(command)
        if not _active(run):
            raise PhaseError(f"There is nothing to {command}: the run is {run.phase.public}.")
        s.journal.update_run(run.id, paused=value)
        s.journal.event(run.id, command, "by the operator")
    _done(as_json, {"paused": value}, "paused: `swap resume` goes on" if value else "resumed")


def pause(dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Stop backfill and replay of a running sync after the batch in hand, from any other terminal."""
    _set_paused("pause", True, dsn, config, as_json)


def resume(dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Let a paused sync go on."""
    _set_paused("resume", False, dsn, config, as_json)
