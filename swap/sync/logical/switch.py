"""Changes the mode of capture of a prepared run: the new one is live before the old one stops (`swap prepare --mode`).

To logical: publication and slot come first. Then, under ACCESS EXCLUSIVE on every swapped table for an instant, one transaction drops the triggers and
changes the mode. The triggers captured every write before it; every later write commits after the slot began.
To triggers: they are installed under that lock. Then the stream passes a barrier, so that it has delivered every write before
them. Then the mode changes, and slot and publication are dropped. After a kill, the same call does it again.
"""

from __future__ import annotations

from swap.core.errors import PhaseError
from swap.core.lock_retries import with_locks
from swap.core.statement import AX, script
from swap.ddl.capture import install_capture, remove_capture
from swap.ddl.replication import SLOT, create_publication, drop_publication, publish
from swap.plan.direction import Direction
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.prepare.slot import end_slot, make_slot
from swap.state.journal import Phase, Run
from swap.state.migration import Migration
from swap.sync.logical.barrier import streaming

ALLOWED = (Phase.PREPARED, Phase.BACKFILLING, Phase.SYNCING)


def switch_mode(migration: Migration, to: str) -> Run:
    """The run in its new mode. The caller holds the worker. Raises PhaseError, RefusedError, LockError."""
    run = migration.run
    if run.phase not in ALLOWED:
        raise PhaseError(
            f"The mode of capture cannot be changed: the run is {run.phase.public}.",
            hint="`swap revert` goes back first, or leave the mode as it is.",
        )
    refuse_drift(foreign_drift(migration), "it was last recorded", migration.direction)
    if to == "logical":
        _to_logical(migration)
    else:
        _to_triggers(migration)
    migration.journal.event(run.id, "mode", f"capture is {to}")
    return migration.reload()


def _to_logical(migration: Migration) -> None:
    conn, journal, plan, run_id = migration.conn, migration.journal, migration.plan, migration.run.id
    journal.forget_step(run_id, SLOT)
    end_slot(conn, plan)
    with conn.transaction():
        published = [s for t in plan.swapped for s in publish(plan, t, Direction.FORWARD)]
        conn.execute(script([drop_publication(plan), create_publication(plan), *published]))
        journal.event(run_id, "mode", "published")
    make_slot(migration)

    def change() -> None:
        conn.execute(script(remove_capture(plan)))
        _record_mode(migration, "logical")

    with_locks(conn, [t.name for t in plan.swapped], AX, migration.budget, change)


def _to_triggers(migration: Migration) -> None:
    conn, journal, plan, run_id = migration.conn, migration.journal, migration.plan, migration.run.id
    table_no = journal.capture.table_no(run_id)

    def change() -> None:
        conn.execute(script(install_capture(plan, table_no)))
        journal.event(run_id, "mode", "triggers installed")

    with_locks(conn, [t.name for t in plan.swapped], AX, migration.budget, change)
    with streaming(migration.database, plan, run_id) as barrier:
        if barrier is not None:
            barrier.wait_delivered()
    with conn.transaction():
        conn.execute(drop_publication(plan).sql)
        journal.forget_step(run_id, SLOT)
        _record_mode(migration, "trigger")
    migration.reload()
    forget_logical(migration)


def forget_logical(migration: Migration) -> None:
    """Remove slot and publication of a run that captures by triggers, which a change of mode may have left when it was
    killed. Asks the server, because a slot is there before its journal row."""
    if migration.run.mode != "trigger":
        return
    end_slot(migration.conn, migration.plan)
    with migration.conn.transaction():
        migration.conn.execute(drop_publication(migration.plan).sql)
        migration.journal.capture.end_stream(migration.run.id)


def _record_mode(migration: Migration, mode: str) -> None:
    migration.journal.update_run(migration.run.id, mode=mode)
    store_baseline(migration)
