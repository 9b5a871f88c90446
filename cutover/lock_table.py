"""Room in the server's lock table (max_locks_per_transaction), which all sessions share.

An exchange locks every object that it touches, in one transaction. When the table is full, the next statement of every
session fails, the application's too (I1). So no attempt is made where that might happen. The gate checks that there is room
at all, as `doctor` does. Each attempt checks that there is room beside the locks that others hold at that moment. If they
take more after that check, only the exchange fails: SQLSTATE 53200, everything is rolled back, and it is tried again.

The size is the documented one. The server has more (seen on 18: 15,800 locks where the settings say 7,040). Do not count on
that: other parts of the server may have taken this memory.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from swap.core.blockers import sessions
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.sql_text import load_sql
from swap.doctor.disk import check_locks, locks_needed
from swap.doctor.finding import subject_of
from swap.doctor.server import read_server
from swap.plan.model import Plan

SETTING = "max_locks_per_transaction"


def refuse_lock_table(conn: Connection, plan: Plan) -> None:
    """The gate. Raises RefusedError."""
    found = check_locks(subject_of(plan), read_server(conn))
    if found.status == "blocker":
        raise RefusedError(f"The lock table is too small: {found.detail} ({SETTING}).", hint=found.hint)


def no_room(conn: Connection, plan: Plan) -> list[str]:
    """Why the locks of an exchange might not fit in beside those of other sessions, in one line; empty when they do."""
    needed, slots = locks_needed(subject_of(plan)), read_server(conn).lock_slots
    taken, who = _taken(conn)
    if taken + needed <= slots:
        return []
    return [f"the lock table ({SETTING}) has room for {slots}, {taken} are taken, and this takes about {needed}; {who}"]


def full(conn: Connection, error: psycopg.errors.OutOfMemory) -> str:
    """Of an attempt's error, after its rollback: that the lock table was full; empty when other memory ran out. The name of the setting is in its hint, whatever the server's language."""
    if SETTING not in (error.diag.message_hint or ""):
        return ""
    taken, who = _taken(conn)
    return f"the server's lock table was full ({SETTING}), {taken} locks of others are in it; {who}"


class _Taken(NamedTuple):
    taken: int
    pid: int | None
    most: int


def _taken(conn: Connection) -> tuple[int, str]:
    found = conn.cursor(row_factory=class_row(_Taken)).execute(load_sql("cutover", "lock_table.sql")).fetchone()
    if found is None:
        return 0, "no session holds any now"
    who = "; ".join(map(str, sessions(conn, [found.pid]))) if found.pid else "a prepared transaction (pg_prepared_xacts)"
    return found.taken, f"most of them, {found.most}, are held by {who or 'a session that is gone'}"
