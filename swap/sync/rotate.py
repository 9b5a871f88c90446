"""Emptying the change tables: writers are moved to the other ones, and the consumed ones are truncated.

Each swapped table has two, and the writers of all swapped tables use those of the same number. Never waits: the truncation asks
for its locks with NOWAIT, so no writer ever queues behind it.

A cutover compares the keys that changed after the last clean verification once more, so their entries are kept while it may rely on
it. Which verification that is, is read under the lock: a running one keeps ACCESS SHARE on the change tables until its result is
committed. Read a moment earlier, the result could be missing, and entries newer than it be dropped. Entries of a verification that
is too old are dropped together with its mark, in one transaction. So whatever the clock or another configuration says of its age,
no cutover relies on a mark whose entries are gone. A verification that was interrupted relies on entries in the same way, by its row
in the journal: it goes on, or its row goes with the entries, and its ranges are due again.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from swap.core.lock_retries import local_timeout
from swap.core.names import TableName
from swap.core.snapshot import Snapshot
from swap.core.statement import script
from swap.ddl.capture import capture_functions
from swap.ddl.change_tables import change_table
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue

SWITCH_BYTES = 32 * 1024 * 1024
SPARE_S = 600  # beyond [verify] max_age_s and the hook's time, for which a cutover may wait
ROW_MS = 20  # for the run's row, under the lock: another session holds it for one statement


def rotate(migration: Migration) -> bool:
    """One step, if one is due: truncate the idle tables, or move the writers to them. True when something was done."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    active = journal.capture.table_no(run.id)
    idle = 1 - active
    if filled := [name for name, size in _sizes(migration, idle) if size > 0]:
        return _truncate(migration, filled)
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


def _truncate(migration: Migration, names: list[TableName]) -> bool:
    """TRUNCATE when every entry is consumed. The newest id decides: a writer that still held a table when it was
    last asked would hold its lock, and NOWAIT would refuse."""
    conn, tables = migration.conn, sql.SQL(", ").join(n.sql for n in names)
    newest = sql.SQL(" UNION ALL ").join(sql.SQL("(SELECT xid FROM {} ORDER BY xid DESC LIMIT 1)").format(n.sql) for n in names)
    try:
        with conn.transaction():
            conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(tables))
            found = conn.execute(sql.SQL("SELECT xid::text FROM ({}) n").format(newest)).fetchall()
            last = max((int(xid) for (xid,) in found), default=-1)
            if last >= ChangeQueue.of(migration).watermark().xmin:
                return False
            if not _let_go(migration, last):
                return False
            conn.execute(sql.SQL("TRUNCATE {}").format(tables))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _let_go(migration: Migration, last: int) -> bool:
    """Whether nothing relies on the entries up to the transaction `last` any more. What relied on them, and is too old, is forgotten."""
    journal, run_id = migration.journal, migration.run.id
    verified, interrupted = journal.get(run_id).verified, journal.comparisons.find(run_id)
    needed = verified is not None and last >= Snapshot.parse(verified).xmin
    if needed and _recent(migration, journal.verifications.clean_age_s(run_id)):
        return False
    going_on = interrupted is not None and last >= Snapshot.parse(interrupted.watermark).xmin
    if interrupted is not None and going_on and _recent(migration, interrupted.idle_s):
        return False
    migration.conn.execute(local_timeout("lock_timeout", ROW_MS))
    if needed:
        journal.forget_verified(run_id, "it is too old, and the changes since then are dropped")
    if going_on:
        journal.comparisons.forget(run_id)
    return True


def _recent(migration: Migration, age_s: float | None) -> bool:
    """Whether a cutover may still rely on what is so old, or a verification go on with it."""
    config = migration.config
    return age_s is not None and age_s < config.verify.max_age_s + config.hooks.timeout_s + SPARE_S
