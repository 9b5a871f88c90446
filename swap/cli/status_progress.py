"""How far a run is, for `swap status`: each table in the journal's own numbers, the queue, who works and what holds the work up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from swap.core.names import TableName
from swap.ddl.phases import backfill_tasks, build_tasks, reference_tasks
from swap.ddl.tasks import BuildIndexes, CopyRows, FillCompat, FillIdentity, FillReference
from swap.plan.direction import Direction, table_mappings
from swap.plan.model import Plan
from swap.state.chunks import OF_FILE, PartProgress
from swap.state.journal import Journal, Phase, Run
from swap.state.lock_rows import find_holder
from swap.state.locks import VERIFYING, WAITING
from swap.state.steering import PROBE
from swap.state.tables import SINCE
from swap.state.worker import GOING_ON, HELD, Worker, doing, find_worker

WINDOW_S = 60.0  # of the rates of a backfill
COUNTED = 1_000_000  # changes that the queue counts at most
RELATION = (
    "SELECT greatest(c.reltuples, 0)::bigint, pg_relation_size(c.oid) / current_setting('block_size')::bigint,"
    " pg_relation_filenode(c.oid)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s"
)
VALID_INDEXES = (
    "SELECT count(*) FROM unnest(%s::text[], %s::text[]) w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name JOIN pg_index i ON i.indexrelid = c.oid"
    " WHERE i.indisvalid AND i.indisready"
)


class _Part(NamedTuple):
    """`name`: for people; `part`: of its ranges in the journal; `heap`: the table whose blocks it passes, None: by keys; `step`: the
    journal's row that says it is done."""

    name: str
    table: TableName
    part: str
    heap: TableName | None
    step: str | None


class _Relation(NamedTuple):
    rows: int
    blocks: int
    file: int


def _parts(plan: Plan) -> Iterator[_Part]:
    """What `sync` fills, in its order."""
    for task in (*backfill_tasks(plan), *reference_tasks(plan)):
        match task:
            case CopyRows():
                t = plan.swapped[task.number]
                yield _Part(str(t.name), t.name, t.part, t.name if task.by_blocks else None, task.name)
            case FillIdentity():
                yield _Part(f"{plan.source}.{plan.identity}", plan.source, "identity", plan.source, None)
            case FillReference(reference=ref):
                name = f"{task.heap}.{ref.columns.uuid_column}"
                yield _Part(name, task.heap, name, task.heap, None)
            case FillCompat(reference=ref):
                name = f"{task.heap}.{ref.columns.compat_column}"
                yield _Part(name, task.heap, name, task.heap, None)
            case _:
                pass


def tables(journal: Journal, run: Run) -> list[dict[str, Any]]:
    """`tables[]` of the document."""
    found, rows = journal.chunks.progress(run.id, WINDOW_S), journal.chunks.rows_by_part(run.id)
    return [_table(journal, run, part, found, rows.get(part.part, 0)) for part in _parts(run.plan)]


class Copied(NamedTuple):
    """`name`: of the table or column; `rows` that were written; `share`: how much was passed, 0 to 1."""

    name: str
    rows: int
    share: float


def copied(journal: Journal, run: Run) -> list[Copied]:
    """The same in short. Once the shadow is complete it looks at no table of the application: an exchange may hold its lock."""
    if run.phase in (Phase.PREPARED, Phase.BACKFILLING):
        return [Copied(t["name"], t["rows_copied"], t["percent"] / 100) for t in tables(journal, run)]
    rows = journal.chunks.rows_by_part(run.id)
    share = float(run.phase in (Phase.SYNCING, Phase.CUT_OVER))
    return [Copied(p.name, rows.get(p.part, 0), share) for p in _parts(run.plan)]


def filled(journal: Journal, run: Run) -> list[tuple[str, int]]:
    """The columns of application tables that the backfill wrote to, and in how many rows. A copy into a shadow is not among them, and
    after a cutover neither are columns of a table that was exchanged: that one is the retired table."""
    rows = journal.chunks.rows_by_part(run.id)
    gone = {t.name for t in run.plan.swapped} if run.direction is Direction.REVERSE else set()
    return [(p.name, rows[p.part]) for p in _parts(run.plan) if p.step is None and p.table not in gone and rows.get(p.part)]


