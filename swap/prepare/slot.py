"""The replication slot of a run: its state as the server tells it, its creation and its end (H13)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from swap.core.blockers import reporting_waits
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.sql_text import load_sql
from swap.ddl.replication import SLOT, create_slot, drop_slot_sql, slot_name_sql
from swap.plan.model import Plan
from swap.state.migration import Migration

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Slot:
    """`confirmed`: the server may forget what was committed before it. `retained_bytes`: the WAL kept for the slot;
    `left_bytes`: how much more may be written before it is lost (None: no limit)."""

    name: str
    active_pid: int | None
    wal_status: str | None
    confirmed: int
    retained_bytes: int
    left_bytes: int | None

    @property
    def lost(self) -> bool:
        return self.wal_status == "lost"


def slot_name(conn: Connection, plan: Plan) -> str:
    row = conn.execute(sql.SQL("SELECT {}").format(slot_name_sql(plan))).fetchone()
    assert row is not None
    return str(row[0])


def read_slot(conn: Connection, name: str) -> Slot | None:
    return conn.cursor(row_factory=class_row(Slot)).execute(load_sql("swap.prepare", "slot.sql"), {"name": name}).fetchone()


def make_slot(migration: Migration, *, journalled: bool = True) -> None:
    """Make a new slot and its row in the journal. Drops the one that an interrupted call left: nothing relies on it yet.

    Reports the sessions that it waits for. `journalled` False: the step is not done yet. Raises RefusedError when the
    server refuses.
    """
    conn, plan, run_id = migration.conn, migration.plan, migration.run.id
    name = slot_name(conn, plan)
    end_slot(conn, plan)
    try:
        with reporting_waits(migration.database, conn, "the replication slot", migration.report):
            row = conn.execute(create_slot(plan).sql).fetchone()
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.ConfigurationLimitExceeded) as e:
        raise RefusedError(
            f"The server makes no replication slot: {e.diag.message_primary}.",
            state="Capture is not live; what `prepare` made so far stays, and it resumes.",
            hint="wal_level, max_replication_slots and max_wal_senders: `swap doctor` says which.",
        ) from None
    assert row is not None
    position = position_of(conn, row[0])
    with conn.transaction():
        migration.journal.capture.begin_stream(run_id, name, position)
        if journalled:
            migration.journal.mark_step(run_id, SLOT)


def end_slot(conn: Connection, plan: Plan, patience_s: float = PATIENCE_S) -> None:
    """Drop the slot if it is there. Waits up to `patience_s` for a session that still reads it."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            conn.execute(drop_slot_sql(plan))
        except psycopg.errors.ObjectInUse as e:
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"The replication slot is still being read: {e.diag.message_primary}.",
                    hint="Stop the session that pg_replication_slots.active_pid names, then run it again.",
                ) from None
            time.sleep(0.05)
        else:
            return


def position_of(conn: Connection, lsn: str) -> int:
    row = conn.execute("SELECT (%s::pg_lsn - '0/0'::pg_lsn)::bigint", [lsn]).fetchone()
    assert row is not None
    return int(row[0])
