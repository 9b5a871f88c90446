"""Takes the trap of an exchange away when no snapshot of before it is left (swap/ddl/exact_reads.py)."""

from __future__ import annotations

from swap.core.blockers import shows_snapshots
from swap.core.errors import LockError
from swap.core.lock_budget import LockBudget
from swap.core.lock_retries import with_locks
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from swap.core.statement import AX, script
from swap.ddl.exact_reads import TRAPPED, drop_trap, partitions_of, trapped_tables
from swap.doctor.exact_reads import grant_of_snapshots
from swap.prepare.drift import table_oids
from swap.state.migration import Migration

STANDBY_S = 60.0
"""How long after an exchange the trap stays for the readers of standbys. Seen without it: of 1,250 reads on a standby around 100
exchanges, one read what replay had left, because the trap was gone before it was planned."""


def release_reads(migration: Migration) -> str:
    """Try once. Returns why the trap is still there; empty when it is gone.

    ACCESS EXCLUSIVE on the tables for an instant, and `lock_timeout_ms` at most until then. It is asked for only where no
    transaction of more than a second holds one of them: others would queue behind the request, every time."""
    journal, run = migration.journal, migration.run
    if not journal.step_done(run.id, TRAPPED):
        return ""
    if older := _older(migration):
        return older
    if held := _held(migration):
        return held
    try:
        drop(migration, LockBudget(migration.budget.lock_timeout_ms, 1))
    except LockError as e:
        return e.message
    return ""


def drop(migration: Migration, budget: LockBudget) -> None:
    """Drop the trap, whatever snapshots there are. Does nothing where there is none. Raises LockError."""
    conn, plan = migration.conn, migration.plan
    if not migration.journal.step_done(migration.run.id, TRAPPED):
        return

    def body() -> None:
        conn.execute(script(drop_trap(plan)))
        migration.journal.forget_step(migration.run.id, TRAPPED)

    with_locks(conn, [t for t in trapped_tables(plan) if table_oids(conn, [t])], AX, budget, body)


def _older(migration: Migration) -> str:
    """Who still holds a snapshot of before the last exchange."""
    conn = migration.conn
    if not shows_snapshots(conn):
        return f"this role may not see other sessions' snapshots ({grant_of_snapshots(conn)})"
    attempts, run_id = migration.journal.attempts, migration.run.id
    young = (attempts.exchanged_s(run_id) or 0) < STANDBY_S
    params = {"xid": attempts.exchanged_xid(run_id), "young": young}
    found = fetch_values(conn, load_sql("swap.sync", "older_readers.sql"), params)
    return "; ".join(found)


def _held(migration: Migration) -> str:
    """Which transactions of more than a second hold one of the tables."""
    plan = migration.plan
    oids = table_oids(migration.conn, [n for t in trapped_tables(plan) for n in (t, *partitions_of(plan, t))])
    return "; ".join(fetch_values(migration.conn, load_sql("swap.sync", "long_holders.sql"), {"oids": oids}))
