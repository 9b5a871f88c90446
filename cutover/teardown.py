"""Runs the steps of `finalize` and `abort`: each in one transaction, under its lock, on the tables that are still there.

The first step marks in its own transaction that the command has begun. From then on nothing else works on the run, and every error
says what is gone (H64).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from swap.core.connection import translate
from swap.core.errors import SwapError
from swap.core.lock_retries import with_locks
from swap.core.names import TableName
from swap.core.statement import Step, script
from swap.ddl.replication import SLOT
from swap.ddl.teardown import RETIRED
from swap.prepare.drift import table_oids
from swap.prepare.slot import end_slot
from swap.state.migration import Migration
from swap.state.missing import Begun, find_begun


def remove(migration: Migration, steps: list[Step], begun: Begun) -> None:
    """Skips a step whose tables are all gone. Raises LockError after the last lock retry, and RefusedError where an event trigger
    of the database forbids a statement."""
    conn, gone = migration.conn, list[str]()
    marks = bool(table_oids(conn, [TableName(migration.journal.schema, "step")]))  # another session may have dropped it
    for step in steps:
        tables = [t for t in step.tables if table_oids(conn, [t])]
        if step.tables and not tables and step.name != RETIRED:
            continue
        migration.report.note(f"removing: {step.name}")

        def body(step: Step = step) -> None:
            conn.execute(script(step.statements))
            if marks:
                migration.journal.mark_step(migration.run.id, begun.value)

        with _saying(migration, gone, begun):
            if step.name == SLOT:
                end_slot(conn, migration.plan)
            elif tables:
                with_locks(conn, tables, step.lock, migration.budget, body)
            else:
                with conn.transaction():
                    body()
        gone.append(step.name)


@contextmanager
def _saying(migration: Migration, gone: list[str], begun: Begun) -> Iterator[None]:
    """An error in the block says what is gone, by this call and by one before it."""
    try:
        yield
    except psycopg.errors.SyntaxErrorOrAccessRuleViolation:  # a right or an object that is missing: the command line explains it
        raise
    except (psycopg.Error, SwapError) as e:
        error = translate(e) if isinstance(e, psycopg.Error) else e
        before = not migration.conn.closed and find_begun(migration.journal, migration.run) is begun
        if gone or before:
            said = ", ".join(gone) or "a part of it, by a call before this one"
            error.state = f"Removed for good: {said}. The application works on as it is; the run can only go on with `swap {begun.command}`."
            error.hint = f"{error.hint} Then run `swap {begun.command}` again: it removes the rest."
        if error is e:
            raise
        raise error from e
