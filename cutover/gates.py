"""The gates before a cutover or a revert. Each refuses with one line and its remedy; none changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cutover.clients import refuse_clients
from cutover.lock_table import refuse_lock_table
from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, PhaseError, RefusedError, SwapError
from swap.core.names import parse_table
from swap.core.snapshot import Snapshot
from swap.ddl.likeness import Stage
from swap.doctor.exact_reads import check_exact_reads
from swap.doctor.subscriptions import refuse_subscriptions
from swap.plan.direction import Direction
from swap.plan.model import IndexPlan
from swap.prepare.drift import drift, refuse_drift, watched_tables
from swap.prepare.likeness import refuse_unlike
from swap.state.journal import Phase, Run
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue
from swap.sync.follow_up import SETTLED, analyzed
from swap.sync.indexes import index_states
from swap.sync.logical.position import check_journalled
from swap.sync.waiting import count_held, held_keys
from verify.capture import current_faults
from verify.capture_since import changed_since
from verify.published import publication_faults
from verify.report import shown
from verify.table_files import table_files

MAX_BACKLOG = 200_000
SHOWN = 10
PUT_BACK = "`swap prepare` puts it back and queues what was missed; then `swap sync --once`, `swap verify`."


@dataclass(frozen=True)
class Verified:
    """The verification a cutover relies on. `watermark`: replay's, in the snapshot that was compared: keys that were
    pending in it, and so not compared, are behind it. `files`: of the tables that were compared."""

    id: int
    watermark: Snapshot
    age_s: float
    method: str
    finished_at: datetime
    rows: int
    snapshot: str
    files: dict[str, tuple[int, int]]

    def quoted(self) -> dict[str, object]:
        """For the account of the exchange."""
        return {
            "id": self.id, "method": self.method, "finished_at": self.finished_at.isoformat(), "rows": self.rows,
        }  # fmt: skip


def check_phase(run: Run, kind: str) -> None:
    """Raises PhaseError with what the phase allows instead."""
    wanted = Phase.SYNCING if kind == "cutover" else Phase.CUT_OVER
    if run.phase is wanted:
        return
    if kind == "revert":
        hint = {
            Phase.FINALIZED: "The retired table is gone: restore from the snapshot (RUNBOOK.md, 'Restoring').",
            Phase.ABORTED: "The run was aborted; there is nothing to revert.",
        }.get(run.phase, "Nothing is cut over; `swap abort` removes what was prepared.")
        raise PhaseError(f"Nothing can be reverted: the run is {run.phase.public}.", hint=hint)
    hint = {
        Phase.CUT_OVER: "The cutover is done. `swap status` shows it; `swap revert` goes back.",
        Phase.FINALIZED: "The run is finished.",
        Phase.ABORTED: "The run was aborted; `swap prepare` begins again.",
    }.get(run.phase, "Run `swap sync --once` until it has caught up, then `swap verify`.")
    raise PhaseError(f"A cutover is not possible: the run is {run.phase.public}.", hint=hint)


def check_gates(migration: Migration, grace_s: float = 0.0) -> Verified:
    """All gates in order, cheapest first; the verification may be older by `grace_s`, the time that the hook took.

    Raises RefusedError."""
    conn, run = migration.conn, migration.run
    refuse_unseen(conn, migration.config.cutover.reads)
    if not migration.journal.step_done(run.id, SETTLED):
        raise RefusedError(
            "The follow-up of the last exchange is not finished (foreign keys to validate, indexes to rebuild).",
            hint="`swap sync --once` finishes it.",
        )
    _capture(migration)
    verified = _verification(migration, grace_s)
    refuse_drift(drift(migration), "it was last recorded", migration.direction, NOTHING_CHANGED)
    if run.direction is Direction.FORWARD:
        refuse_unlike(conn, run.plan, Stage.BUILT, NOTHING_CHANGED)
    refuse_changed(conn, run, verified.snapshot)
    refuse_rewritten(conn, verified.files)
    refuse_subscriptions(conn, watched_tables(conn, run.plan))
    _indexes(conn, run)
    _statistics(conn, run)
    refuse_lock_table(conn, run.plan)
    refuse_waiting(migration)
    pending = ChangeQueue.of(migration).count_due()
    if pending > MAX_BACKLOG:
        raise RefusedError(
            f"{pending:,} changes wait for replay; a cutover would hold its lock too long.",
            hint="Let `swap sync` catch up (`swap status` shows the backlog), then try again.",
        )
    return verified


def _verification(migration: Migration, grace_s: float) -> Verified:
    run, max_age_s = migration.run, migration.config.verify.max_age_s
    last = migration.journal.verifications.last(run.id)
    hint = "Run `swap verify`; it blocks no writer."
    if last is None or last.direction != run.direction:
        raise RefusedError("There is no verification of this direction yet.", hint=hint)
    if run.verified is None and last.verdict == "identical":
        why = (
            "since it there was an exchange, capture was put back, partitions came or went, the state was taken over, or the changes are not"
            " kept any more"
        )
        raise RefusedError(f"The last verification does not count: {why}.", hint=hint)
    if last.verdict != "identical" or last.repaired or run.verified is None:
        raise RefusedError(f"The last verification says {last.verdict}{' (repaired)' if last.repaired else ''}.", hint=hint)
    if last.age_s < 0:
        raise RefusedError(
            f"The last verification ended {-last.age_s:.0f} s in the future: the server's clock was set back, so its age is not known.",
            hint=hint,
        )
    if last.age_s > max_age_s + grace_s:
        raise RefusedError(
            f"The last verification is {last.age_s:.0f} s old; [verify] max_age_s allows {max_age_s}.",
            hint=hint,
        )
    return Verified(
        id=last.id, watermark=Snapshot.parse(run.verified), age_s=last.age_s, method=last.method, finished_at=last.finished_at,
        rows=last.rows, snapshot=last.snapshot, files=last.files,
    )  # fmt: skip


def why_closed(migration: Migration) -> str:
    """Why an exchange would be refused at this moment, with the way on; empty when every gate is open (I13). Reads alone."""
    try:
        refuse_clients(migration.conn, migration.config.cutover.disconnect_clients)
        check_gates(migration)
    except SwapError as e:
        return f"{e.message} {e.hint}"
    return ""


def refuse_unseen(conn: Connection, reads: str | None) -> None:
    """Raises RefusedError where `reads` is exact, and the server does not show other sessions' snapshots."""
    for f in check_exact_reads(conn, reads):
        if f.status == "blocker":
            raise RefusedError(f"[cutover] {f.detail}.", state=NOTHING_CHANGED, hint=f.hint)


