"""Ends the application's idle sessions after an exchange: their plans, prepared statements and types are those of before.

Only sessions that began before the exchange: one that reconnects is not ended again. Only idle ones: a session in a
transaction may finish it, and is ended when it is idle; one that is still at it after `TRANSACTIONS_S` is named and left.
One statement finds and ends them, so that a session has next to no time to begin something in between.
Never the tool's own sessions, a superuser's or a replication role's: such a role is refused before anything is changed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from swap.core.blockers import OWN
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.sql_text import load_sql
from swap.doctor.clients import check_clients
from swap.state.migration import Migration

TRANSACTIONS_S = 10.0
POLL_S = 0.1


@dataclass(frozen=True)
class Disconnected:
    """How many sessions were ended, and those that were left in a transaction."""

    ended: int = 0
    left: tuple[str, ...] = ()


def refuse_clients(conn: Connection, roles: Sequence[str]) -> None:
    """Raises RefusedError, which names the grant that is missing, before anything is changed."""
    for f in check_clients(conn, roles):
        if f.status == "blocker":
            raise RefusedError(f"The sessions of {f.object} cannot be disconnected: {f.detail}.", hint=f.hint)


class _Session(NamedTuple):
    pid: int
    ended: bool | None
    name: str


def disconnect(migration: Migration, roles: Sequence[str]) -> Disconnected:
    """End the sessions of `roles` that began before the last exchange."""
    journal, run = migration.journal, migration.run
    if not roles:
        return Disconnected()
    ended: set[int] = set()
    params = {"roles": list(roles), "exchange": journal.attempts.exchanged_at(run.id)} | OWN
    query = load_sql("cutover", "disconnect.sql")
    left: list[str] = []
    deadline = time.monotonic() + TRANSACTIONS_S
    while True:
        try:
            sessions = migration.conn.cursor(row_factory=class_row(_Session)).execute(query, params).fetchall()
        except psycopg.errors.InsufficientPrivilege as e:  # granted when it was asked for, revoked meanwhile
            left = [str(e.diag.message_primary)]
            break
        ended |= {s.pid for s in sessions if s.ended}
        left = [s.name for s in sessions if s.pid not in ended]
        if not left or time.monotonic() > deadline or migration.stop.wait(POLL_S):
            break
    done = Disconnected(ended=len(ended), left=tuple(left))
    journal.event(run.id, "disconnected", f"{done.ended} sessions of {', '.join(roles)}; left: {'; '.join(left) or 'none'}")
    return done
