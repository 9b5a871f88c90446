"""Emptying the change tables: writers are moved to the other ones, and the consumed ones are truncated.

Each swapped table has two, and the writers of all swapped tables use those of the same number. Never waits: the truncation asks
for its locks with NOWAIT, so no writer ever queues behind it. Keeps entries newer than the
last clean verification, because the cutover compares those keys once more.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from swap.core.names import TableName
from swap.core.snapshot import Snapshot
from swap.core.statement import script
from swap.ddl.capture import capture_functions
from swap.ddl.change_tables import change_table
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue

SWITCH_BYTES = 32 * 1024 * 1024


def rotate(migration: Migration, keep: Snapshot | None) -> bool:
    """One step, if one is due: truncate the idle tables, or move the writers to them. True when something was done."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    active = journal.capture.table_no(run.id)
    idle = 1 - active
    if filled := [name for name, size in _sizes(migration, idle) if size > 0]:
        return _truncate(migration, filled, keep)
    if sum(size for _, size in _sizes(migration, active)) < SWITCH_BYTES:
        return False
    with conn.transaction():
        if run.mode == "trigger":  # a stream asks for the tables in use with every chunk
            conn.execute(script(capture_functions(run.plan, run.direction, idle)))
        journal.capture.use_table(run.id, idle)
    return True


def _sizes(migration: Migration, table_no: int) -> list[tuple[TableName, int]]:
    """The change tables of that number, of all swapped tables, with their bytes."""
    names = [change_table(migration.plan, table_no, t.number) for t in migration.plan.swapped]
    rows = migration.conn.execute(  # NULL: the table was dropped just now
        "SELECT coalesce(pg_relation_size(n::regclass), 0) FROM unnest(%s::text[]) WITH ORDINALITY u (n, i) ORDER BY i",
        [[str(name) for name in names]],
    )
    return [(name, int(size)) for name, (size,) in zip(names, rows, strict=True)]


def _truncate(migration: Migration, names: list[TableName], keep: Snapshot | None) -> bool:
    """TRUNCATE when every entry is consumed. The newest id decides: a writer that still held a table when it was
    last asked would hold its lock, and NOWAIT would refuse."""
    conn, tables = migration.conn, sql.SQL(", ").join(n.sql for n in names)
    newest = sql.SQL(" UNION ALL ").join(sql.SQL("(SELECT xid FROM {} ORDER BY xid DESC LIMIT 1)").format(n.sql) for n in names)
    try:
        with conn.transaction():
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(tables))
            floor = ChangeQueue.of(migration).watermark().xmin
            if keep is not None:
                floor = min(floor, keep.xmin)
            if any(int(xid) >= floor for (xid,) in conn.execute(sql.SQL("SELECT xid::text FROM ({}) n").format(newest))):
                return False
            conn.execute(sql.SQL("TRUNCATE {}").format(tables))
    except psycopg.errors.LockNotAvailable:
        return False
    return True
