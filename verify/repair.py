"""Repair: queues the keys that differ like any changed key, and the ordinary replay makes their rows equal.

It writes nothing to the maintained table. A verification that repaired needs another clean verification: a retry never turns a
difference into a pass (invariant 7). References in place are only reported (H19).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg import sql

from swap.ddl.change_tables import queue_keys, queue_rows
from swap.plan import row_keys
from swap.plan.direction import Direction, table_mappings
from swap.plan.model import Plan
from swap.plan.row_keys import Key
from swap.state.migration import Migration
from verify.ranges import bigints
from verify.report import Report, RowDifference

Repairable = Mapping[int, set[Key]]  # keys of each swapped table, by its number


def repair_statement(plan: Plan, keys: Repairable) -> sql.Composed:
    """The statements that queue the keys. A dry run prints them."""
    return sql.SQL("; ").join(_queue(plan, number, sorted(of_table)) for number, of_table in sorted(keys.items()))


def _queue(plan: Plan, number: int, keys: list[Key]) -> sql.Composed:
    if number == 0:
        return queue_keys(plan, bigints([k for k in keys if isinstance(k, int)]))
    key = table_mappings(plan, Direction.FORWARD)[number].key
    arrays = row_keys.COMMA.join(row_keys.arrays(key, keys))
    return queue_rows(plan, number, key, sql.SQL("SELECT * FROM unnest({})").format(arrays))


def repairable(plan: Plan, differences: Iterable[RowDifference]) -> Repairable:
    """The keys of the swapped tables for which replay can make the rows equal."""
    numbers = {str(t.name): t.number for t in plan.swapped}
    keys: dict[int, set[Key]] = {}
    for d in differences:
        if d.table in numbers and d.kind != "mapping" and not isinstance(d.key, str):
            keys.setdefault(numbers[d.table], set()).add(d.key)
    return keys


def queue_differences(m: Migration, report: Report) -> int:
    """Queue the keys that differ, in one transaction, and note it on the verification's row. Returns how many.

    Replay cannot tell the two rows of a key that is there twice apart. Such a key differs until the surplus row is gone.
    """
    keys = repairable(m.plan, report.findings)
    if not keys:
        return 0
    number = sum(map(len, keys.values()))
    with m.conn.transaction():
        m.conn.execute(repair_statement(m.plan, keys))
        m.journal.verifications.mark_repaired(report.id)
        m.journal.event(m.run.id, "repair", f"{number} keys queued for replay")
    return number
