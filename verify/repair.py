"""Repair: queues the keys that differ like any changed key, and the ordinary replay makes their rows equal.

It writes nothing to the maintained table. A verification that repaired needs another clean verification: a retry never turns a
difference into a pass (invariant 7). References are only reported (H19).
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from swap.ddl.change_tables import queue_keys
from swap.plan.model import Plan
from swap.state.migration import Migration
from verify.ranges import bigints
from verify.report import Report, RowDifference


def repair_statement(plan: Plan, keys: Iterable[int]) -> sql.Composed:
    """The statement that queues the keys. A dry run prints it."""
    return queue_keys(plan, bigints(sorted(keys)))


def repairable(plan: Plan, differences: Iterable[RowDifference]) -> set[int]:
    """The keys of the source for which replay can make the rows equal."""
    return {d.key for d in differences if d.table == str(plan.source) and d.kind != "mapping" and isinstance(d.key, int)}


def queue_differences(m: Migration, report: Report) -> int:
    """Queue the keys that differ, in one transaction, and note it on the verification's row. Returns how many.

    Replay cannot tell the two rows of a key that is there twice apart. Such a key differs until the surplus row is gone.
    """
    keys = repairable(m.plan, report.findings)
    if not keys:
        return 0
    with m.conn.transaction():
        m.conn.execute(repair_statement(m.plan, keys))
        m.journal.verifications.mark_repaired(report.id)
        m.journal.event(m.run.id, "repair", f"{len(keys)} keys queued for replay")
    return len(keys)
