"""init, doctor, sync, status, pause, resume; and the order in which `swap --help` lists them with plan and prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swap.cli.context import ConfigFile, Dsn, Json, Verbose, opened
from swap.cli.output import emit_json, print_checks, print_lines, watched
from swap.cli.plan_commands import active, plan, prepare
from swap.cli.results import conclude, done
from swap.cli.status import read_status, status_lines
from swap.core.connection import Database
from swap.core.errors import PhaseError, RefusedError, UsageError
from swap.core.names import parse_table
from swap.doctor.examine import examine
from swap.doctor.trial.build import try_out
from swap.prepare.init import render, write
from swap.state.journal import Phase
from swap.sync.loop import Sync

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
        result = Sync(s.migration(run), jobs=jobs or s.config.sync.jobs, once=once).run()
    document = {
        "reason": result.reason, "phase": result.phase.public, "direction": result.direction,
        "replayed": result.replayed, "pending_changes": result.pending,
    }  # fmt: skip
    said = {"caught_up": "caught up", "stopped": "stopped after the batch in hand", "finished": "the run has ended"}
    text = f"{said[result.reason]}: {result.phase.public}, {result.replayed:,} changes replayed, {result.pending:,} pending"
    done(as_json, document, text)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until interrupted.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Phase, direction, progress, lag, pending changes, last verification, and whether a revert is possible."""
    with opened("status", dsn, config, graceful=watch) as s:
        if as_json or not watch:
            document = read_status(s)
            done(as_json, document, "\n".join(status_lines(document)))
            return
        with watched() as (show, every_s):
            stopped = False
            while not stopped:
                s.run = s.journal.current(s.config.source.name) if s.journal.exists() else None
                show(status_lines(read_status(s)))
                stopped = s.stop.wait(every_s)


def _set_paused(command: str, value: bool, dsn: str | None, config: Path | None, as_json: bool) -> None:
    with opened(command, dsn, config) as s:
        run = s.need_run(command)
        if not active(run):
            raise PhaseError(f"There is nothing to {command}: the run is {run.phase.public}.")
        s.journal.update_run(run.id, paused=value)
        s.journal.event(run.id, command, "by the operator")
    done(as_json, {"paused": value}, "paused: `swap resume` goes on" if value else "resumed")


def pause(dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Stop backfill and replay of a running sync after the batch in hand, from any other terminal."""
    _set_paused("pause", True, dsn, config, as_json)


def resume(dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Let a paused sync go on."""
    _set_paused("resume", False, dsn, config, as_json)
