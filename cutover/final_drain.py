"""The last drain without a lock: until a round takes next to nothing, or it is plain that none will (H12)."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from swap.sync.backlog_trend import Pace
from swap.sync.change_queue import count_due, read_watermark
from swap.sync.replay import Fence, replay

SMALL_BATCH = 500
LOOKS = 3  # a burst of writes may make the queue grow for one or two


def catch_up(conn: Connection, plan: Plan, d: TableMapping, run_id: int, fence: Fence | None) -> int:
    """How many changes the last round took. Raises RefusedError, with the rates, when more come than are replayed."""
    pace, taken, behind = Pace(), 0, 0
    while True:
        batch = replay(conn, plan, d, run_id, fence=fence)
        if batch.complete and batch.entries <= SMALL_BATCH:
            return batch.entries
        taken += batch.entries
        said = pace.look(taken, False, lambda: count_due(conn, plan, read_watermark(conn, plan, run_id)))
        behind += said is not None
        if said is not None and behind == LOOKS:
            raise RefusedError(
                f"{said[1][0].upper()}{said[1][1:]}.",
                state="Nothing was changed; syncing goes on.",
                hint="Go on in a quieter hour, or slow the writers down (a bulk load?) until `swap status` shows none pending.",
            )
