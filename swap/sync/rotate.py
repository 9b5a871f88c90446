"""Emptying the change tables: writers are moved to the other table, and the consumed one is truncated.

Never waits: the truncation asks for its lock with NOWAIT, so no writer ever queues behind it. Keeps entries newer than the
last clean verification, because the cutover compares those keys once more.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from swap.core.snapshot import Snapshot
from swap.core.statement import script
from swap.ddl.capture import capture_functions
from swap.ddl.change_tables import change_table
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue

SWITCH_BYTES = 32 * 1024 * 1024


def rotate(migration: Migration, keep: Snapshot | None) -> bool:
    """One step, if one is due: truncate the idle table, or move the writers to it. True when something was done."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    active = journal.capture.table_no(run.id)
    idle = 1 - active
    if _size(migration, idle) > 0:
        return _truncate(migration, idle, keep)
    if _size(migration, active) < SWITCH_BYTES:
        return False
    with conn.transaction():
        if run.mode == "trigger":  # a stream asks for the table in use with every chunk
            conn.execute(script(capture_functions(run.plan, run.direction, idle)))
        journal.capture.use_table(run.id, idle)
    return True


def _size(migration: Migration, table_no: int) -> int:
    name = change_table(migration.plan, table_no)
    # NULL: the table was dropped just now.
    row = migration.conn.execute("SELECT coalesce(pg_relation_size(%s::regclass), 0)", [str(name)]).fetchone()
    return int(row[0]) if row else 0


def _truncate(migration: Migration, table_no: int, keep: Snapshot | None) -> bool:
    """TRUNCATE when every entry is consumed. The newest id decides: a writer that still held the table when it was
    last asked would hold its lock, and NOWAIT would refuse."""
    conn, name = migration.conn, change_table(migration.plan, table_no)
    try:
        with conn.transaction():
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(name.sql))
            row = conn.execute(sql.SQL("SELECT xid::text FROM {} ORDER BY xid DESC LIMIT 1").format(name.sql)).fetchone()
            floor = ChangeQueue.of(migration).watermark().xmin
            if keep is not None:
                floor = min(floor, keep.xmin)
            if row is not None and int(row[0]) >= floor:
                return False
            conn.execute(sql.SQL("TRUNCATE {}").format(name.sql))
    except psycopg.errors.LockNotAvailable:
        return False
    return True
