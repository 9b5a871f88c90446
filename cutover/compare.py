"""Keys touched since the verification, compared once more: ahead of the lock, and under it (DESIGN 8, step 3)."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from swap.core.connection import Connection
from swap.core.direction import Direction
from swap.core.errors import DifferenceError
from swap.core.plan import Plan
from swap.core.snapshot import Snapshot
from swap.sync.queue import due
from verify.touched import compare_keys

SLICE = 10_000


def touched_keys(conn: Connection, plan: Plan, since: Snapshot) -> set[int]:
    """Keys with an entry that `since` does not see, in the caller's snapshot."""
    keys = sql.SQL("SELECT DISTINCT d.key FROM ({}) d WHERE d.key IS NOT NULL")
    return {r[0] for r in conn.execute(keys.format(due(plan, since, sql.SQL("c.key")))).fetchall()}


def refuse_differences(conn: Connection, d: Direction, keys: Iterable[int]) -> int:
    """How many keys were compared and found equal. Raises DifferenceError at the first slice that is not."""
    todo = sorted(keys)
    for i in range(0, len(todo), SLICE):
        findings = compare_keys(conn, d, todo[i : i + SLICE])
        if findings:
            raise DifferenceError(
                f"{len(findings)} keys touched since the verification differ, the first is {findings[0].key} "
                f"({findings[0].kind} in {d.target}).",
                state="Nothing was changed; syncing goes on.",
                hint="Run `swap verify --method exact`; see RUNBOOK.md, 'Differences'.",
            )
    return len(todo)
