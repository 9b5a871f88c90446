"""The state of the slot, for `swap status` (H13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql
from psycopg.rows import class_row

from swap.core.connection import Connection
from swap.core.sql_text import load_sql
from swap.plan.model import Plan
from swap.prepare.slot import read_slot
from swap.sync.logical.position import CaptureLostError, check_journalled


@dataclass(frozen=True)
class Lag:
    """`lag_bytes`, `lag_s`: WAL written, and time passed, since what capture noted last. `retained_bytes`: WAL that the server
    keeps for the slot; `left_bytes`: what may be written until the slot is lost, `lost_in_s` at the rate of the lag (None: no
    limit, or no rate). `problem`: why capture has to begin again."""

    name: str
    active: bool
    wal_status: str | None
    lag_bytes: int
    lag_s: float
    retained_bytes: int | None
    left_bytes: int | None
    lost_in_s: float | None
    problem: str | None


class _Stream(NamedTuple):
    name: str
    lag_bytes: int
    lag_s: float


def read_lag(conn: Connection, plan: Plan, run_id: int) -> Lag | None:
    """None before the slot is made."""
    query = load_sql("swap.sync.logical", "lag.sql").format(
        stream=sql.Identifier(plan.state_schema, "stream"), run=sql.Literal(run_id)
    )
    stream = conn.cursor(row_factory=class_row(_Stream)).execute(query).fetchone()
    if stream is None:
        return None
    slot, problem = read_slot(conn, stream.name), None
    try:
        check_journalled(conn, plan, run_id)
    except CaptureLostError as e:
        problem = e.message
    left = slot.left_bytes if slot else None
    lost_in = left * stream.lag_s / stream.lag_bytes if left is not None and stream.lag_bytes > 0 else None
    return Lag(
        name=stream.name,
        active=slot is not None and slot.active_pid is not None,
        wal_status=slot.wal_status if slot else None,
        lag_bytes=stream.lag_bytes,
        lag_s=round(stream.lag_s, 1),
        retained_bytes=slot.retained_bytes if slot else None,
        left_bytes=left,
        lost_in_s=None if lost_in is None else round(lost_in),
        problem=problem,
    )
