"""`swap verify`: compares everything in one snapshot (in several, if it takes long), reports the result and journals it.

Takes ACCESS SHARE locks only: on the change tables for the whole verification, on a table that is compared for one range at a
time. No writer waits for it. One transaction journals the result, and checks that the run and the tables are still the ones that
were compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import psycopg

from swap.catalog.load import load_tables, read_structure
from swap.catalog.model import Table
from swap.core.connection import Connection, first_line
from swap.core.names import TableName
from swap.ddl.compat import compat_pairs
from swap.plan.direction import Direction
from swap.prepare.drift import difference, watched_tables
from swap.state.migration import Migration
from swap.sync.follow_up import SETTLED
from swap.sync.logical.barrier import GivenUp, delivered
from swap.sync.replay import Barrier
from verify import checks as named
from verify.capture import captured_tables
from verify.compat import compat_differences
from verify.context import ComparisonContext
from verify.mapping import key_columns, violations
from verify.partial_report import PartialReport
from verify.record import finish
from verify.reference_rows import ReferenceRowComparison
from verify.references import reference_pairs
from verify.report import CheckResult, Report
from verify.rows import RowComparison
from verify.settings import VerificationSettings
from verify.snapshots import SnapshotSeries, pin_change_tables, why_unpinned
from verify.standby import await_replay, check_standby
from verify.structure import structure
from verify.table_files import table_files
from verify.workers import GiveUp, Task, Workers, no_reason

Tables = dict[TableName, Table]
FOLLOW_UP_UNFINISHED = (
    "the follow-up of the last exchange is not finished (foreign keys to validate, indexes to rebuild);"
    " when `swap sync --once` has finished it, verify again"
)


def verify(migration: Migration, settings: VerificationSettings, give_up: GiveUp = no_reason) -> Report:
    """Compare both sides, the references and the objects that keep them equal, and write the result to the journal. Opens
    sessions of its own.

    Calls `give_up` again and again; a reason ends the verification with GivenUp, and nothing is journalled. Raises
    UnreachableError if the server cannot be reached at the beginning or when the result is written, and UsageError or
    RefusedError if the `standby` is none of this server. Any other failure is a reason in an `incomplete` report, except that of
    logical capture: it raises what `DelegatedBarrier.wait_delivered` raises.
    """
    started_at, found = datetime.now(UTC), PartialReport()
    compared = settings.standby or migration.database
    with (
        migration.database.session("verify") as conn,
        migration.database.session("queue") as queue,
        compared.session("snapshot") as holder,
    ):
        if settings.standby is not None:
            check_standby(conn, holder)
        try:
            with Workers(compared, max(1, settings.jobs), give_up) as workers:  # they connect while the catalog is read
                _Verification(migration.on(conn), settings, give_up, found).run(queue, holder, workers)
        except psycopg.Error as e:
            found.unfinished.append(f"the session was lost or refused: {first_line(e)}")
        # The session `queue` keeps the queue's entries until the result is journalled.
        return finish(migration, settings, started_at, found)


class _Verification:
    """One verification. `m`: on the session that reads the catalog as it is now."""

    def __init__(self, m: Migration, settings: VerificationSettings, give_up: GiveUp, found: PartialReport) -> None:
        self.m, self.settings, self.give_up, self.found = m, settings, give_up, found
        self.mapping = m.mapping

    def run(self, queue: Connection, holder: Connection, workers: Workers) -> None:
        """`queue` keeps the queue's entries, `holder` exports the snapshots."""
        m, found = self.m, self.found
        names = [*captured_tables(m.plan), self.mapping.target]
        found.table_files = table_files(m.conn, names)
        missing = [f"there is no table {n}" for n in names if n not in found.table_files]
        if missing:
            found.unfinished += missing
            return
        finished = m.journal.step_done(m.run.id, SETTLED)  # before everything else: the follow-up notes it last
        tables = {t.name: t for t in load_tables(m.conn, [file.oid for file in found.table_files.values()])}
        structure_check, incomparable = structure(m.plan, self.mapping, tables[self.mapping.origin], tables[self.mapping.target])
        self._check_catalog(structure_check, tables, finished=finished)
        pin_change_tables(queue, m.plan)
        if self.settings.standby is not None:
            late = await_replay(m, holder, self.give_up)
            if late and late == self.give_up():
                raise GivenUp(late)
            if late:
                found.unfinished.append(late)
                return
        with delivered(m.database, m.run, self.give_up) as barrier:
            snapshots = self._compare(m.on(holder), workers, barrier, tables, incomparable)
        if workers.given_up:
            raise GivenUp(workers.given_up)
        found.unfinished += [reason for reason in (snapshots.why_lost(), why_unpinned(queue)) if reason]

    def _compare(
        self, holder: Migration, workers: Workers, barrier: Barrier | None, tables: Tables, incomparable: list[str]
    ) -> SnapshotSeries:
        """Compare everything in the snapshots that it returns."""
        snapshots = SnapshotSeries(holder, workers, self.settings.snapshot_max_s, barrier)
        self.found.snapshots = snapshots.taken
        context = ComparisonContext(
            settings=self.settings, workers=workers, snapshots=snapshots, found=self.found, report=self.m.report
        )  # fmt: skip
        reason = snapshots.renew().unusable
        if incomparable or reason:
            self.found.unfinished.append("; ".join(incomparable) or reason or "")
        else:
            RowComparison(context, self.mapping, tables[self.mapping.origin], tables[self.mapping.target]).run()
        self._check_mapping(workers, tables)
        self._check_compat(workers)
        self._compare_references(context, tables)
        self.found.unfinished += workers.unfinished
        return snapshots

    def _check_catalog(self, structure_check: CheckResult, tables: Tables, *, finished: bool) -> None:
        """Check the catalog as it is now, outside the snapshot. `finished`: the follow-up of the last exchange is."""
        m, found = self.m, self.found
        captured = [t for t in tables.values() if t.name != self.mapping.target]
        lines = read_structure(m.conn, watched_tables(m.conn, m.plan))
        found.fingerprint = hashlib.sha256(repr(sorted(lines)).encode()).hexdigest()
        baseline = m.journal.baseline(m.run.id) or []
        changed_by_follow_up = [
            named.check(
                "drift", difference(baseline, lines, m.direction)[:20], "the structure is what it was when last journalled"
            ),
            named.indexes_valid(tables.values()),
            named.foreign_keys_valid(m.conn, m.plan, captured),
        ]
        if not finished:
            found.unfinished.append(FOLLOW_UP_UNFINISHED)
            changed_by_follow_up = [
                replace(c, status="warning") if c.status == "failed" else c for c in changed_by_follow_up
            ]  # fmt: skip
        found.checks += [
            structure_check,
            *changed_by_follow_up,
            named.sequences_ahead(m.conn, m.plan, self.mapping, was_behind=self._was_behind()),
            named.capture_installed(m.conn, m.plan, m.direction, {t.name: t.oid for t in captured}, baseline),
            named.no_direct_writer(m.conn, m.plan, tables[self.mapping.target]),
        ]

    def _was_behind(self) -> bool:
        """Whether the key's sequence was behind its keys before the cutover, as the last verification then saw it."""
        if self.m.direction is Direction.FORWARD:
            return True
        return self.m.journal.verifications.last_check(self.m.run.id, Direction.FORWARD, "sequences_ahead") == "warning"

    def _check_mapping(self, workers: Workers, tables: Tables) -> None:
        keys = key_columns(self.mapping, tables[self.mapping.origin], tables[self.mapping.target])
        tasks = [Task(f"mapping of {k.table}.{k.column}", partial(violations, key=k)) for k in keys if k.unproved]
        results = workers.run(tasks)
        if any(r is None for r in results):
            self.found.unfinished.append("the mapping was not checked")
            return
        problems = [line for r in results for line in r or ()]
        good = "integers and uuids are unique and never NULL on both sides"
        self.found.checks.append(named.check("mapping_one_to_one", problems, good))

    def _check_compat(self, workers: Workers) -> None:
        """Compare the compat columns with their keys: there are some with `[names] compat` only."""
        pairs = compat_pairs(self.m.plan, self.mapping.direction)
        if not pairs:
            return
        results = workers.run([Task(f"{p.table}.{p.compat}", partial(compat_differences, pair=p)) for p in pairs])
        if any(r is None for r in results):
            self.found.unfinished.append("the compat columns were not compared")
            return
        problems = [line for r in results for line in r or ()]
        self.found.checks.append(named.check("second_names", problems, "every compat column holds what its key holds"))

    def _compare_references(self, context: ComparisonContext, tables: Tables) -> None:
        todo = []
        for pair in reference_pairs(self.m.plan, self.mapping.direction, tables):
            absent = [c for c in (pair.integer, pair.uuid) if tables[pair.table].column(c) is None]
            self.found.unfinished += [f"{pair.table} has no column {c}" for c in absent]
            todo += [] if absent else [pair]
        if todo:
            ReferenceRowComparison(context, todo, tables).run()
