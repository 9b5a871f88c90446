"""`swap verify`: everything compared in one snapshot, reported, and journalled.

Takes ACCESS SHARE locks only: on the change tables for the whole run, on a table that is compared for one range
at a time. No writer waits for it. The result is journalled in one transaction that also asks whether the run
and the tables are still those that were compared.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import psycopg

from swap.core.catalog.load import load_tables, read_structure
from swap.core.catalog.model import Table
from swap.core.connection import Connection, Database
from swap.core.direction import Direction, direction
from swap.core.journal import Journal, Run
from swap.core.names import TableName
from swap.core.plan import Plan
from swap.core.report import Reporter
from swap.prepare.run import drift, watched_tables
from verify import checks as named
from verify.findings import Check, Method, Report, TableResult
from verify.gathered import Gathered
from verify.mapping import key_columns, violations
from verify.record import conclude
from verify.references import Pair, PairResult, compare_part, pairs, parts
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
        comparison = SourceComparison(workers, self.plan, self.d, view, self.method, self.limit, self.reporter, self.found)
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
        """All parts of all references at once, and a count of each referring table."""
        todo = []
        for pair in pairs(self.plan, self.d.name, tables):
            absent = [c for c in (pair.integer, pair.uuid) if tables[pair.table].column(c) is None]
            if absent:
                self.found.unfinished.append(f"{pair.table} has no column {absent[0]}")
            else:
                todo.append((pair, parts(tables[pair.table].heap_bytes // BLOCK, self.jobs)))
        tasks = [
            Task(f"reference {pair.label}", partial(compare_part, pair=pair, part=part, limit=self.limit))
            for pair, blocks in todo
            for part in blocks
        ]
        counted = list(dict.fromkeys(pair.table for pair, _ in todo))
        counts = [Task(f"counting {t}", partial(count_rows, table=t)) for t in counted]
        compared = workers.run(tasks, lambda r: self.reporter.progress(f"verify {r.pair.label}", r.seen, None))
        rows = workers.run(counts)
        totals, done = dict(zip(counted, rows, strict=True)), iter(compared)
        results = [self._reference(pair, list(islice(done, len(blocks))), totals[pair.table]) for pair, blocks in todo]
        self.found.checks += named.reference_checks([r for r in results if r is not None])

    def _reference(self, pair: Pair, compared: list[PairResult | None], total: int | None) -> PairResult | None:
        done = [r for r in compared if r is not None]
        if len(done) != len(compared) or total is None:
            self.found.unfinished.append(f"{pair.label}: {len(done)} of {len(compared)} parts were compared")
            return None
        result = merge(pair, done)
        if result.seen != total:
            self.found.unfinished.append(f"{pair.label}: {result.seen} rows were seen, the table holds {total}")
        self.found.findings += result.findings
        self.found.capped |= result.wrong > len(result.findings)
        self.found.tables.append(
            TableResult(
                name=str(pair.table), rows=result.rows, missing=0, extra=0, different=result.wrong, pending=0,
                checksum=None, seconds=round(result.seconds, 3), columns=(pair.integer, pair.uuid),
            )
        )  # fmt: skip
        return result


def merge(pair: Pair, done: list[PairResult]) -> PairResult:
    """The parts of one reference as one result."""

    def total(name: str) -> int:
        return int(sum(getattr(r, name) for r in done))

    findings = tuple(f for r in done for f in r.findings)
    return PairResult(
        pair,
        total("seen"),
        total("rows"),
        total("wrong"),
        total("nulls"),
        total("orphans"),
        findings,
        sum(r.seconds for r in done),
    )


def _not_comparable(view: View, impossible: list[str]) -> str | None:
    """Why the source cannot be compared at all in this snapshot."""
    if impossible:
        return "; ".join(impossible)
    if view.everything_pending:
        return "a TRUNCATE is queued and not replayed yet: every row is pending"
    if view.overflow:
        return f"more than {len(view.pending) - 1} keys are pending: let the replay catch up first"
    return None
