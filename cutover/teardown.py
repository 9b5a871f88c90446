"""Runs the steps of `finalize` and `abort`: each in one transaction, under its lock, on the tables that are still there."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.lock_retries import with_locks
from swap.core.names import TableName
from swap.core.statement import Step, script
from swap.ddl.replication import SLOT
from swap.prepare.slot import end_slot
from swap.state.migration import Migration


def remove(migration: Migration, steps: list[Step]) -> None:
    """Skips a step whose tables are all gone. Raises LockError after the last lock retry."""
    conn = migration.conn
    for step in steps:
        migration.report.note(f"removing: {step.name}")
        if step.name == SLOT:
            end_slot(conn, migration.plan)
            continue
        tables = [t for t in step.tables if _exists(conn, t)]
        if step.tables and not tables:
            continue

        def body(step: Step = step) -> None:
            conn.execute(script(step.statements))

        if tables:
            with_locks(conn, tables, step.lock, migration.budget, body)
        else:
            with conn.transaction():
                body()


def _exists(conn: Connection, name: TableName) -> bool:
    row = conn.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        [name.schema, name.name],
    ).fetchone()
    return row is not None
