"""`swap plan`: print what will run, phase by phase."""

from __future__ import annotations

import sys
from pathlib import Path

from swap.cli import listing
from swap.cli.output import columns_of, emit_json, print_lines, print_sql, wrapped
from swap.cli.session import Session, active, opened
from swap.core.connection import may_set
from swap.core.statement import Statement
from swap.core.units import about, counted, size
from swap.ddl.phases import phases as phases_of
from swap.doctor.before_run import SCAN_TIMEOUT_MS
from swap.doctor.exact_reads import UNSEEN, grant_of_snapshots, reads_exactly
from swap.doctor.examine import examine, refuse
from swap.doctor.finding import subject_of
from swap.doctor.several_types import check_types
from swap.doctor.trial.build import trial_findings
from swap.plan.backfill_triggers import touched_by
from swap.plan.estimate import Cost, costs, needed_bytes
from swap.plan.model import COLUMN, TABLE, Plan
from swap.plan.planning import read_plan


def work(dsn: str | None, config: Path | None, *, show_sql: bool, as_json: bool) -> None:
    with opened("plan", dsn, config) as s:
        the_plan = plan_of(s)
        then = "swap status" if s.run and active(s.run) else "swap prepare"
        exact, reads = _reads(s)
        types = _types(s, the_plan)
        met = touched_by(the_plan, suppressed=may_set(s.journal.conn, "session_replication_role"))
        phases = _phases(s, the_plan, exact=exact)
    found = costs(the_plan.catalog, the_plan.all_references)
    estimate = {
        "rows": the_plan.source_table.rows_estimate,
        "shadow_bytes": sum(c.bytes for c in found if c.strategy == TABLE),
        "reference_bytes": sum(c.bytes for c in found if c.strategy == COLUMN),
        "wal_bytes": sum(c.wal_bytes for c in found),
        "disk_bytes": needed_bytes(the_plan.catalog, the_plan.all_references),
    }
    if as_json:
        emit_json(
            {
                "phases": [{"name": n, "statements": listing.as_json(st)} for n, st in phases],
                "fingerprint": the_plan.fingerprint,
                "estimate": estimate,
                "tables": [_cost_as_json(c) for c in found],
                "types": [{"object": at, "detail": said} for at, said in types],
                "backfill_triggers": listing.triggers_as_json(met),
                "reads": "exact" if exact else "fast",
                "next": then,
            }
        )
        return
    columns = columns_of(sys.stdout)
    print_lines([f"plan for {the_plan.source}, fingerprint {the_plan.fingerprint}"])
    told = [f"  {label:9} {text}" for label, text in _summary(found, estimate)]
    told += [f"  {'types':9} {at}: {said}" for at, said in types]
    told.append(f"  {'reads':9} {reads}")
    told += [*(_cost_as_text(c) for c in found), *listing.triggers_as_text(met)]
    print_lines([piece for line in told for piece in wrapped(line, columns, 12)])
    for name, statements in phases:
        strongest = sorted({f"{st.lock} on {st.table}" for st in statements if st.lock})
        print_lines([f"\n== {name}: {counted(len(statements), 'statement')}"])
        if show_sql:
            print_sql(listing.as_text(statements))
        else:
            print_lines([piece for line in strongest for piece in wrapped(f"  {line}", columns, 4)])


def _cost_as_json(c: Cost) -> dict[str, object]:
    return {
        "name": str(c.table), "strategy": c.strategy, "rows": c.rows, "bytes": c.bytes, "wal_bytes": c.wal_bytes,
        "minutes": c.minutes,
    }  # fmt: skip


def _summary(found: list[Cost], estimate: dict[str, int]) -> list[tuple[str, str]]:
    """What it takes in all, in units."""
    seconds = sum(c.seconds for c in found)
    free = f"{size(estimate['disk_bytes'])} free, for all of that, its WAL and the queue"
    return [
        ("source", f"about {estimate['rows']:,} rows"),
        ("build", f"{size(estimate['shadow_bytes'])} beside, {size(estimate['reference_bytes'])} in place"),
        ("WAL", size(estimate["wal_bytes"])),
        ("disk", free),
        ("time", f"{about(seconds)} with one session; a rehearsal on a clone tells the truth"),
    ]  # fmt: skip


def _cost_as_text(c: Cost) -> str:
    how = "rebuilt beside" if c.strategy == TABLE else "a uuid column in place"
    sizes = f"{size(c.bytes)}, {size(c.wal_bytes)} of WAL"
    return f"  table     {c.table}: {how}; about {c.rows:,} rows, {sizes}, {about(c.seconds)}"


def _reads(s: Session) -> tuple[bool, str]:
    """Whether reads across an exchange are exact, and what that means."""
    conn, reads = s.journal.conn, s.config.cutover.reads
    if reads_exactly(conn, reads):
        return True, "exact: across a cutover or a revert they see one moment, or are told to retry (40001)"
    return False, "fast" if reads == "fast" else f"fast: {UNSEEN}. {grant_of_snapshots(conn)}"


def _phases(s: Session, plan: Plan, *, exact: bool) -> list[tuple[str, list[Statement]]]:
    """With the numbers that the exchanges have from here on, as their dry runs."""
    if not s.run or not active(s.run):
        return phases_of(plan, exact=exact)
    turn = s.journal.capture.after_exchange(s.run.id, plan.tag)
    return phases_of(plan, exact=exact, turn=turn, direction=s.run.direction)


def _types(s: Session, plan: Plan) -> list[tuple[str, str]]:
    """The rows of each type, of every column that holds keys of several. Before a run: later the columns have other names."""
    if s.run and active(s.run):
        return []
    return [(f.object, f.detail) for f in check_types(s.journal.conn, subject_of(plan), SCAN_TIMEOUT_MS)]


def plan_of(s: Session) -> Plan:
    """Return the run's own plan, or, before there is a run, the plan that `prepare` would take. Raises RefusedError."""
    if s.run and active(s.run):
        return s.run.plan
    refuse(examine(s.journal.conn, s.config, trial=trial_findings), s.config)
    return read_plan(s.journal.conn, s.config)
