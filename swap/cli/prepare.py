"""`swap prepare`: begin a run, restore its capture, or change the mode of its capture."""

from __future__ import annotations

from pathlib import Path

from cutover.restore_capture import capture_faults, restore_capture
from swap.catalog.load import column_type
from swap.cli.plan import plan_of
from swap.cli.results import done
from swap.cli.session import Session, active, opened
from swap.cli.statements import print_statements
from swap.core.blockers import reporting_waits
from swap.core.errors import PhaseError
from swap.ddl.phases import prepare_steps
from swap.ddl.tasks import statements_of
from swap.doctor.examine import examine, refuse
from swap.doctor.finding import Subject
from swap.doctor.replication import check_logical
from swap.doctor.server import check_wal, read_server
from swap.doctor.trial.build import trial_findings
from swap.plan.planning import read_plan
from swap.prepare.drift import store_baseline
from swap.prepare.run import resume_prepare
from swap.state.journal import Phase, Run
from swap.state.locks import Locks
from swap.state.missing import missing_tables, refuse_begun, refuse_half_built, refuse_missing
from swap.sync.logical.switch import forget_logical, switch_mode


def work(dsn: str | None, config: Path | None, *, mode: str | None, dry_run: bool, as_json: bool) -> None:
    with opened("prepare", dsn, config, writes=not dry_run) as s:
        if mode is not None:
            s.config = s.config.model_copy(update={"sync": s.config.sync.model_copy(update={"mode": mode})})
        if dry_run:
            the_plan = plan_of(s)
            print_statements([*statements_of(prepare_steps(the_plan))], "swap prepare", as_json=as_json)
            return
        run = _prepare(s, mode)
    said = f"prepared: capture is live on {run.source}, {run.plan.shadow} is being kept. Next: swap sync"
    done(as_json, {"phase": run.phase.public, "run_id": str(run.id), "next": "swap sync"}, said)


def _prepare(s: Session, mode: str | None) -> Run:
    conn, run = s.journal.conn, s.run
    if run is not None and active(run):
        refuse_begun(s.journal, run)
        refuse_half_built(s.journal, run)
    if run is not None and active(run) and mode is not None and mode != run.mode:
        return _switch(s, run)
    if run is not None and active(run) and not missing_tables(s.journal, run) and (why := capture_faults(s.migration(run))):
        s.report.note(why)
        m = s.migration(run)
        with m.locks.taking_over():
            restore_capture(m)
        return s.journal.get(run.id)
    if run is not None and run.phase is Phase.CUT_OVER:
        raise PhaseError("The run is cut over; there is nothing to prepare.")
    if run is not None and active(run) and run.phase is not Phase.PREPARING:
        refuse_missing(s.journal, run)
        forget_logical(s.migration(run))
        return run
    if run is not None and run.phase is Phase.FINALIZED and column_type(conn, run.source, s.config.source.key) == "uuid":
        raise PhaseError(
            f"The run is finalized: {run.source}.{s.config.source.key} is a uuid already.",
            hint="There is nothing to prepare. Name another table in [source] to migrate it.",
        )
    if run is None or not active(run):
        refuse(examine(conn, s.config, trial=trial_findings), s.config)
        the_plan = read_plan(conn, s.config)
    else:
        the_plan = run.plan
    with reporting_waits(s.database, conn, f"CREATE SCHEMA {s.journal.schema}", s.report):
        s.journal.create()
    with Locks(conn, s.journal.schema, the_plan.tag, s.stop, s.report.waiting).only_worker():
        run = s.journal.current(the_plan.source)
        if run is None or not active(run):
            with conn.transaction():
                run = s.journal.add_run(the_plan, s.config.sync.mode)
                store_baseline(s.migration(run))
        if run.phase is not Phase.PREPARING:
            return run
        return resume_prepare(s.migration(run))


def _switch(s: Session, run: Run) -> Run:
    """Change the mode of capture of a prepared run. A running `sync` makes way for it and goes on."""
    if run.phase is Phase.PREPARING:
        raise PhaseError(f"The run is being prepared with {run.mode} capture.", hint="Finish it without --mode; then change it.")
    if s.config.sync.mode == "logical":
        server = read_server(s.journal.conn)
        found = [
            *check_wal(server, s.config, slot_exists=False),
            *check_logical(s.journal.conn, Subject(run.plan.catalog, s.config, run.plan.all_references)),
        ]
        refuse(found, s.config)
    m = s.migration(run)
    with m.locks.taking_over():
        m.reload()
        return switch_mode(m, s.config.sync.mode)
