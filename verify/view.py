"""The one snapshot everything is compared in, and what was pending in it.

The coordinator's transaction exports the snapshot and reads no table but the queue; its ACCESS SHARE on the
two change tables is taken *before* the snapshot (LOCK TABLE needs none) and kept to the end, so no queue entry
that this verification relies on, or that a cutover has to compare once more because of it, can be truncated
away meanwhile: TRUNCATE is not MVCC-safe. Writers and replay are not hindered; rotation tries again later.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.plan import Plan
from swap.core.snapshot import Snapshot
from swap.core.text import load_sql
from swap.prepare.objects import changes
from swap.sync.queue import due, read_watermark

MAX_PENDING = 1_000_000


@dataclass(frozen=True)
class View:
    """`exported`: the name other sessions import; `pending`: sorted keys queued and not replayed in it;
    `everything_pending`: a TRUNCATE is queued; `overflow`: more pending keys than are worth excluding."""

    exported: str
    text: str
    lsn: str
    watermark: Snapshot
    pending: array[int]
    everything_pending: bool
    overflow: bool


def open_view(conn: Connection, plan: Plan, run_id: int) -> View:
    """Begin the coordinator's transaction on `conn` (autocommit) and export its snapshot. The caller ends it by
    closing the session."""
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    tables = sql.SQL(", ").join(changes(plan, slot).sql for slot in (0, 1))
    conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))
    row = conn.execute(load_sql("verify", "export.sql")).fetchone()
    assert row is not None
    watermark = read_watermark(conn, plan, run_id)
    keys = conn.execute(
        sql.SQL("SELECT DISTINCT d.key FROM ({}) d ORDER BY 1 LIMIT {}").format(
            due(plan, watermark, sql.SQL("c.key")), sql.Literal(MAX_PENDING + 1)
        )
    ).fetchall()
    pending = array("q", (k for (k,) in keys if k is not None))
    truncate = sql.SQL("SELECT EXISTS (SELECT FROM ({}) d WHERE d.key IS NULL)")
    truncated = conn.execute(truncate.format(due(plan, watermark, sql.SQL("c.key")))).fetchone()
    everything = truncated is not None and bool(truncated[0])
    return View(row[0], row[1], row[2], watermark, pending, everything, len(keys) > MAX_PENDING)


def still_open(conn: Connection, view: View) -> str | None:
    """None while the coordinator still holds the snapshot, else why it does not."""
    try:
        row = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
    except psycopg.Error as e:
        return f"the session that held the snapshot was lost: {str(e).splitlines()[0]}"
    return None if row is not None and row[0] == view.text else "the snapshot was not held to the end"


def storage(conn: Connection, tables: list[TableName]) -> dict[TableName, tuple[int, int]]:
    """(oid, relfilenode) of each table that exists: both stay the same unless the table was replaced, truncated
    or rewritten, after which an older snapshot finds it empty."""
    rows = conn.execute(
        load_sql("verify", "storage.sql"),
        {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]},
    ).fetchall()
    return {TableName(r[0], r[1]): (r[2], r[3]) for r in rows}
