"""Whether what captures and guards has been what it is since a verification (H38).

A trigger that was disabled and enabled again looks as it always did. What was written in between is in no queue, so the
comparison before an exchange, which looks at queued keys, does not see it, and the exchange would lose it. Its row of the
catalog tells: whoever changes a trigger writes that row anew. A transaction that the journal knows is swap's own. Of any
other, the verification's snapshot must have seen the end: to enable a trigger is to wait for every writer (SHARE ROW
EXCLUSIVE), so what was not captured is in that snapshot and was compared.

A capture function is not looked at, as it is replaced whenever the queue rotates: docs/limits.md.
"""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.snapshot import Snapshot
from swap.core.sql_text import load_sql
from swap.ddl.capture import CAPTURE, DELETED, MOVED
from swap.plan.model import Plan
from swap.sync.logical.position import full_xid
from verify.capture import OWN, followed
from verify.own_transactions import own_transactions

FIRST_NORMAL = 3  # below it: ids of rows that are as old as the cluster (src/include/access/transam.h)


def changed_since(conn: Connection, plan: Plan, snapshot: str) -> list[str]:
    """The triggers that somebody has changed since `snapshot` (pg_snapshot text) was taken, one line each.

    Asked under the exchange's locks: one round trip while nobody has."""
    tables = followed(plan)
    names = {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]}
    rows = conn.execute(load_sql("verify", "capture_since.sql"), {**names, "rotated": [CAPTURE, DELETED, MOVED]})
    written = [(TableName(s, t), name, {x for x in xids if x is not None}) for s, t, name, *xids in rows if OWN.match(name)]
    unseen = {x for _, _, xids in written for x in xids if not _seen(snapshot, x)}
    unseen -= own_transactions(conn, plan.state_schema, unseen)
    return sorted(f"{table}: trigger {name}" for table, name, xids in written if xids & unseen)


def _seen(text: str, xid: int) -> bool:
    """A snapshot of a standby does not name what was in progress: there nothing from its xmin on counts as seen."""
    snapshot, oldest = Snapshot.parse(text), int(text.split(":", maxsplit=1)[0])
    full = full_xid(xid, snapshot.xmax)
    return xid < FIRST_NORMAL or full < oldest or (bool(snapshot.xip) and snapshot.sees(full))
