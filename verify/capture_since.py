"""Whether the capture and the guards have been unchanged since a verification (H38).

A trigger that was disabled and enabled again looks the same as before. The rows written in between are in no queue. So the
comparison before an exchange, which reads queued keys, does not see them, and the exchange would lose them.

The trigger's row in the catalog tells: each change of a trigger writes that row anew. A transaction that the journal knows is
swap's own. Of any other transaction, the snapshot of the verification must have seen the end. To enable a trigger waits for every
writer (SHARE ROW EXCLUSIVE), so the rows that were not captured are in that snapshot and were compared.

A capture function is not checked, because each rotation of the queue replaces it: docs/limits.md.
"""

from __future__ import annotations

from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.snapshot import Snapshot
from swap.core.sql_text import load_sql
from swap.ddl.capture import CAPTURE, DELETED, MOVED
from swap.plan.model import Plan
from swap.sync.logical.position import full_xid
from verify.capture import OWN, captured_tables
from verify.own_transactions import own_transactions
from verify.snapshots import oldest_of

FIRST_NORMAL = 3  # below it: ids of rows that are as old as the cluster (src/include/access/transam.h)


class _WrittenRow(NamedTuple):
    """`trigger_xid`, `function_xid`: the transactions that wrote the row of the trigger and of its function."""

    schema: str
    table: str
    trigger: str
    trigger_xid: int
    function_xid: int | None

    @property
    def xids(self) -> set[int]:
        return {xid for xid in (self.trigger_xid, self.function_xid) if xid is not None}


def changed_since(conn: Connection, plan: Plan, snapshot: str, *, partitions: bool = True) -> list[str]:
    """The triggers that another program has changed since `snapshot` (the text of pg_snapshot), one line each. `partitions` False:
    without those of the source's, which have the same functions.

    Runs under the exchange's locks: one round trip while no trigger was changed."""
    left_out = set() if partitions else {p.name for t in plan.swapped for p in t.partitions}
    tables = [t for t in captured_tables(plan) if t not in left_out]
    params = {"schemas": [t.schema for t in tables], "names": [t.name for t in tables], "rotated": [CAPTURE, DELETED, MOVED]}
    rows = fetch(conn, _WrittenRow, load_sql("verify", "capture_since.sql"), params)
    own = [row for row in rows if OWN.match(row.trigger)]
    unseen = {xid for row in own for xid in row.xids if not _seen(snapshot, xid)}
    unseen -= own_transactions(conn, plan.state_schema, unseen)
    return sorted(f"{TableName(row.schema, row.table)}: trigger {row.trigger}" for row in own if row.xids & unseen)


def _seen(text: str, xid: int) -> bool:
    """Whether the snapshot saw the end of the transaction. A snapshot of a standby does not list the transactions in progress:
    there no transaction counts as seen from its xmin on."""
    snapshot = Snapshot.parse(text)
    full = full_xid(xid, snapshot.xmax)
    return xid < FIRST_NORMAL or full < oldest_of(text) or (bool(snapshot.xip) and snapshot.sees(full))