def refuse_forgotten(migration: Migration) -> None:
    """Under the worker's lock, when nothing empties the queue any more: raises RefusedError when the entries that `verified` needs are
    gone. Until the worker let go, a `sync` with another configuration may have found the verification too old (swap/sync/rotate.py)."""
    if migration.reload().verified is None:
        raise RefusedError("The last verification was forgotten meanwhile.", hint="Run `swap verify`; it blocks no writer.")


def built(index: IndexPlan) -> bool:
    """Whether it is there before the exchange, which makes a partitioned table's primary key of its parts."""
    return not (index.on_only and index.is_primary)


def _capture(migration: Migration) -> None:
    """Check the functions of the triggers too, which the structure does not show: a change that one of them missed is in no
    queue. And check the slot, or a lost one would be noticed only after the hook."""
    run = migration.run
    found = current_faults(migration.journal, run)
    if found:
        raise RefusedError(f"What captures changes is not as it was made: {_some([f.detail for f in found])}.", hint=PUT_BACK)
    if run.mode == "logical":
        check_journalled(migration.conn, run.plan, run.id)


def refuse_changed(conn: Connection, run: Run, snapshot: str, *, partitions: bool = True) -> None:
    """Raises RefusedError when another session has changed what captures since `snapshot`, that of the verification, even if
    it is now as it was: a change that was written meanwhile may be in no queue. Called again under the locks, without the source's
    `partitions`."""
    changed = changed_since(conn, run.plan, snapshot, partitions=partitions)
    changed += [f.detail for f in publication_faults(conn, run.plan, run.direction)] if run.mode == "logical" else []
    if changed:
        raise RefusedError(
            f"What captures changes has been changed since the last verification: {_some(changed)}.",
            hint="What was written meanwhile may be in no queue: run `swap verify`, which compares every row.",
        )


