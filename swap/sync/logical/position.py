"""Checks that the slot still has everything from the journal's position on. A slot that is lost, gone, or ahead of that
position stops the run by name: changes would be missing, and nothing else would show it."""

from __future__ import annotations

from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import DefectError, RefusedError
from swap.ddl.replication import SLOT, publication_name
from swap.plan.model import Plan
from swap.prepare.slot import Slot, read_slot
from swap.sync.logical.link import lsn_text

LOST = "Changes made since then were not captured. Everything built so far stays, and this command exchanged no names."
AGAIN = "`swap prepare` starts capture again and queues what differs; no new backfill. Then `swap sync`."


class CaptureLostError(RefusedError):
    """The slot cannot deliver the changes that were not read yet: it is lost, gone, or ahead of the journal's position."""

    def __init__(self, message: str) -> None:
        super().__init__(message, state=LOST, hint=AGAIN)


def check_journalled(conn: Connection, plan: Plan, run_id: int) -> tuple[Slot, int]:
    """The slot and the position that is noted. Raises CaptureLostError when the two do not fit.

    The position is read after the slot: a stream that is at work notes it first, and would seem to be behind the slot."""
    schema = plan.state_schema
    stream, run = sql.Identifier(schema, "stream"), sql.Literal(run_id)
    named = conn.execute(sql.SQL("SELECT slot FROM {} WHERE run_id = {}").format(stream, run)).fetchone()
    if named is None:
        raise DefectError("Capture is logical and no slot was journalled.")
    (name,) = named
    check_publication(conn, plan)
    slot = read_slot(conn, name)
    row = conn.execute(
        sql.SQL(
            "SELECT s.position, EXISTS (SELECT FROM {} d WHERE d.run_id = s.run_id AND d.name = {}) FROM {} s WHERE s.run_id = {}"
        ).format(sql.Identifier(schema, "step"), sql.Literal(SLOT), stream, run)
    ).fetchone()
    if row is None:
        raise CaptureLostError("Capture by logical replication has just ended: the run goes on with triggers.")
    position, complete = row
    slot = check_slot(slot, name, position)
    if not complete:
        raise CaptureLostError(f"The replication slot {name} is new, and what was missed before it is not queued yet.")
    return slot, int(position)


def check_publication(conn: Connection, plan: Plan) -> None:
    """Raises CaptureLostError when it is gone. Before 18 the stream ends with an error at the next change; from 18 on it goes
    on without the changes of the publication."""
    name = publication_name(plan)
    if conn.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [name]).fetchone() is None:
        raise CaptureLostError(f"The publication {name} is gone.")


def check_slot(slot: Slot | None, name: str, position: int) -> Slot:
    """Raises CaptureLostError unless the slot still has everything from `position` on."""
    if slot is None:
        raise CaptureLostError(f"The replication slot {name} is gone.")
    if slot.lost:
        raise CaptureLostError(f"The replication slot {name} is lost: the server removed WAL that was not read yet.")
    if slot.confirmed > position:
        raise CaptureLostError(
            f"The replication slot {name} is at {lsn_text(slot.confirmed)}, capture was noted up to {lsn_text(position)} only."
        )
    return slot


def end_reader(conn: Connection, name: str) -> None:
    """End the session that reads the slot, if it is a stream of this tool by this role. Any other reader stays."""
    conn.execute(
        "SELECT pg_terminate_backend(a.pid) FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid"
        " WHERE s.slot_name = %s AND a.usename = current_user AND a.application_name LIKE 'swap %% (stream)'",
        [name],
    )


def full_xid(xid: int, near: int) -> int:
    """The 64-bit id of a transaction whose lower half the stream tells: the nearest to an id that is in use now.

    Ids in use are never further apart than 2^31 (src/backend/access/transam/README), and `near` may be old.
    """
    difference = (xid - near) & 0xFFFFFFFF
    return near + (difference if difference < 1 << 31 else difference - (1 << 32))
