"""Takes over a run that an older version began, once: its guards wrote placeholders (swap.ddl.older_guards).

Until then the functions of its guards stay those of the older version, which are right as long as its completing triggers and its
checks are there (swap.ddl.restore). One transaction for each table, by the ladder, changes all of them. Then the rows that were left
incomplete are noted, and made right like any incomplete pair. A kill in between costs a rerun.
"""

from __future__ import annotations

from functools import partial

from swap.core.lock_retries import with_locks
from swap.core.names import TableName
from swap.core.statement import AX, script
from swap.ddl.older_guards import begun_by_older, note_older_rows, renew_guards, tables_with_older
from swap.ddl.pairs import settled_references
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.journal import Phase
from swap.state.migration import Migration

UNNOTED = "incomplete rows of an older version"


def take_over(migration: Migration) -> None:
    """Does nothing for a run of this version. Raises LockError, RefusedError (drift)."""
    conn, journal, run, plan = migration.conn, migration.journal, migration.run, migration.plan
    if run.phase is Phase.PREPARING:
        return
    if begun_by_older(journal.baseline(run.id) or ()):
        for table in tables_with_older(plan):
            migration.report.note(f"guards of {table}: those of this version take the place of an older one's")
            with_locks(conn, [table], AX, migration.budget, partial(_renew, migration, table))
    if journal.step_done(run.id, UNNOTED):
        with conn.transaction():
            for ref in settled_references(plan, run.direction):
                for statement in note_older_rows(plan, ref, run.direction):
                    conn.execute(statement.sql)
            journal.forget_step(run.id, UNNOTED)


def _renew(migration: Migration, table: TableName) -> None:
    run = migration.run
    refuse_drift(foreign_drift(migration), "it was last recorded", migration.direction)
    migration.conn.execute(script(renew_guards(run.plan, table, run.direction)))
    migration.journal.mark_step(run.id, UNNOTED)
    store_baseline(migration)
