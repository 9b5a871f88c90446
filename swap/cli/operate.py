"""cutover, revert, finalize, abort: the commands that ask first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cutover.finalize import abort as run_abort
from cutover.finalize import finalize as run_finalize
from cutover.finalize import way_back
from cutover.finalize_checks import check_finalize
from cutover.gates import check_phase
from cutover.hook import HookError, run_hook
from cutover.prepared_exchange import slot_and_generation
from cutover.run import Operation
from swap.cli.context import ConfigFile, DryRun, Dsn, Json, Session, Verbose, Yes, confirm, opened
from swap.cli.output import emit_json, print_lines
from swap.cli.results import done, print_statements
from swap.core.connection import Connection
from swap.core.errors import PhaseError, RefusedError, StoppedError
from swap.ddl.phases import exchange_statements
from swap.ddl.teardown import abort_steps, finalize_steps
from swap.state.journal import Phase, Run

Clients = Annotated[
    list[str] | None,
    typer.Option("--disconnect-clients", metavar="ROLE", help="End its idle sessions after the commit. May be repeated."),
]


def register(app: typer.Typer) -> None:
    for function in (cutover, revert, finalize, abort):
        app.command(epilog=f"Example: {EXAMPLES[function.__name__]}")(function)


EXAMPLES = {
    "cutover": "swap cutover --dry-run; swap cutover --yes --max-attempts 50",
    "revert": "swap revert --yes",
    "finalize": "swap finalize --dry-run --drop-legacy",
    "abort": "swap abort --yes",
}


def cutover(
    dry_run: DryRun = False, yes: Yes = False,
    no_snapshot: Annotated[bool, typer.Option("--no-snapshot", help="Cut over without the snapshot hook.")] = False,
    max_attempts: Annotated[int | None, typer.Option("--max-attempts", min=1, help="Else [cutover] max_attempts.")] = None,
    lock_timeout: Annotated[int | None, typer.Option("--lock-timeout", min=1, metavar="MS", help="Per attempt.")] = None,
    max_lock_hold: Annotated[int | None, typer.Option("--max-lock-hold", min=50, metavar="MS", help="Else it rolls back.")] = None,
    disconnect_clients: Clients = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Gates, snapshot hook, one atomic rename transaction; reverse capture is live from its commit."""
    overrides = {
        "max_attempts": max_attempts, "lock_timeout_ms": lock_timeout, "max_lock_hold_ms": max_lock_hold,
        "disconnect_clients": disconnect_clients,
    }  # fmt: skip
    with opened("cutover", dsn, config, graceful=True) as s:
        _override(s, overrides)
        run = s.need_run("cutover")
        if dry_run:
            if run.phase not in (Phase.PREPARED, Phase.BACKFILLING):
                check_phase(run, "cutover")
            print_statements(exchange_statements(run.plan, "cutover", *slot_and_generation(s.journal, run)), as_json=as_json)
            return
        check_phase(run, "cutover")
        if s.config.hooks.pre_swap_snapshot is None and not no_snapshot:
            raise RefusedError(
                "No snapshot hook is configured.",
                hint="Set [hooks] pre_swap_snapshot (docs/hooks.md), or say --no-snapshot.",
            )
        confirm(f"Exchange {run.source} with {run.plan.shadow} now?", yes=yes)
        hook = None if no_snapshot else _snapshot_hook(s)
        _exchange(s, run, "cutover", hook, as_json=as_json)


