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

from swap.catalog.load import load_tables, with_partitions
from swap.catalog.model import Table
from swap.core.connection import Connection, first_line
from swap.core.names import TableName
from swap.ddl.compat import compat_pairs
from swap.ddl.likeness import Stage, unlike
from swap.ddl.pairs import pairs_table
from swap.plan.direction import Direction
from swap.prepare.drift import difference, read_watched, recorded
from swap.state.journal import Phase
from swap.state.migration import Migration
from swap.sync.follow_up import SETTLED
from swap.sync.logical.barrier import GivenUp, delivered
from swap.sync.replay import Barrier
from verify import checks as named
from verify.capture import captured_tables
from verify.changed_meanwhile import compare_changed
from verify.compat import compat_differences
from verify.context import ComparisonContext
from verify.kept_ranges import KeptRanges, conditions_of
from verify.mapping import key_columns, violations
from verify.meaning import changed_meanings
from verify.orphans import Orphans, count_orphans, no_orphans, own_references
from verify.partial_report import PartialReport
from verify.pressure import Pressure
from verify.record import finish, tool_version
from verify.reference_rows import ReferenceRowComparison
from verify.references import reference_pairs
from verify.report import CheckResult, Report
from verify.rows import RowComparison
from verify.settings import VerificationSettings
from verify.snapshots import SnapshotSeries, pin_change_tables, why_unpinned
from verify.standby import await_replay, check_standby
from verify.structure import Structure, structure, structure_check
from verify.table_files import table_files
from verify.virtual_columns import failing_rows, virtual_check, virtual_columns
from verify.workers import GiveUp, Task, Workers, no_reason

Tables = dict[TableName, Table]
FOLLOW_UP_UNFINISHED = (
    "the follow-up of the last exchange is not finished (foreign keys to validate, indexes to rebuild);"
    " when `swap sync --once` has finished it, verify again"
)


def verify(migration: Migration, settings: VerificationSettings, give_up: GiveUp = no_reason) -> Report:
    """Compare both sides, the references and the objects that keep them equal, and write the result to the journal. Opens
    sessions of its own. Goes on behind what an interrupted verification has compared, where that still counts (verify.kept_ranges).

    Calls `give_up` again and again; a reason ends the verification with GivenUp, and nothing is journalled. Raises
    UnreachableError if the server cannot be reached at the beginning or when the result is written, and UsageError or
    RefusedError if the `standby` is none of this server. Any other failure is a reason in an `incomplete` report, except that of
    logical capture: it raises what `DelegatedBarrier.wait_delivered` raises.
    """
    report = verify_share(migration, replace(settings, share=1.0), give_up)
    assert report is not None
    return report


def verify_share(migration: Migration, settings: VerificationSettings, give_up: GiveUp = no_reason) -> Report | None:
    """The same; of each table up to `settings.share` of its ranges. None while ranges are left for another time, and nothing differs: the
    journal keeps those that were compared."""
    started_at, found = datetime.now(UTC), PartialReport()
    compared = settings.standby or migration.database
    with (
        migration.database.session("verify") as conn,
        migration.database.session("queue") as queue,
        compared.session("snapshot") as holder,
    ):
        if settings.standby is not None:
            check_standby(conn, holder)
        m = migration.on(conn)
        with m.locks.verifying() as alone:
            one = _Verification(m, settings, give_up, found, alone=alone)
            try:
                with Workers(compared, max(1, settings.jobs), give_up) as workers:  # they connect while the catalog is read
                    one.run(queue, holder, workers)
            except psycopg.Error as e:
                found.unfinished.append(f"the session was lost or refused: {first_line(e)}")
            if one.partly and not found.unfinished and not found.differences:
                return None
            # The session `queue` keeps the queue's entries until the result is journalled.
            if not one.partly or found.unfinished:
                return finish(migration, settings, started_at, found, keeps=alone)
    return verify(migration, settings, give_up)  # a row differs: everything else is compared at once


