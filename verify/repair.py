"""Repair: differing keys are queued like any changed key, and the ordinary replay mends them.

Nothing is written to the maintained table here, and a run that repaired needs another clean verification: a
retry never turns a difference into a pass (invariant 7). References are only reported (H19).
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from swap.core.connection import Connection
from swap.ddl.change_tables import change_table
from swap.plan.model import Plan
from swap.state.journal import Journal, Run
from verify.ranges import bigints
from verify.report import RowDifference


def repair_statement(plan: Plan, keys: Iterable[int]) -> sql.Composed:
    """What queues the keys; also what a dry run prints."""
    return sql.SQL("INSERT INTO {} (key) SELECT unnest({})").format(change_table(plan, 0).sql, bigints(sorted(keys)))


def repairable(plan: Plan, findings: Iterable[RowDifference]) -> set[int]:
    """The source's keys among the findings that replay can mend."""
    return {f.key for f in findings if f.table == str(plan.source) and f.kind != "mapping" and isinstance(f.key, int)}


def queue_differences(conn: Connection, run: Run, findings: Iterable[RowDifference], verification_id: int | None = None) -> int:
    """Queue the differing keys in one transaction and note it on the verification's row. Returns how many.

    A key that is there twice cannot be told apart by replay: it stays a finding until the surplus row is gone.
    """
    keys = repairable(run.plan, findings)
    if not keys:
        return 0
    with conn.transaction():
        conn.execute(repair_statement(run.plan, keys))
        journal = Journal(conn, run.plan.state_schema)
        if verification_id is not None:
            journal.verifications.mark_repaired(verification_id)
        journal.event(run.id, "repair", f"{len(keys)} keys queued for replay")
    return len(keys)