def _table(journal: Journal, run: Run, part: _Part, found: dict[str, PartProgress], copied: int) -> dict[str, Any]:
    relation = _relation(journal, part.table)
    by_file = part.heap is not None and part.step is None  # a column is filled anew where the rows have moved
    now = found.get(f"{part.part}{OF_FILE}{relation.file}" if by_file else part.part)
    done = run.phase in (Phase.SYNCING, Phase.CUT_OVER) or (part.step is not None and journal.step_done(run.id, part.step))
    share = 1.0 if done else _share(part, relation, now)
    done = done or (share >= 1.0 and now is not None and not now.unfinished)
    rate = _rate(part, relation, now) if not done else None
    left = relation.rows * (1.0 - share)
    return {
        "name": part.name,
        "rows_copied": copied,
        "rows_estimate": relation.rows,
        "state": _state(run, begun=now is not None, done=done),
        "percent": round(100.0 * share, 1),
        "rows_per_s": None if rate is None else round(rate, 1),
        "eta_s": round(left / rate) if rate else None,
    }


def _share(part: _Part, relation: _Relation, now: PartProgress | None) -> float:
    """How much of it is done: of the table's blocks, or of its rows as the server estimates them. Never all of it while a range is
    unfinished."""
    if now is None:
        return 0.0
    done, total = (now.width, relation.blocks) if part.heap is not None else (now.rows, relation.rows)
    share = min(1.0, done / total) if total else 1.0
    return min(share, 0.999) if now.unfinished or part.step is not None else share


def _rate(part: _Part, relation: _Relation, now: PartProgress | None) -> float | None:
    """Rows of the table that were passed in a second, whatever was written of them."""
    if now is None or not now.recent_width or now.recent_s < 1.0:
        return None
    if part.heap is None:
        return now.recent_rows / now.recent_s
    return now.recent_width / now.recent_s * (relation.rows / relation.blocks if relation.blocks else 0.0)


def _relation(journal: Journal, table: TableName) -> _Relation:
    row = journal.conn.execute(RELATION, [table.schema, table.name]).fetchone()
    return _Relation(*(int(v or 0) for v in row)) if row else _Relation(0, 0, 0)


def _state(run: Run, *, begun: bool, done: bool) -> str:
    if run.phase in (Phase.SYNCING, Phase.CUT_OVER):
        return "in sync"
    if run.phase is Phase.BACKFILLING:
        return "copied" if done else "copying" if begun else "waiting"
    return "prepared" if run.phase is Phase.PREPARED else "preparing"


def backfill(found: list[dict[str, Any]]) -> dict[str, Any]:
    """All tables as one: of rows as the server estimates them, or of tables where it knows of none. What comes after the copy (indexes,
    the changes of meanwhile) is not in the time left."""
    total = sum(t["rows_estimate"] for t in found)
    if not total:
        share = sum(t["percent"] for t in found) / 100 / len(found) if found else 0.0
    else:
        share = sum(t["rows_estimate"] * t["percent"] for t in found) / 100 / total
    rate = sum(t["rows_per_s"] or 0.0 for t in found)
    return {
        "percent": round(100.0 * share, 1),
        "rows_per_s": round(rate, 1) if rate else None,
        "eta_s": round(total * (1.0 - share) / rate) if rate and share < 1.0 else None,
    }


def indexes(journal: Journal, run: Run) -> dict[str, int]:
    """Of all that the build makes: how many are there and valid."""
    plan = run.plan
    tasks = (*backfill_tasks(plan), *build_tasks(plan), *reference_tasks(plan))
    wanted = {i.table.renamed(i.build_name) for task in tasks if isinstance(task, BuildIndexes) for i in task.indexes}
    names = [[n.schema for n in wanted], [n.name for n in wanted]]
    row = journal.conn.execute(VALID_INDEXES, names).fetchone()
    return {"built": int(row[0]) if row else 0, "total": len(wanted)}


