"""`swap verify`: everything compared in one snapshot (in several, if it takes long), reported, and journalled.

Takes ACCESS SHARE locks only: on the change tables for the whole run, on a table that is compared for one range
at a time. No writer waits for it. The result is journalled in one transaction that also asks whether the run
and the tables are still those that were compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import psycopg

from swap.catalog.load import load_tables, read_structure
from swap.catalog.model import Table
from swap.core.connection import Connection, Database
from swap.core.names import TableName
from swap.core.report import Reporter
from swap.ddl.compat import twins
from swap.plan.direction import TableMapping, table_mapping
from swap.plan.model import Plan
from swap.prepare.drift import difference, watched_tables
from swap.state.journal import Journal, Run
from swap.sync.follow_up import SETTLED
from swap.sync.logical.barrier import GivenUp, delivered
from verify import checks as named
from verify.compat import differing
from verify.mapping import key_columns, violations
from verify.partial_report import PartialReport
from verify.record import finish
from verify.reference_rows import ReferenceRowComparison
from verify.references import pairs
from verify.report import CheckResult, Method, Report
from verify.rows import RowComparison
from verify.snapshots import SnapshotSeries, pin_change_tables, why_unpinned
from verify.standby import await_replay, check_standby
from verify.structure import structure
from verify.table_files import table_files
from verify.workers import Task, Workers, no_reason

SNAPSHOT_MAX_S = 900.0
UNSETTLED = (
    "the follow-up of the last exchange is not finished (foreign keys to validate, indexes to rebuild);"
    " when `swap sync --once` has finished it, verify again"
)


def verify(
    database: Database,
    run: Run,
    *,
    method: Method,
    jobs: int,
    reporter: Reporter,
    max_findings: int = 1000,
    snapshot_max_s: float = SNAPSHOT_MAX_S,
    give_up: Callable[[], str] = no_reason,
    reader: Database | None = None,
) -> Report:
    """Compare both sides, the references and what holds them together; write the result to the journal.

    A snapshot is given up, and another one taken, once it is older than `snapshot_max_s`. `give_up` is asked all the
    while; a reason ends the run (GivenUp): it is no verification, and nothing was journalled. Raises UnreachableError when the
    server cannot be reached at the beginning or for writing the result; any failure in between is a reason in an `incomplete`
    report; but for logical capture's, which raises what `ForeignFence.close_up` does.

    `reader`: a physical standby on which everything is compared; refused when it is none of this server.
    """
    started_at = datetime.now(UTC)
    found = PartialReport()
    with (
        database.session("verify") as now,
        database.session("queue") as queue,
        (reader or database).session("snapshot") as holder,
    ):
        look = _Look(database, run, method, reporter, max_findings, found, snapshot_max_s, give_up, reader)
        if reader is not None:
            check_standby(now, holder)
        try:
            with Workers(reader or database, max(1, jobs), give_up) as workers:  # opened while the catalog is read
                look.look(now, queue, holder, workers)
        except psycopg.Error as e:
            found.unfinished.append(f"the session was lost or refused: {str(e).splitlines()[0]}")
        # The queue's entries are held until the result is journalled.
        return finish(database, run, method, started_at, found, max_findings)


class _Look:
    def __init__(
        self, database: Database, run: Run, method: Method, reporter: Reporter, limit: int, found: PartialReport,
        snapshot_max_s: float, give_up: Callable[[], str], reader: Database | None,
    ) -> None:  # fmt: skip
        self.database, self.run, self.method = database, run, method
        self.reporter, self.limit, self.found = reporter, limit, found
        self.snapshot_max_s, self.give_up, self.reader = snapshot_max_s, give_up, reader
        self.plan: Plan = run.plan
        self.d: TableMapping = table_mapping(run.plan, run.direction)

    def look(self, now: Connection, queue: Connection, holder: Connection, workers: Workers) -> None:
        found, plan, d = self.found, self.plan, self.d
        referring = [plan.catalog.table(t) for t in dict.fromkeys(r.table for r in plan.references)]
        names = [d.origin, d.target, *(x.name for t in referring for x in (t, *t.partitions))]
        found.table_files = table_files(now, names)
        gone = [f"there is no table {n}" for n in names if n not in found.table_files]
        if gone:
            found.unfinished += gone
            return
        settled = Journal(now, plan.state_schema).step_done(self.run.id, SETTLED)  # asked first: the follow-up notes it last
        tables = {t.name: t for t in load_tables(now, [oid for oid, _ in found.table_files.values()])}
        alike, impossible = structure(plan, d, tables[d.origin], tables[d.target])
        self._catalog_checks(now, alike, tables, settled=settled)
        pin_change_tables(queue, plan)
        if self.reader is not None:
            late = await_replay(now, holder, Journal(now, plan.state_schema), self.run, self.reporter, self.give_up)
            if late and late == self.give_up():
                raise GivenUp(late)
            if late:
                found.unfinished.append(late)
                return
        with delivered(self.database, self.run, self.give_up) as fence:
            views = SnapshotSeries(holder, plan, self.run.id, workers, self.snapshot_max_s, fence)
            found.views = views.taken
            reason = views.renew().unusable
            if impossible or reason:
                found.unfinished.append("; ".join(impossible) or reason or "")
            else:
                self._source(workers, views, tables)
            self._mapping(workers, tables)
            self._second_names(workers)
            self._references(workers, views, tables)
            found.unfinished += workers.unfinished
        if workers.given_up:
            raise GivenUp(workers.given_up)
        found.unfinished += [lost for lost in (views.lost(), why_unpinned(queue)) if lost]

    def _catalog_checks(self, now: Connection, alike: CheckResult, tables: dict[TableName, Table], *, settled: bool) -> None:
        """What the catalog says at this moment, outside the snapshot."""
        plan, d, found = self.plan, self.d, self.found
        maintained = d.target
        followed = [t for t in tables.values() if t.name != maintained]
        lines = read_structure(now, watched_tables(now, plan))
        found.fingerprint = hashlib.sha256(repr(sorted(lines)).encode()).hexdigest()
        baseline = Journal(now, plan.state_schema).baseline(self.run.id) or []
        changing = [
            named.check("drift", difference(baseline, lines)[:20], "the structure is what it was when last journalled"),
            named.indexes_valid(tables.values()),
            named.foreign_keys_valid(now, plan, followed),
        ]
        if not settled:
            found.unfinished.append(UNSETTLED)
            changing = [replace(c, status="warning") if c.status == "failed" else c for c in changing]
        found.checks += [
            alike,
            *changing,
            named.sequences_ahead(now, plan, d),
            named.capture_installed(now, plan, self.run.mode, d.direction, {t.name: t.oid for t in followed}, baseline),
            named.no_direct_writer(now, plan, tables[maintained]),
        ]

    def _source(self, workers: Workers, views: SnapshotSeries, tables: dict[TableName, Table]) -> None:
        sides = tables[self.d.origin], tables[self.d.target]
        RowComparison(workers, self.d, views, self.method, self.limit, self.reporter, self.found, *sides).run()

    def _mapping(self, workers: Workers, tables: dict[TableName, Table]) -> None:
        keys = key_columns(self.d, tables[self.d.origin], tables[self.d.target])
        tasks = [Task(f"mapping of {k.table}.{k.column}", partial(violations, key=k)) for k in keys if k.unproved]
        results = workers.run(tasks)
        if any(r is None for r in results):
            self.found.unfinished.append("the mapping was not checked")
            return
        problems = [line for r in results for line in r or ()]
        good = "integers and uuids are unique and never NULL on both sides"
        self.found.checks.append(named.check("mapping_one_to_one", problems, good))

    def _second_names(self, workers: Workers) -> None:
        """With `[names] compat` only."""
        tasks = [Task(f"{t.table}.{t.other}", partial(differing, twin=t)) for t in twins(self.plan, self.d.direction)]
        if tasks:
            results = workers.run(tasks)
            if any(r is None for r in results):
                self.found.unfinished.append("the second names were not compared")
                return
            good = "every second name of a key says what the key says"
            self.found.checks.append(named.check("second_names", [line for r in results for line in r or ()], good))

    def _references(self, workers: Workers, views: SnapshotSeries, tables: dict[TableName, Table]) -> None:
        found, todo = self.found, []
        for pair in pairs(self.plan, self.d.direction, tables):
            absent = [c for c in (pair.integer, pair.uuid) if tables[pair.table].column(c) is None]
            found.unfinished += [f"{pair.table} has no column {c}" for c in absent]
            todo += [] if absent else [pair]
        if todo:
            ReferenceRowComparison(workers, views, todo, self.limit, self.reporter, found).run(tables)
