"""Obstacles against which an attempt could not succeed: name them and wait for them; do not queue behind them (H34, H36).

A request for ACCESS EXCLUSIVE keeps every reader out, so ask for the lock only where it may come. Do not ask for it while
a prepared transaction, a vacuum to prevent wraparound, a VACUUM or an index build holds a table; while a transaction holds
one that was in the way of the last attempt too, or that has lasted for OLD_S (other sessions' ages are visible with
pg_monitor only, their transactions always); and while a snapshot is older than the shadow's rows.

An ordinary autovacuum makes way for a request that has waited for deadlock_timeout, one second. No attempt waits as long.
So another request waits for it: one for SHARE UPDATE EXCLUSIVE, behind which no reader or writer queues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row, kwargs_row, scalar_row

from swap.core.blockers import HIDDEN, OWN, Blocker, Reason, query_of, shows_snapshots
from swap.core.connection import Connection
from swap.core.lock_retries import local_timeout
from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.prepare.drift import table_oids, watched_tables
from swap.state.migration import Migration

OLD_S = 5.0
YIELD_MS = 500  # beyond deadlock_timeout
PROBE_MS = 5_000
SNAPSHOTS_GONE = "old snapshots gone"


@dataclass(frozen=True)
class Holder:
    """A session that holds a lock on the tables. `transaction`: its virtual id, the same until it ends."""

    transaction: str
    who: Blocker

    @property
    def old(self) -> bool:
        return self.who.age_s is not None and self.who.age_s > OLD_S


def holders(conn: Connection, plan: Plan) -> list[Holder]:
    """Every session that holds a lock on a table that an exchange locks, the longest transaction first."""
    names = {
        *plan.locked_tables,
        *(v.name for v in plan.catalog.views),
        *(n for t in plan.swapped for n in t.made),
    }
    rows = conn.cursor(row_factory=kwargs_row(_holder))
    return rows.execute(load_sql("cutover", "holders.sql"), {"oids": table_oids(conn, names)} | OWN).fetchall()


def _holder(transaction: str, **who: Any) -> Holder:
    return Holder(transaction, Blocker(**who))


class _Obstacle(NamedTuple):
    kind: str
    schema: str
    name: str
    line: str
    pid: int | None
    query: str


def obstacles(migration: Migration) -> list[Reason]:
    """Why an attempt cannot succeed right now, sessions that hold a lock aside: one line each."""
    conn, found = migration.conn, list[Reason]()
    oids = watched_tables(conn, migration.plan)
    rows = conn.cursor(row_factory=class_row(_Obstacle)).execute(load_sql("cutover", "obstacles.sql"), {"oids": oids}).fetchall()
    for o in rows:
        if o.kind != "yields" or not _makes_way(conn, TableName(o.schema, o.name)):
            shown = o.pid is not None and o.query not in ("", HIDDEN)
            found.append(Reason(o.line, (query_of(o.pid or 0, o.query),) if shown else ()))
    return [*found, *(map(Reason, old_snapshots(migration)) if migration.direction is Direction.FORWARD else [])]


def _makes_way(conn: Connection, table: TableName) -> bool:
    """Whether the table is free of vacuums, after a request has waited for it as long as the server lets an autovacuum go on."""
    row = conn.execute("SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout'").fetchone()
    assert row is not None
    try:
        with conn.transaction():
            conn.execute(local_timeout("lock_timeout", row[0] + YIELD_MS))
            conn.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(table.sql))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def old_snapshots(migration: Migration) -> list[str]:
    """Snapshots older than the shadow's rows would find the new tables empty (H36). Checked until there is none, and then no
    more.

    Where the server shows other sessions' snapshots (pg_read_all_stats), ask it for them. Where it does not, a
    CREATE INDEX CONCURRENTLY on a one-row table of the state schema tells: it waits for every older snapshot of
    this database (src/backend/commands/indexcmds.c, WaitForOlderSnapshots), needs no privilege, and blocks no session.
    """
    conn, journal, run = migration.conn, migration.journal, migration.run
    if journal.step_done(run.id, SNAPSHOTS_GONE):
        return []
    if shows_snapshots(conn):
        complete = {"complete": run.complete_xid or "0"}
        found = conn.cursor(row_factory=scalar_row).execute(load_sql("cutover", "old_snapshots.sql"), complete).fetchall()
    else:
        found = (
            []
            if _probe(conn, journal.schema)
            else ["a snapshot older than the shadow's rows is still open (pg_monitor shows whose)"]
        )
    if not found:
        journal.mark_step(run.id, SNAPSHOTS_GONE)
    return found


def _probe(conn: Connection, schema: str) -> bool:
    probe = sql.Identifier(schema, "swap_probe")
    conn.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(probe))
    conn.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{PROBE_MS}ms")))
    try:
        conn.execute(sql.SQL("CREATE INDEX CONCURRENTLY swap_probe ON {} (tag)").format(sql.Identifier(schema, "fence")))
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        conn.execute("SET lock_timeout = 0")
        conn.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(probe))
    return True