def revert(
    dry_run: DryRun = False, yes: Yes = False, disconnect_clients: Clients = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """The same transaction backwards, keeping every write made after the cutover; then syncing forward again."""
    with opened("revert", dsn, config, graceful=True) as s:
        _override(s, {"disconnect_clients": disconnect_clients})
        run = s.need_run("revert")
        check_phase(run, "revert")
        if dry_run:
            print_statements(exchange_statements(run.plan, "revert", *slot_and_generation(s.journal, run)), as_json=as_json)
            return
        confirm(f"Exchange {run.source} back with {run.plan.retired} now?", yes=yes)
        _exchange(s, run, "revert", None, as_json=as_json)


def _override(s: Session, options: Mapping[str, object]) -> None:
    """Options that were given go before the configuration's [cutover]."""
    given = {k: v for k, v in options.items() if v is not None}
    s.config = s.config.model_copy(update={"cutover": s.config.cutover.model_copy(update=given)})


def _exchange(s: Session, run: Run, kind: str, hook: Callable[[Connection, Run], str] | None, *, as_json: bool) -> None:
    operation = Operation(
        s.database, s.config, s.journal, run, kind, s.report, s.stop,
        lambda conn, r: hook(conn, r) if hook else None,
    )  # fmt: skip
    outcome = operation.execute()
    s.report.close()
    if as_json:
        document = asdict(outcome)
        document["snapshot"] = outcome.snapshot
        emit_json(document)
        return
    behind = f"at most {outcome.blocked_sessions_max} sessions waited, {outcome.blocked_ms_max:.0f} ms at the longest"
    print_lines(
        [
            f"{kind} {outcome.outcome} in attempt {outcome.attempts}: writes were held {outcome.locked_ms:.0f} ms",
            f"the lock was granted after {outcome.lock_wait_ms:.0f} ms; {behind}",
            f"{outcome.drained_changes:,} changes drained and {outcome.compared_keys:,} keys compared under the lock",
            *([quoted(outcome.verification)] if outcome.verification else []),
            *([f"PgBouncer held its clients for {outcome.paused_ms:.0f} ms"] if outcome.paused_ms is not None else []),
            *([f"{outcome.disconnected} sessions of before were ended"] if outcome.disconnected or outcome.clients_left else []),
            *(f"left, in a transaction: {who}" for who in outcome.clients_left),
            *([f"snapshot: {outcome.snapshot}"] if outcome.snapshot else []),
            "foreign keys are validated; `swap sync` now keeps the "
            + ("retired table in sync: `swap revert` is possible" if kind == "cutover" else "shadow in sync again"),
        ]
    )


def quoted(v: dict[str, object]) -> str:
    """The verification that was relied on."""
    return f"it relied on verification {v['id']} ({v['method']}, {v['rows']:,} rows, {v['finished_at']})"


def _snapshot_hook(s: Session) -> Callable[[Connection, Run], str]:
    """Runs the configured hook, journals it, returns the snapshot's id (StoppedError when it fails)."""

    def hook(conn: Connection, run: Run) -> str:
        argv = list(s.config.hooks.pre_swap_snapshot or [])
        row = conn.execute("SELECT pg_current_wal_lsn()::text, pg_current_xact_id()::text").fetchone()
        assert row is not None
        env = {
            **s.database.libpq_environment(),
            "SWAP_RUN_ID": str(run.id), "SWAP_TABLE": str(run.source), "SWAP_LSN": row[0], "SWAP_XID": row[1],
            "SWAP_PHASE": run.phase.public,
        }  # fmt: skip
        number = s.journal.hooks.begin(run.id, "pre_swap_snapshot", argv)
        s.report.note(f"snapshot hook: {argv[0]}")
        try:
            result = run_hook(argv, env=env, timeout_s=s.config.hooks.timeout_s, cwd=_directory(s.config_path))
        except StoppedError as e:
            code, output = (e.result.exit_code, e.result.output) if isinstance(e, HookError) else (-1, "")
            said = f"{e.message}\n{output}".strip()
            s.journal.hooks.finish(number, exit_code=code, output=said)
            raise
        s.journal.hooks.finish(number, exit_code=result.exit_code, output=result.output, snapshot=result.snapshot)
        return result.snapshot

    return hook


def _directory(path: Path) -> Path:
    return path.resolve().parent


def finalize(
    dry_run: DryRun = False, yes: Yes = False,
    drop_legacy: Annotated[bool, typer.Option("--drop-legacy", help="Drop the integer columns too.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """The only command that destroys: drops the retired table and capture; after it there is no revert."""
    with opened("finalize", dsn, config) as s:
        run = s.need_run("finalize")
        if run.phase not in (Phase.CUT_OVER, Phase.FINALIZED):
            raise PhaseError(
                f"Nothing can be finalized: the run is {run.phase.public}.",
                hint="The run was aborted." if run.phase is Phase.ABORTED else "`swap cutover` first; then let it bake.",
            )
        if dry_run:
            first = run.phase is Phase.CUT_OVER
            check_finalize(s.journal.conn, run.plan, s.config, drop_legacy=drop_legacy, second_names=first)
            steps = finalize_steps(run.plan, drop_legacy=drop_legacy, second_names=first)
            print_statements([st for step in steps for st in step.statements], as_json=as_json)
            return
        confirm(f"Drop {run.plan.retired} for good? There is no revert after this.", yes=yes)
        run_finalize(s.journal.conn, s.journal, run, s.config, s.report, drop_legacy=drop_legacy)
    done(as_json, {"phase": "finalized"}, f"finalized: {run.plan.retired} and capture are gone")


def abort(
    dry_run: DryRun = False, yes: Yes = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Before a cutover: remove everything swap added; the tables are as they were before prepare."""
    with opened("abort", dsn, config) as s:
        run = s.need_run("abort")
        if run.phase in (Phase.CUT_OVER, Phase.FINALIZED):
            raise PhaseError(
                f"An abort is not possible: the run is {run.phase.public}.",
                hint=way_back(run.phase),
            )
        if dry_run:
            print_statements([st for step in abort_steps(run.plan) for st in step.statements], as_json=as_json)
            return
        if run.phase is not Phase.ABORTED:
            confirm(f"Remove {run.plan.shadow} and everything else swap added?", yes=yes)
            run_abort(s.journal.conn, s.journal, run, s.config, s.report)
    done(as_json, {"phase": "aborted"}, f"aborted: {run.source} and its references are as they were before prepare")
