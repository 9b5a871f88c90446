"""Every command as the command line knows it: its options, its help, an example. `swap --help` lists them in this order.

A command imports the module that does its work when it runs. So `--help` and shell completion load neither the database
driver nor anything that a single command needs (tests/cli/test_start.py). Annotations here are no text (`from __future__
import annotations`): typer would evaluate each text twice, which took longer than everything else in this module.
"""

from pathlib import Path
from typing import Annotated

import typer

from swap.cli.app import app, command
from swap.cli.options import (
    AddressOfMetrics,
    Clients,
    CloneKind,
    ConfigFile,
    DryRun,
    Dsn,
    Hook,
    Inherited,
    Jobs,
    Json,
    LockTimeout,
    MaxAttempts,
    MaxLockHold,
    Method,
    Mode,
    PortOfMetrics,
    ReadsAcross,
    Shell,
    ShowQueries,
    Variant,
    Verbose,
    Yes,
)  # fmt: skip

__all__ = ["app"]


@command("swap init public.users --out swap.toml", "Inspect a table and what refers to it; write a swap.toml.")
def init(
    table: Annotated[str, typer.Argument(help="schema.table whose integer primary key becomes a uuid")],
    out: Annotated[Path, typer.Option("--out", help="Where to write it.")] = Path("swap.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    dsn: Dsn = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Inspect a table and everything that refers to it; write a commented swap.toml."""
    from swap.cli.init import work

    work(table, out, force=force, dsn=dsn, as_json=as_json)


@command("swap doctor --json", "Run every preflight check; say what mends each problem.")
def doctor(
    trial: Annotated[bool, typer.Option("--trial/--no-trial", help="Build the whole target schema, empty, and roll it back.")] = True,
    show_all: Annotated[bool, typer.Option("--all", help="Every check that is ok too, with what it found.")] = False,
    fix_sql: Annotated[bool, typer.Option("--fix-sql", help="Print the statements of all hints as one script, with what undoes them.")] = False,
    show_queries: ShowQueries = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """Every preflight check: ok, warning or blocker, with why it matters and what mends it."""
    from swap.cli.doctor import Options, work

    options = Options(trial=trial, show_all=show_all, show_queries=show_queries, fix_sql=fix_sql)
    return work(dsn, config, options, as_json=as_json)


@command("swap plan --sql > plan.sql", "Show what will happen: objects, locks, rows and bytes.")
def plan(
    show_sql: Annotated[bool, typer.Option("--sql", help="Every statement.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """What will happen, phase by phase: objects, locks, estimated rows and bytes."""
    from swap.cli.plan import work

    work(dsn, config, show_sql=show_sql, as_json=as_json)


@command("swap prepare --dry-run", "Make the empty shadow table and start change capture.")
def prepare(
    dry_run: DryRun = False,
    mode: Annotated[Mode | None, typer.Option("--mode", help="Else [sync] mode. Of a prepared run: changes how it captures.")] = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Build the shadow table, the identity and reference columns, and start change capture. Resumes or does nothing."""
    from swap.cli.prepare import work

    work(dsn, config, mode=mode.value if mode else None, dry_run=dry_run, as_json=as_json)


@command("swap sync --once --jobs 4", "Copy the rows, build indexes, then replay changes.")
def sync(
    once: Annotated[bool, typer.Option("--once", help="Exit as soon as it has caught up.")] = False,
    jobs: Jobs = None,
    metrics_port: PortOfMetrics = None, metrics_bind: AddressOfMetrics = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """Backfill what is missing, build indexes, then replay changes until stopped. After a cutover: in reverse."""
    from swap.cli.metrics_port import MetricsPort
    from swap.cli.sync import work

    return work(dsn, config, once=once, jobs=jobs, metrics=MetricsPort(metrics_port, metrics_bind), as_json=as_json)


@command("swap status --watch", "Show phase, progress, lag, and whether a revert is possible.")
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until interrupted.")] = False,
    every: Annotated[bool, typer.Option("--all", help="A line for each table of a directory of configurations: --config, or ./swap.d.")] = False,
    rehearsal: Annotated[Path | None, typer.Option("--rehearsal", metavar="FILE", help="Show what this report of `rehearse` predicted beside it.")] = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Phase, direction, progress, lag, pending changes, last verification, and whether a revert is possible."""
    if every:
        from swap.cli.status_all import work as all_tables

        all_tables(dsn, config, alone=watch or rehearsal is not None, as_json=as_json)
        return
    from swap.cli.status import work

    work(dsn, config, watch=watch, rehearsal=rehearsal, as_json=as_json)


@command("swap check --nagios", "Say whether the run needs a person: an exit code.")
def check(
    nagios: Annotated[bool, typer.Option("--nagios", help="As a monitoring plugin: exit code 0, 1 (warning), 2 (critical), 3 (unknown).")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """Whether the run needs a person, for a container's health and for monitoring. Exit code 3 names what is wrong."""
    from swap.cli.check import work

    return work(dsn, config, nagios=nagios, as_json=as_json)


@command("swap history --limit 20", "Show who did what to the run, and what happened.")
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many commands and events, the newest.")] = 100,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Who did what to the runs of the source: command, options, role, machine, version, when, how it ended; and what happened."""
    from swap.cli.history import work

    work(dsn, config, limit=limit, as_json=as_json)


@command("swap pause", "Stop a running sync after the batch in hand.")
def pause(dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Stop backfill and replay of a running sync after the batch in hand, from any other terminal."""
    from swap.cli.pause import work

    work("pause", dsn, config, as_json=as_json)


@command("swap resume", "Let a paused sync go on.")
def resume(dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False) -> None:
    """Let a paused sync go on."""
    from swap.cli.pause import work

    work("resume", dsn, config, as_json=as_json)


@command("swap set jobs=4 throttle.max_load=40", "Give a running sync other settings.")
def set(  # noqa: A001 - the command's name
    words: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE", help="jobs, chunk_target_ms, throttle.max_load, ...; off switches off. None: show what is set.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Return to the configuration: of the names given, or of all.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Give a running sync other settings, from any other terminal. They hold until --reset, or until the run has ended."""
    from swap.cli.set import work

    work(dsn, config, words or [], reset=reset, as_json=as_json)


@command("swap verify --method exact --report verify.json", "Compare every row of both sides. Blocks no writer.")
def verify(
    method: Annotated[Method, typer.Option("--method", help="checksum drills down with exact where sums differ.")] = Method.checksum,
    jobs: Jobs = None,
    repair: Annotated[bool, typer.Option("--repair", help="Queue differing keys for replay; verify again after.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --repair: print what would queue them.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Also write JSON and Markdown: FILE, and FILE with the other suffix.")] = None,
    watch: Annotated[float | None, typer.Option("--watch", min=0.1, max=86_400, metavar="SECONDS", help="Compare changed keys this often, everything every [verify] full_pass_s, until stopped.")] = None,
    metrics_port: PortOfMetrics = None, metrics_bind: AddressOfMetrics = None,
    on: Annotated[str | None, typer.Option("--on", metavar="DSN", help="Compare on this physical standby: the primary does no scan.")] = None,
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Compare everything, even what an interrupted verification has compared.")] = False,
    against_dsn: Annotated[str | None, typer.Option("--against", metavar="DSN", help="Compare with the same tables of another database, by digests.")] = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """Row-level verification of every table in the run, with the reference and structure checks. Blocks no writer."""
    from swap.cli.metrics_port import MetricsPort
    from swap.cli.verify import work

    return work(
        dsn, config, method=method.value, jobs=jobs, repair=repair, dry_run=dry_run, report=report, watch=watch,
        metrics=MetricsPort(metrics_port, metrics_bind), on=on, no_resume=no_resume, against_dsn=against_dsn, as_json=as_json,
    )  # fmt: skip


@command("swap cutover --dry-run; swap cutover --yes --max-attempts 50", "Exchange the tables in one short transaction.")
def cutover(
    dry_run: DryRun = False, yes: Yes = False,
    no_snapshot: Annotated[bool, typer.Option("--no-snapshot", help="Cut over without the snapshot hook.")] = False,
    revert_on_failure: Annotated[bool, typer.Option("--revert-on-failure", help="Go back if [hooks] post_swap_check fails.")] = False,
    max_attempts: MaxAttempts = None, lock_timeout: LockTimeout = None, max_lock_hold: MaxLockHold = None, reads: ReadsAcross = None,
    rehearsal: Annotated[Path | None, typer.Option("--require-rehearsal", metavar="FILE", help="Refuse what differs from this report of `rehearse`.")] = None,
    wait_for: Annotated[Path | None, typer.Option("--wait-for", metavar="FILE", help="Begin when this file is there; verified until then.")] = None,
    window: Annotated[str | None, typer.Option("--window", metavar="TIMES", help="Begin in it: 02:00-04:00, or with a zone: '02:00-04:00 Europe/Berlin'.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Tell the cutover that waits, here or elsewhere, to begin.")] = False,
    disconnect_clients: Clients = None, show_queries: ShowQueries = False,
    metrics_port: PortOfMetrics = None, metrics_bind: AddressOfMetrics = None,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Gates, snapshot hook, one atomic rename transaction; reverse capture is live from its commit."""
    from swap.cli import cutover_wait
    from swap.cli.cutover import work
    from swap.cli.metrics_port import MetricsPort

    alone = (
        dry_run,
        no_snapshot,
        revert_on_failure,
        show_queries,
        max_attempts,
        lock_timeout,
        max_lock_hold,
        reads,
        rehearsal,
        wait_for,
        window,
        metrics_port,
        metrics_bind,
    )
    if now:
        cutover_wait.refuse_others(any(option not in (None, False) for option in alone) or bool(disconnect_clients))
        cutover_wait.work(dsn, config, yes=yes, as_json=as_json)
        return
    terms = cutover_wait.read_terms(wait_for, window)
    overrides = {
        "max_attempts": max_attempts, "lock_timeout_ms": lock_timeout, "max_lock_hold_ms": max_lock_hold,
        "disconnect_clients": disconnect_clients, "reads": reads and reads.value,
    }  # fmt: skip
    work(
        dsn, config, overrides, dry_run=dry_run, yes=yes, no_snapshot=no_snapshot, revert_on_failure=revert_on_failure,
        rehearsal=rehearsal, terms=terms, show_queries=show_queries, metrics=MetricsPort(metrics_port, metrics_bind), as_json=as_json,
    )  # fmt: skip


@command("swap revert --verify --yes", "Exchange them back; keep every write since the cutover.")
def revert(
    dry_run: DryRun = False, yes: Yes = False,
    verify: Annotated[bool, typer.Option("--verify", help="First verify; go on if both sides are identical.")] = False,
    max_attempts: MaxAttempts = None, lock_timeout: LockTimeout = None, max_lock_hold: MaxLockHold = None, reads: ReadsAcross = None,
    disconnect_clients: Clients = None, show_queries: ShowQueries = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """The same transaction backwards, keeping every write made after the cutover; then syncing forward again."""
    from swap.cli.revert import work

    overrides = {
        "max_attempts": max_attempts, "lock_timeout_ms": lock_timeout, "max_lock_hold_ms": max_lock_hold,
        "disconnect_clients": disconnect_clients, "reads": reads and reads.value,
    }  # fmt: skip
    work(dsn, config, overrides, dry_run=dry_run, yes=yes, verify=verify, show_queries=show_queries, as_json=as_json)


@command("swap finalize --dry-run --drop-legacy", "Drop the retired table and capture: no revert after it.")
def finalize(
    dry_run: DryRun = False, yes: Yes = False,
    drop_legacy: Annotated[bool, typer.Option("--drop-legacy", help="Drop the integer columns too.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """The only command that destroys: drops the retired table and capture; after it there is no revert."""
    from swap.cli.finalize import work

    work(dsn, config, drop_legacy=drop_legacy, dry_run=dry_run, yes=yes, as_json=as_json)


@command("swap abort --yes", "Before a cutover: remove everything that swap added.")
def abort(
    dry_run: DryRun = False, yes: Yes = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Before a cutover: remove everything swap added; the tables are as they were before prepare."""
    from swap.cli.abort import work

    work(dsn, config, dry_run=dry_run, yes=yes, as_json=as_json)


@command("swap adopt-clone --yes", "Take over the state in a copy of the database, on purpose.")
def adopt_clone(
    yes: Yes = False, dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False
) -> None:
    """In a restored dump, a promoted or upgraded copy: say what differs and what becomes of each run, then take them over."""
    from swap.cli.adopt_clone import work

    work(dsn, config, yes=yes, as_json=as_json)


@command(
    "swap rehearse --clone dump --check './suite.sh' --report rehearsal.html",
    "Run the whole cycle on a clone under load; say go or no-go.",
)
def rehearse(
    on: Annotated[str | None, typer.Option("--on", metavar="DSN", help="A clone that exists. --dsn names production, which is only read.")] = None,
    clone: Annotated[CloneKind | None, typer.Option("--clone", help="Make a clone, and remove it at the end.")] = None,
    clone_dsn: Annotated[str | None, typer.Option("--clone-dsn", metavar="DSN", help="Who makes the clone (template, basebackup), or the server that takes the dump.")] = None,
    hook: Annotated[str | None, typer.Option("--hook", metavar="CMD", help="With --clone hook: makes a clone and prints its DSN.")] = None,
    schema_only: Annotated[bool, typer.Option("--schema-only", help="With --clone dump: no rows.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Do not remove the clone.")] = False,
    inherited: Annotated[Inherited, typer.Option("--inherited", help="A run that the clone has from its original.")] = Inherited.refuse,
    load: Annotated[str, typer.Option("--load", metavar="CMD", help="mix: made from the catalog. none. A command, or a .sql file for pgbench.")] = "mix",
    dwell: Annotated[float, typer.Option("--dwell", min=0, max=86_400, metavar="SECONDS", help="How long the load runs before and after each exchange.")] = 10.0,
    check: Annotated[list[str] | None, typer.Option("--check", metavar="CMD", help="Run in each state, with the clone in DATABASE_URL and PG*. May be repeated.")] = None,
    check_timeout: Annotated[float, typer.Option("--check-timeout", min=1, max=86_400, metavar="SECONDS", help="A check that takes longer is ended, and has failed.")] = 1800.0,
    statements: Annotated[Path | None, typer.Option("--statements", metavar="FILE", help="Statements to plan on both shapes. Else the top of pg_stat_statements.")] = None,
    report: Annotated[Path, typer.Option("--report", metavar="FILE", help="HTML; JSON and Markdown beside it.")] = Path("rehearsal.html"),
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """The whole cycle on a clone of production: cutover, revert and finalize, under load, with a report to decide by."""
    from swap.cli.rehearse import Options, work

    options = Options(
        on=on, clone=clone.value if clone else None, clone_dsn=clone_dsn, hook=hook, schema_only=schema_only, keep=keep,
        inherited=inherited.value, load=load, dwell_s=dwell, checks=check or [], check_timeout_s=check_timeout, statements=statements, report=report,
    )  # fmt: skip
    return work(dsn, config, options, as_json=as_json)


@command("swap report --out run.html", "Write the report of a run, from its journal.")
def report(
    run: Annotated[int | None, typer.Argument(help="The run's number (`run_id` of status). Else the newest.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="HTML; JSON and Markdown beside it.")] = Path("run.html"),
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> int:  # fmt: skip
    """The report of a real run: its copy, verifications, hooks, exchanges and events, from the journal. Changes nothing."""
    from swap.cli.report import work

    return work(run, out, dsn, config, as_json=as_json)


@command("swap demo --variant fresh --users 20000", "Run the whole cycle on a private PostgreSQL under load.")
def demo(
    variant: Annotated[Variant, typer.Option("--variant", help="adopt: uuid columns half there; fresh: none.")] = Variant.adopt,
    users: Annotated[int, typer.Option("--users", min=100, max=10_000_000, help="Rows in the example's users table.")] = 50_000,
    mode: Annotated[Mode, typer.Option("--mode", help="How changes are captured.")] = Mode.trigger,
    rehearsal: Annotated[
        Path | None, typer.Option("--rehearse", metavar="FILE", help="Rehearse on a clone instead, and write the report there.")
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """A private PostgreSQL, the example application under live load, the whole cycle, a summary."""
    from swap.cli.demo import work

    return work(variant=variant.value, users=users, mode=mode.value, rehearsal=rehearsal, as_json=as_json)


@command("swap hook pg_dump --print > snapshot.sh", "Run or print one of the two ready snapshot hooks.")
def hook(
    name: Annotated[Hook, typer.Argument(help="Which one.")],
    show: Annotated[bool, typer.Option("--print", help="Print the script instead: a start for one of your own.")] = False,
    as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """A ready snapshot hook: in swap.toml, pre_swap_snapshot = ["swap", "hook", NAME]. By hand it tries that out."""
    from swap.cli.hook import work

    work(name.value, show=show, as_json=as_json)


@command("swap completion bash > /usr/share/bash-completion/completions/swap", "Print the completion script of a shell.")
def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")],
    as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Print a shell's completion script, for a package or an image. For yourself: swap --install-completion."""
    from swap.cli.completion import work

    work(shell.value, as_json=as_json)


@command("swap man --out ~/.local/share/man/man1", "Print a manual page, or write all of them.")
def man(
    name: Annotated[str | None, typer.Argument(metavar="COMMAND", help="Whose page; without one, the page of swap.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIRECTORY", help="Write every page there.")] = None,
    as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """The manual pages, made from the help: swap man verify | man -l -."""
    from swap.cli.man import work

    work(out, name, as_json=as_json)


@command("swap version --json", "Show the versions of swap and of what it stands on.")
def version(as_json: Json = False, verbose: Verbose = False) -> None:
    """The versions of swap, its state layout, Python, libpq and psycopg, and the commit: for a report of a defect. Also: swap --version."""
    from swap.cli.version import work

    work(as_json=as_json)
