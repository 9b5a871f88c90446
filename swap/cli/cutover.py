"""`swap cutover`: pass the gates, run the snapshot hook, exchange the tables, and check the application."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cutover.gates import check_phase
from cutover.hook import HookError, run_hook
from cutover.hook_output import Audience
from cutover.run import ExchangeCommand
from cutover.run import no_snapshot as without_hook
from cutover.wait import NO_DEADLINE, Terms, Wait
from swap.cli.after_cutover import check_and_print
from swap.cli.exchange import Hook, execute, override, print_exchange, told
from swap.cli.metrics_port import MetricsPort
from swap.cli.question import ExchangeQuestion, ask_exchange
from swap.cli.session import Session, opened
from swap.core.errors import RefusedError, StoppedError, UsageError
from swap.core.libpq_environment import libpq_environment, secrets_of
from swap.state.journal import Phase
from swap.state.migration import Migration


def work(
    dsn: str | None, config: Path | None, overrides: Mapping[str, object], *,
    dry_run: bool, yes: bool, no_snapshot: bool, revert_on_failure: bool, rehearsal: Path | None, terms: Terms,
    show_queries: bool, metrics: MetricsPort, as_json: bool,
) -> None:  # fmt: skip
    with opened("cutover", dsn, config, graceful=True, writes=not dry_run) as s:
        override(s, overrides)
        run = s.need_run("cutover")
        if not dry_run or run.phase not in (Phase.PREPARED, Phase.BACKFILLING):
            check_phase(run, "cutover")
        if dry_run:
            print_exchange(s, run, "cutover", as_json=as_json)
            return
        if rehearsal is not None or s.config.cutover.require_rehearsal:
            from swap.rehearse.require import refuse_unrehearsed

            refuse_unrehearsed(s.migration(run), rehearsal)
        if s.config.hooks.pre_swap_snapshot is None and not no_snapshot:
            raise RefusedError(
                "No snapshot hook is configured.",
                hint="Set [hooks] pre_swap_snapshot (docs/hooks.md), or say --no-snapshot.",
            )
        checked = s.config.hooks.post_swap_check is not None
        if revert_on_failure and not checked:
            raise UsageError(
                "--revert-on-failure goes back when the check after the cutover fails, and none is configured.",
                hint="Set [hooks] post_swap_check (docs/hooks.md).",
            )
        argv = s.config.hooks.pre_swap_snapshot
        said = "none (--no-snapshot)" if no_snapshot or not argv else " ".join(argv)
        ask_exchange(s, run, ExchangeQuestion("cutover", said, str(terms) if terms else "", rehearsal), yes=yes)
        hook = without_hook if no_snapshot else _snapshot_hook(s)
        with metrics.serving(s) as collector:
            deadline = Wait(s.migration(run), terms).until_due() if terms else NO_DEADLINE
            command = ExchangeCommand(
                s.migration(run), "cutover", _asked(s, hook), show_queries, told(s, "cutover"), deadline=deadline
            )
            if collector is not None:
                command.attempting = collector.quiet
            if checked:
                check_and_print(s, command, revert=revert_on_failure, as_json=as_json)
            else:
                execute(s, command, as_json=as_json)


def _asked(s: Session, snapshot: Hook) -> Hook:
    """`before_cutover`, then the snapshot. Then the gates decide: nothing is sent from here to the commit."""

    def hook(m: Migration) -> str | None:
        s.events.ask("before_cutover", f"{m.run.source} is about to be cut over: the gates are open.")
        taken = snapshot(m)
        s.events.hold()
        return taken

    return hook


def _snapshot_hook(s: Session) -> Hook:
    """Make a function that runs the configured hook, journals it and returns the snapshot's id. It raises StoppedError when the
    hook fails."""

    def hook(migration: Migration) -> str | None:
        run, journal = migration.run, migration.journal
        argv = list(s.config.hooks.pre_swap_snapshot or [])
        row = migration.conn.execute("SELECT pg_current_wal_lsn()::text, pg_current_xact_id()::text").fetchone()
        assert row is not None
        env = {
            "SWAP_RUN_ID": str(run.id), "SWAP_TABLE": str(run.source), "SWAP_LSN": row[0], "SWAP_XID": row[1],
            "SWAP_PHASE": run.phase.public,
        }  # fmt: skip
        number = journal.hooks.begin(run.id, "pre_swap_snapshot", argv)
        s.report.note(f"snapshot hook: {argv[0]}")
        try:
            with libpq_environment(migration.conn) as connection:
                result = run_hook(
                    argv, env=connection | env, timeout_s=s.config.hooks.timeout_s, cwd=_directory(s.config_path),
                    audience=Audience(s.report, secrets_of(migration.conn)),
                )  # fmt: skip
        except StoppedError as e:
            code, output = (e.result.exit_code, e.result.output) if isinstance(e, HookError) else (-1, "")
            said = f"{e.message}\n{output}".strip()
            journal.hooks.finish(number, exit_code=code, output=said)
            raise
        journal.hooks.finish(number, exit_code=result.exit_code, output=result.output, snapshot=result.snapshot)
        return result.snapshot

    return hook


def _directory(path: Path) -> Path:
    return path.resolve().parent