def worker(journal: Journal, run: Run) -> dict[str, Any] | None:
    """Who works on the run; None where it is not known: in a state of before the table `lock`."""
    if journal.version < SINCE["lock"]:
        return None
    found = find_worker(journal.conn, journal.schema, run.plan.tag)
    base: dict[str, Any] = {"running": False, "command": None, "pid": None, "host": None, "since": None, "doing": []}
    if found is None or found.borrowed:  # a verification that borrows the lock for a moment moves no data
        return base
    return base | {
        "running": True, "command": found.command, "pid": found.pid, "host": found.host,
        "since": found.since.isoformat() if found.since else None, "doing": _doing(journal, run, found),
    }  # fmt: skip


def _doing(journal: Journal, run: Run, found: Worker) -> list[str]:
    if found.command != "swap sync":
        return [found.command.removeprefix("swap ")]
    if run.paused:
        return ["paused"]
    return doing(journal.conn, found) or ["building" if run.phase is Phase.BACKFILLING else "replaying changes"]


def verifying(journal: Journal, run: Run) -> dict[str, Any] | None:
    """The verification that has begun and not ended: how far it is, and how old its oldest comparison. It goes on where it is, with
    `swap verify` if no session is at it."""
    found = journal.comparisons.find(run.id)
    if found is None:
        return None
    mappings = table_mappings(run.plan, run.direction)
    names = [str(d.origin) for d in mappings]
    parts = sorted(journal.comparisons.progress(run.id), key=lambda p: names.index(p.part))
    last = next((p for p in reversed(parts) if p.ranges), None)
    done, planned = sum(p.ranges for p in parts), sum(p.planned for p in parts)
    # A table that it has not come to is not planned: it counts like those that are.
    percent = 100.0 * sum(p.ranges / p.planned for p in parts if p.planned) / len(names)
    return {
        "method": found.conditions.get("method"),
        "running": find_holder(journal.conn, journal.schema, run.plan.tag, VERIFYING) is not None,
        "ranges": done, "planned": planned, "percent": round(percent, 1), "table": last.part if last else None,
        "through_key": last.up_to - 1 if last and last.up_to is not None and mappings[names.index(last.part)].integer_key else None,
        "began_at": found.began_at.isoformat(), "oldest_s": max((p.oldest_s or 0.0 for p in parts), default=0.0),
    }  # fmt: skip


def throttle(journal: Journal, run: Run) -> str | None:
    """Why the worker does not go on, in its own words. Ask it of a run whose worker is running."""
    last = journal.last_event(run.id, HELD, GOING_ON)
    return last.message if last and last.kind == HELD else None


def autoscale(journal: Journal, run: Run) -> dict[str, Any] | None:
    """How many sessions the backfill uses, and why; None where no probe of the worker measures it."""
    found = find_worker(journal.conn, journal.schema, run.plan.tag) if journal.version >= SINCE["lock"] else None
    measures = found is not None and any(name.endswith(f"({PROBE})") for name in found.names)
    return journal.steering.pace(run.id) if measures else None


def waiting_cutover(journal: Journal, run: Run) -> dict[str, Any] | None:
    """The cutover that waits for its hour; None where none does."""
    if journal.version < SINCE["lock"]:
        return None
    found = find_holder(journal.conn, journal.schema, run.plan.tag, WAITING)
    if found is None:
        return None
    return {"pid": found.pid, "session": str(found), "waits_for": journal.steering.waits_for(run.id)}


@dataclass
class Rates:
    """What replay and the queue do in a second, from two looks at the journal. `first`: (time, replayed, pending) of the first."""

    seen: list[tuple[float, int, int]]

    @classmethod
    def none(cls) -> Rates:
        return cls([])

    def add(self, replayed: int, pending: int) -> None:
        now = time.monotonic()
        self.seen = [s for s in self.seen if now - s[0] < WINDOW_S / 6 and s[1] <= replayed] + [(now, replayed, pending)]

    def per_s(self) -> tuple[float | None, float | None]:
        """Replayed, and come; None where there is one look, or a queue that was too long to be counted."""
        if len(self.seen) < 2:
            return None, None
        (t0, r0, p0), (t1, r1, p1) = self.seen[0], self.seen[-1]
        if t1 - t0 < 0.1:
            return None, None
        replayed = (r1 - r0) / (t1 - t0)
        come = None if COUNTED in (p0, p1) else max(0.0, (r1 - r0 + p1 - p0) / (t1 - t0))
        return round(replayed, 1), None if come is None else round(come, 1)