class _Verification:
    """One verification. `m`: on the session that reads the catalog as it is now. `alone`: what it compares may be kept in the journal.
    `partly`: ranges are left for another time."""

    def __init__(
        self, m: Migration, settings: VerificationSettings, give_up: GiveUp, found: PartialReport, *, alone: bool
    ) -> None:
        self.m, self.settings, self.give_up, self.found, self.alone = m, settings, give_up, found, alone
        self.mappings = m.mappings
        self.partly = False

    def run(self, queue: Connection, holder: Connection, workers: Workers) -> None:
        """`queue` keeps the queue's entries, `holder` exports the snapshots."""
        m, found = self.m, self.found
        names = [*captured_tables(m.plan), *(d.target for d in self.mappings)]
        found.table_files = table_files(m.conn, names)
        missing = [f"there is no table {n}" for n in names if n not in found.table_files]
        if missing:
            found.unfinished += missing
            return
        finished = m.journal.step_done(m.run.id, SETTLED)  # before everything else: the follow-up notes it last
        loaded = load_tables(m.conn, [file.oid for file in found.table_files.values()])
        tables = {t.name: t for t in with_partitions(m.conn, loaded)}
        if gone := [f"{n} was dropped or renamed at this moment" for n in names if n not in tables]:
            found.unfinished += gone
            return
        structures = {d.number: structure(m.plan, d, tables[d.origin], tables[d.target]) for d in self.mappings}
        more = [*changed_meanings(m.conn, m.plan, m.direction), *self._unlike(tables)]
        self._check_catalog(structure_check([*structures.values()], more), tables, finished=finished)
        pin_change_tables(queue, m.plan)
        kept = self._kept(queue, holder, tables)
        if self.settings.standby is not None:
            late = await_replay(m, holder, self.give_up)
            if late and late == self.give_up():
                raise GivenUp(late)
            if late:
                found.unfinished.append(late)
                return
        with delivered(m.database, m.run, self.give_up) as barrier:
            snapshots = self._compare(m.on(holder), workers, barrier, tables, structures, kept)
        if workers.given_up:
            raise GivenUp(workers.given_up)
        lost = [reason for reason in (snapshots.why_lost(), why_unpinned(queue)) if reason]
        found.interrupted = bool(lost or workers.unfinished)
        found.unfinished += lost

    def _kept(self, queue: Connection, holder: Connection, tables: Tables) -> KeptRanges:
        """What an interrupted verification has compared; after the queue's entries are held."""
        settings = self.settings
        standby = f"{holder.info.host}:{holder.info.port}" if settings.standby else None
        more = {"method": settings.method, "tool": tool_version(), "standby": standby}
        kept = KeptRanges(self.m, queue, self.alone, conditions_of(self.m, self.found.fingerprint, tables, **more))
        kept.take_up(afresh=settings.afresh)
        return kept

    def _unlike(self, tables: Tables) -> list[str]:
        """What the tables that swap made have other than their sources. Before the build is complete they have less."""
        forward = self.m.direction is Direction.FORWARD
        if forward and self.m.run.phase is not Phase.SYNCING:
            return []
        stage, out = Stage.BUILT if forward else Stage.LIVE, []
        for t, d in zip(self.m.plan.swapped, self.mappings, strict=True):
            made = d.target if forward else d.origin
            out += [f"{made}: {line}" for line in unlike(self.m.plan, t, tables[made], stage)]
        return out

    def _compare(
        self, holder: Migration, workers: Workers, barrier: Barrier | None, tables: Tables, structures: dict[int, Structure],
        kept: KeptRanges,
    ) -> SnapshotSeries:  # fmt: skip
        """Compare everything in the snapshots that it returns."""
        snapshots = SnapshotSeries(holder, workers, self.settings.snapshot_max_s, barrier)
        self.found.snapshots = snapshots.taken
        context = ComparisonContext(
            settings=self.settings, workers=workers, snapshots=snapshots, found=self.found, report=self.m.report, kept=kept
        )  # fmt: skip
        reason = snapshots.renew().unusable
        self._check_mapping(workers, tables)  # first: with a uuid of two rows no row that refers to it can be compared
        if reason:
            self.found.unfinished.append(reason)
        else:
            kept.begin(snapshots.current)
            if kept.keeps and workers.jobs > 1:
                workers.adapt = Pressure(self.m, workers.jobs).allowed
            self._compare_rows(context, tables, structures)
        self._say_what_counts(kept)
        if self.partly:
            return snapshots
        self._check_compat(workers)
        self._compare_references(context, tables)
        self.found.unfinished += workers.unfinished
        if kept.resumed and not self.found.unfinished:
            compare_changed(self.m, self.found, barrier)
        return snapshots

    def _say_what_counts(self, kept: KeptRanges) -> None:
        found = self.found
        found.earlier, found.resumed, found.began_at, found.covered = kept.earlier, kept.resumed, kept.began_at, kept.covered

    def _compare_rows(self, context: ComparisonContext, tables: Tables, structures: dict[int, Structure]) -> None:
        """Compare every swapped table whose two sides have the same columns."""
        empty = []
        for n, d in enumerate(self.mappings):
            if n and context.snapshots.expired() and (reason := context.snapshots.renew().unusable):
                self.found.unfinished.append(reason)
                return
            if incomparable := structures[d.number].incomparable:
                self.found.unfinished.append("; ".join(incomparable))
                continue
            rows = RowComparison(context, d, tables[d.origin], tables[d.target])
            rows.run()
            self.partly |= rows.partly
            empty += [f"{d.origin} and {d.target} are both empty: there was nothing to compare"] if rows.empty else []
        if empty:
            self.found.checks.append(CheckResult("rows", "warning", "; ".join(empty)))
        self._check_virtual(context.workers)

    def _check_catalog(self, structures_alike: CheckResult, tables: Tables, *, finished: bool) -> None:
        """Check the catalog as it is now, outside the snapshot. `finished`: the follow-up of the last exchange is."""
        m, found = self.m, self.found
        targets = {d.target for d in self.mappings}
        captured = [t for t in tables.values() if t.name not in targets]
        lines = read_watched(m)
        found.fingerprint = hashlib.sha256(repr(sorted(lines)).encode()).hexdigest()
        baseline = m.journal.baseline(m.run.id) or []
        changed_by_follow_up = [
            named.check(
                "drift",
                difference(baseline, recorded(m.plan, baseline, lines), m.direction)[:20],
                "the structure is what it was when last journalled",
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
            structures_alike,
            *changed_by_follow_up,
            named.sequences_ahead(m.conn, m.plan, self.mappings[0], was_behind=self._was_behind()),
            named.capture_installed(m.conn, m.plan, m.direction, {t.name: t.oid for t in captured}, baseline),
            named.no_direct_writer(m.conn, m.plan, [tables[d.target] for d in self.mappings]),
        ]

    def _was_behind(self) -> bool:
        """Whether the key's sequence was behind its keys before the cutover, as the last verification then saw it."""
        if self.m.direction is Direction.FORWARD:
            return True
        return self.m.journal.verifications.last_check(self.m.run.id, Direction.FORWARD, "sequences_ahead") == "warning"

    def _check_mapping(self, workers: Workers, tables: Tables) -> None:
        source = self.mappings[0]
        keys = key_columns(source, tables[source.origin], tables[source.target])
        tasks = [Task(f"mapping of {k.table}.{k.column}", partial(violations, key=k)) for k in keys if k.unproved]
        results = workers.run(tasks)
        if any(r is None for r in results):
            self.found.unfinished.append("the mapping was not checked")
            return
        problems = [line for r in results for line in r or ()]
        good = "integers and uuids are unique and never NULL on both sides"
        self.found.checks.append(named.check("mapping_one_to_one", problems, good))

    def _check_virtual(self, workers: Workers) -> None:
        columns = [c for d in self.mappings for c in virtual_columns(d, self.m.plan.settings)]
        if not columns:
            return
        results = workers.run([Task(c.label, partial(failing_rows, column=c)) for c in columns])
        if any(r is None for r in results):
            self.found.unfinished.append("the VIRTUAL columns were not computed")
            return
        self.found.checks.append(virtual_check([line for r in results for line in r or ()], len(columns)))

    def _check_compat(self, workers: Workers) -> None:
        """Compare the compat columns with their keys: there are some with `[names] compat` only."""
        pairs = compat_pairs(self.m.plan, self.m.direction)
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
        for pair in reference_pairs(self.m.plan, self.m.direction, tables):
            absent = [c for c in (pair.integer, pair.uuid) if tables[pair.table].column(c) is None]
            self.found.unfinished += [f"{pair.table} has no column {c}" for c in absent]
            todo += [] if absent else [pair]
        orphans = list[Orphans]()
        if todo:
            in_place = ReferenceRowComparison(context, todo, tables, pairs_table(self.m.plan))
            in_place.run()
            orphans += in_place.orphans
        own = own_references(self.m.plan, self.m.direction)
        counted = context.workers.run([Task(f"orphans of {r.label}", partial(count_orphans, ref=r)) for r in own])
        if any(c is None for c in counted):
            self.found.unfinished.append("the orphans were not counted")
        self.found.checks.append(no_orphans([*orphans, *(c for c in counted if c)]))