def refuse_rewritten(conn: Connection, files: Mapping[str, tuple[int, int]]) -> None:
    """Raises RefusedError when a table has another file than the one that was compared. ALTER TABLE … TYPE … USING may leave the same
    structure and other values, which are in no queue. A rewrite that keeps the values (VACUUM FULL, CLUSTER), and a TRUNCATE, cannot
    be told from it. Called again under the locks."""
    now = table_files(conn, map(parse_table, files))
    at = {str(name): (file.oid, file.filenode) for name, file in now.items()}
    changed = [name for name, file in files.items() if at.get(name) != file]
    if changed:
        raise RefusedError(
            f"Rewritten or truncated since the last verification: {_some(sorted(changed))}.",
            state=NOTHING_CHANGED,
            hint="Run `swap verify`, which compares every row: a rewrite may change values that no trigger saw.",
        )


def refuse_waiting(migration: Migration) -> None:
    """Raises RefusedError while rows wait for the row that they refer to: the exchange would lose them. Called again under the
    locks, after the drain."""
    conn, plan = migration.conn, migration.plan
    if not count_held(conn, plan):
        return
    waiting = [(d, sorted(keys)) for d in migration.mappings if (keys := held_keys(conn, plan, d))]
    lines = [f"{len(keys)} of {d.origin} ({_some([str(shown(k)) for k in keys])})" for d, keys in waiting]
    raise RefusedError(
        f"Rows refer to a row that is not there, in a column that may not be NULL: {'; '.join(lines)}.",
        hint="Delete these rows, or insert the rows that they refer to; `swap status` shows when none waits any more.",
    )


def _some(lines: list[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _indexes(conn: Connection, run: Run) -> None:
    plan = run.plan
    if run.direction is Direction.FORWARD:
        wanted = [
            *(i.table.renamed(i.build_name) for t in plan.swapped for i in (t.key_index, *t.indexes, *t.parts)),
            *(
                i.table.renamed(i.build_name)
                for r in plan.references
                for i in (*r.indexes, *r.parts, *r.compat_indexes)
                if built(i)
            ),
            *(i.table.renamed(i.build_name) for r in plan.references for i in r.spares),
        ]
    else:
        wanted = [
            *(t.name.renamed(r.after) for t in plan.swapped for r in t.retired_indexes),
            *(p.name.renamed(r.after) for t in plan.swapped for p in t.partitions for r in p.retired_indexes),
            *(i.table.renamed(i.build_name) for r in plan.references for i in r.spares),
        ]
    states = index_states(conn, dict.fromkeys(wanted))
    for name in dict.fromkeys(wanted):
        if not states.get(name):
            raise RefusedError(
                f"The index {name} is missing or invalid.", hint="`swap sync --once` builds it; if not, `swap abort`."
            )


def _statistics(conn: Connection, run: Run) -> None:
    """A table without statistics is an outage. The follow-up of a cutover analyzes a retired table that never was."""
    tables = [t.shadow if run.direction is Direction.FORWARD else t.retired for t in run.plan.swapped]
    there = analyzed(conn, tables)
    for table in tables:
        if table not in there:
            raise RefusedError(f"{table} has no statistics.", hint=f"Run ANALYZE {table}.")
