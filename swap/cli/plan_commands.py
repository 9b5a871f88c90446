"""plan and prepare: what will be done, and its beginning."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cutover.restore_capture import capture_again, to_put_back
from swap.catalog.load import column_type
from swap.cli import listing
from swap.cli.context import ConfigFile, DryRun, Dsn, Json, Session, Verbose, opened
from swap.cli.output import emit_json, print_lines
from swap.cli.results import done, print_statements
from swap.core.advisory_locks import only_worker, taking_over
from swap.core.connection import may_set
from swap.core.errors import PhaseError
from swap.ddl.phases import phases as phases_of
from swap.ddl.phases import prepare_steps, statements_of
from swap.doctor.examine import examine, refuse
from swap.doctor.finding import Subject
from swap.doctor.replication import check_logical
from swap.doctor.server import check_wal, read_server
from swap.doctor.trial.build import try_out
from swap.plan.backfill_triggers import touched_by
from swap.plan.model import Plan
from swap.plan.planning import read_plan
from swap.prepare.drift import store_baseline
from swap.prepare.run import resume_prepare
from swap.state.journal import Phase, Run
from swap.state.missing import gone, refuse_gone
from swap.sync.logical.switch import forget_logical, switch_mode


class Mode(StrEnum):
    trigger = "trigger"
    logical = "logical"


def plan(
    show_sql: Annotated[bool, typer.Option("--sql", help="Every statement.")] = False,
    dsn: Dsn = None, config: ConfigFile = None, as_json: Json = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """What will happen, phase by phase: objects, locks, estimated rows and bytes."""
    with opened("plan", dsn, config) as s:
        the_plan = _plan_of(s)
        met = touched_by(the_plan, suppressed=may_set(s.journal.conn, "session_replication_role"))
    phases = phases_of(the_plan)
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
    """The run's own plan; before there is one, a new one of what `prepare` would take. Raises RefusedError."""
    if s.run and active(s.run):
        return s.run.plan
    refuse(examine(s.journal.conn, s.config, trial=try_out), s.config)
    return read_plan(s.journal.conn, s.config)


def active(run: Run) -> bool:
    """Neither finalized nor aborted."""
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
            print_statements([*statements_of(prepare_steps(the_plan))], as_json=as_json)
            return
        run = _prepare(s, mode)
    said = f"prepared: capture is live on {run.source}, {run.plan.shadow} is being kept. Next: swap sync"
    done(as_json, {"phase": run.phase.public, "run_id": str(run.id)}, said)


def _prepare(s: Session, mode: Mode | None = None) -> Run:
    conn, run = s.journal.conn, s.run
    if run is not None and active(run) and mode is not None and mode.value != run.mode:
        return _switch(s, run)
    if run is not None and active(run) and not gone(conn, s.journal, run) and (why := to_put_back(conn, s.journal, run)):
        s.report.note(why)
        with taking_over(conn, run.plan.tag):
            capture_again(s.database, s.journal, run, s.config, s.report)
        return s.journal.get(run.id)
    if run is not None and run.phase is Phase.CUT_OVER:
        raise PhaseError("The run is cut over; there is nothing to prepare.")
    if run is not None and active(run) and run.phase is not Phase.PREPARING:
        refuse_gone(conn, s.journal, run)
        forget_logical(s.journal, run)
        return run
    if run is not None and run.phase is Phase.FINALIZED and column_type(conn, run.source, s.config.source.key) == "uuid":
        raise PhaseError(
            f"The run is finalized: {run.source}.{s.config.source.key} is a uuid already.",
            hint="There is nothing to prepare. Name another table in [source] to migrate it.",
        )
    if run is None or not active(run):
        refuse(examine(conn, s.config, trial=try_out), s.config)
        the_plan = read_plan(conn, s.config)
    else:
        the_plan = run.plan
    with only_worker(conn, the_plan.tag):
        s.journal.create()
        run = s.journal.current(the_plan.source)
        if run is None or not active(run):
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
