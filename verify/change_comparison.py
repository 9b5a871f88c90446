"""One look at the keys that changed: what a watching verification does between full passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from swap.core.connection import Connection
from swap.core.snapshot import Snapshot
from swap.ddl.change_tables import change_table
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from swap.sync.change_queue import current_snapshot, read_watermark
from swap.sync.replay import Barrier
from verify.changed_keys import compare_keys, touched_keys
from verify.report import RowDifference

SLICE = 10_000


@dataclass(frozen=True)
class ChangeComparison:
    """`watermark`: replay's, in the snapshot that was compared: the next look begins there. `pending`: keys left out."""

    snapshot: Snapshot
    watermark: Snapshot
    compared: int
    pending: int
    findings: tuple[RowDifference, ...]


def compare_changes(
    conn: Connection, plan: Plan, d: TableMapping, run_id: int, since: Snapshot, also: Iterable[int], fence: Barrier | None = None
) -> ChangeComparison:
    """Compare every key touched since `since` that is not pending, and the keys `also`, in one snapshot.

    The change tables are locked (ACCESS SHARE, for this transaction) before the snapshot is taken, as LOCK TABLE takes
    none: no entry can be truncated between the two. With a `fence` (logical mode) what the snapshot shows and the stream
    had not delivered yet is pending too.
    """
    tables = sql.SQL(", ").join(change_table(plan, slot).sql for slot in (0, 1))
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))
        watermark = read_watermark(conn, plan, run_id)
        pending = touched_keys(fence.wait_delivered() if fence else conn, plan, watermark)
        todo = sorted((touched_keys(conn, plan, since) | set(also)) - pending)
        findings = [f for n in range(0, len(todo), SLICE) for f in compare_keys(conn, d, todo[n : n + SLICE])]
        return ChangeComparison(current_snapshot(conn), watermark, len(todo), len(pending), tuple(findings))
