"""NOT NULL of the references' columns: after an exchange for most of them, right before it for those in a primary key.

After it, `require_columns` checks the rows that are there beside running writers, and on servers without named NOT NULLs puts NOT
NULL in the check's place, by the ladder. A revert works at any moment in between.

Before it, `required_keys` adds a CHECK to the columns of primary keys and of replica identities. While it is there, a row whose
parent the guard does not see fails. So it lasts from right before the first attempt until the exchange takes it away; and if
there was none, it is dropped again: by the command, or by `sync` after a kill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from swap.core.blockers import reporting_waits
from swap.core.connection import Connection
from swap.core.errors import DifferenceError, LockError
from swap.core.lock_retries import with_locks
from swap.core.names import TableName
from swap.core.statement import AX, Statement, script
from swap.ddl.not_null import key_checks, pending_not_null
from swap.plan.direction import Direction
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.migration import Migration
from swap.sync.reference_pairs import settle

VIOLATED = (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation)
TRIES = 5
STATE = (
    "SELECT k.convalidated FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s"
)


def constraint_state(conn: Connection, table: TableName, name: str) -> bool | None:
    """True: validated; False: not yet; None: missing."""
    row = conn.execute(STATE, [table.schema, table.name, name]).fetchone()
    return None if row is None else bool(row[0])


def require_columns(migration: Migration) -> None:
    """After an exchange. Raises DifferenceError when a row has no key, LockError when a lock was not free."""
    conn = migration.conn
    for ref, name, validate, set_ in pending_not_null(migration.plan):
        state = constraint_state(conn, ref.table, name)
        if state is False:
            _validate(migration, ref.table, name, validate)
        if state is not None and set_ is not None:
            _alter(migration, ref.table, set_, "the exchange")


def _validate(migration: Migration, table: TableName, name: str, validate: Statement) -> None:
    conn, report = migration.conn, migration.report
    report.note(f"checking {name} on {table}")
    try:
        with reporting_waits(migration.database, conn, f"VALIDATE {name}", report):
            conn.execute(validate.sql)
    except VIOLATED as e:
        raise DifferenceError(
            f"{name} on {table} does not validate: {e.diag.message_primary}.",
            state="The exchange is committed and enforced for new rows; this constraint stays NOT VALID.",
            hint="Give that row a key, and others like it (`swap verify` counts them), then run `swap sync --once`.",
        ) from None


def _alter(migration: Migration, table: TableName, statement: Statement, since: str) -> None:
    """A change of the structure that is swap's own: it is recorded in the transaction that makes it."""

    def body() -> None:
        refuse_drift(foreign_drift(migration), since, migration.direction)
        migration.conn.execute(script([statement]))
        store_baseline(migration)

    waiting = migration.report.waiting
    with_locks(
        migration.conn, [table], AX, migration.budget, body, lambda n, _: waiting(f"{AX} on {table} was not free (attempt {n})")
    )
    waiting("")


@contextmanager
def required_keys(migration: Migration) -> Iterator[None]:
    """For as long as attempts of an exchange last. Raises LockError, DifferenceError."""
    try:
        for ref, name, (add, validate) in key_checks(migration.plan, migration.run.direction):
            if constraint_state(migration.conn, ref.table, name) is None:
                _alter(migration, ref.table, add, "it was last recorded")
            _prove(migration, ref.table, name, validate)
        yield
    finally:
        if not migration.conn.closed:
            try:
                release_keys(migration)
            except LockError as e:
                migration.report.note(f"a check of a primary key is still there: {e.message} `swap sync` drops it")


def _prove(migration: Migration, table: TableName, name: str, validate: Statement) -> None:
    """A row that was written before its parent may be there: it is made right first."""
    conn = migration.conn
    for left in reversed(range(TRIES)):
        settle(migration)
        try:
            with reporting_waits(migration.database, conn, f"VALIDATE {name}", migration.report), conn.transaction():
                refuse_drift(foreign_drift(migration), "it was last recorded", migration.direction)
                conn.execute(validate.sql)
                store_baseline(migration)
        except VIOLATED as e:
            if left:
                migration.stop.wait(0.2)
                continue
            raise DifferenceError(
                f"{name} on {table} does not validate: {e.diag.message_primary}.",
                state="Nothing was changed; syncing goes on.",
                hint="A row of the primary key refers to nobody: `swap verify` names it. Mend it, then run it again.",
            ) from None
        return


def release_keys(migration: Migration) -> None:
    """Drop what `required_keys` left. Raises LockError."""
    for direction in Direction:
        for ref, name, (add, _) in key_checks(migration.plan, direction):
            if constraint_state(migration.conn, ref.table, name) is not None:
                _alter(migration, ref.table, add.reversed(), "it was last recorded")
