"""Keys touched since the verification, compared once more: ahead of the lock, and under it (DESIGN 8, step 3)."""

from __future__ import annotations

from collections.abc import Iterable

from swap.core.connection import Connection
from swap.core.errors import DifferenceError
from swap.plan.direction import TableMapping
from verify.changed_keys import compare_keys

SLICE = 10_000


def refuse_differences(conn: Connection, d: TableMapping, keys: Iterable[int]) -> int:
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
