"""`swap verify`: everything compared in one snapshot, reported, and journalled.

Takes ACCESS SHARE locks only: on the change tables for the whole run, on a table that is compared for one range
at a time. No writer waits for it. The result is journalled in one transaction that also asks whether the run
and the tables are still those that were compared.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial

import psycopg

from swap.core.catalog.load import load_tables, read_structure
from swap.core.catalog.model import Table
from swap.core.connection import Connection, Database
from swap.core.direction import Direction, direction
from swap.core.journal import Journal, Run
from swap.core.names import TableName
from swap.core.plan import Plan
from swap.core.report import Reporter
from swap.prepare.baseline import drift, watched_tables
from verify import checks as named
from verify.findings import Check, Method, Report, TableResult
from verify.gathered import Gathered
from verify.mapping import key_columns, violations
from verify.record import conclude
from verify.references import PairResult, compare_pairs, merge, pairs
from verify.source import SourceComparison, count_rows
from verify.structure import structure
from verify.view import View, open_view, still_open, storage
from verify.workers import Task, Workers

BLOCK = 8192  # only to divide the work


def verify(database: Database, run: Run, *, method: Method, jobs: int, reporter: Reporter, max_findings: int = 1000) -> Report:
    """Compare both sides, the references and what holds them together; write the result to the journal.

    Raises UnreachableError when the server cannot be reached at the beginning or for writing the result; any
    failure in between is a reason in an `incomplete` report.
    """
    started_at = datetime.now(UTC)
    found = Gathered()
    with database.session("verify") as now, database.session("snapshot") as holder:
        try:
            _Look(database, run, method, max(1, jobs), reporter, max_findings, found).look(now, holder)
        except psycopg.Error as e:
            found.unfinished.append(f"the session was lost or refused: {str(e).splitlines()[0]}")
        # The holder's locks and snapshot last until the result is journalled.
        return conclude(database, run, method, started_at, found, max_findings)


class _Look:
    def __init__(
        self, database: Database, run: Run, method: Method, jobs: int, reporter: Reporter, limit: int, found: Gathered
    ) -> None:
        self.database, self.run, self.method, self.jobs = database, run, method, jobs
        self.reporter, self.limit, self.found = reporter, limit, found
        self.plan: Plan = run.plan
        self.d: Direction = direction(run.plan, run.direction)

    def look(self, now: Connection, holder: Connection) -> None:
        found, plan, d = self.found, self.plan, self.d
        names = [d.origin, d.target, *dict.fromkeys(r.table for r in plan.references)]
        found.storage = storage(now, names)
        gone = [f"there is no table {n}" for n in names if n not in found.storage]
        if gone:
            found.unfinished += gone
            return
        tables = {t.name: t for t in load_tables(now, [oid for oid, _ in found.storage.values()])}
        alike, impossible = structure(plan, d, tables[d.origin], tables[d.target])
        self._catalog_checks(now, alike, tables)
        found.view = view = open_view(holder, plan, self.run.id)
        with Workers(self.database, view.exported, self.jobs) as workers:
            reason = _not_comparable(view, impossible)
            if reason:
                found.unfinished.append(reason)
            else:
                self._source(workers, view, tables)
            self._mapping(workers, tables)
            self._references(workers, tables)
            found.unfinished += workers.unfinished
        lost = still_open(holder, view)
        found.unfinished += [lost] if lost else []

    def _catalog_checks(self, now: Connection, alike: Check, tables: dict[TableName, Table]) -> None:
        """What the catalog says at this moment, outside the snapshot."""
        plan, d, found = self.plan, self.d, self.found
        maintained = d.target
        followed = [t for t in tables.values() if t.name != maintained]
        lines = read_structure(now, watched_tables(now, plan))
        found.fingerprint = hashlib.sha256(repr(sorted(lines)).encode()).hexdigest()
        drifted = drift(now, Journal(now, plan.state_schema), self.run)
        found.checks += [
            alike,
            named.check("drift", drifted[:20], "the structure is what it was when last journalled"),
            named.indexes_valid(tables.values()),
            named.foreign_keys_valid(now, plan, followed),
            named.sequences_ahead(now, plan, d),
            named.capture_installed(now, plan, self.run.mode, d.name, followed),
        ]

    def _source(self, workers: Workers, view: View, tables: dict[TableName, Table]) -> None:
        comparison = SourceComparison(workers, self.d, view, self.method, self.limit, self.reporter, self.found)
        comparison.run(tables[self.d.origin], tables[self.d.target])

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

    def _references(self, workers: Workers, tables: dict[TableName, Table]) -> None:
        """Every reference, in one slice per worker, and a count of each referring table."""
        found, todo = self.found, []
        for pair in pairs(self.plan, self.d.name, tables):
            absent = [c for c in (pair.integer, pair.uuid) if tables[pair.table].column(c) is None]
            found.unfinished += [f"{pair.table} has no column {c}" for c in absent]
            todo += [] if absent else [pair]
        if not todo:
            return
        blocks = [tables[p.table].heap_bytes // BLOCK for p in todo]
        compare = partial(compare_pairs, pairs=todo, blocks=blocks, parts=self.jobs, limit=self.limit)
        slices = workers.run([Task("the references", partial(compare, part=n)) for n in range(self.jobs)])
        counted = list(dict.fromkeys(p.table for p in todo))
        counts = workers.run([Task(f"counting {t}", partial(count_rows, table=t)) for t in counted])
        totals = dict(zip(counted, counts, strict=True))
        done = [s for s in slices if s is not None]
        if len(done) != self.jobs or None in counts:
            found.unfinished.append(f"{len(done)} of {self.jobs} slices of the references were compared")
            return
        results = [merge(of_one) for of_one in zip(*done, strict=True)]
        for r in results:
            self._reference(r, totals[r.pair.table])
        found.checks += named.reference_checks(results)

    def _reference(self, r: PairResult, total: int | None) -> None:
        pair, found = r.pair, self.found
        if r.seen != total:
            found.unfinished.append(f"{pair.label}: {r.seen} rows were seen, the table holds {total}")
        if r.wrong != len(r.findings):
            found.capped = True
        found.findings += r.findings
        found.tables.append(
            TableResult(
                name=str(pair.table), rows=r.rows, missing=0, extra=0, different=r.wrong, pending=0,
                checksum=None, seconds=round(r.seconds, 3), columns=(pair.integer, pair.uuid),
            )
        )  # fmt: skip
        self.reporter.progress(f"verify {pair.label}", r.rows, r.rows)


def _not_comparable(view: View, impossible: list[str]) -> str | None:
    """Why the source cannot be compared at all in this snapshot."""
    if impossible:
        return "; ".join(impossible)
    if view.everything_pending:
        return "a TRUNCATE is queued and not replayed yet: every row is pending"
    if view.overflow:
        return f"more than {len(view.pending) - 1} keys are pending: let the replay catch up first"
    return None
