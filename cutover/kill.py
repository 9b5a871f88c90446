"""Ends the sessions in the way, as `kill_blockers` allows (H34): cancels a statement before it terminates the session.

An idle session has no statement to cancel, so it is terminated at once. A session whose statement was cancelled has GRACE_S to
roll back. If it is still in the way then, it is terminated. Never a superuser's or a replication role's session, a background
process, or another swap's of the same role, known by the lock that it holds and not by its name. `log` has every session that was ended, and every one that could not be.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from swap.core.blockers import Blocker
from swap.core.connection import Connection

GRACE_S = 1.0


@dataclass
class Killer:
    """For all attempts of one command. `mode`: `never`, `idle-in-transaction` or `all`."""

    mode: str
    log: list[str] = field(default_factory=list)
    _done: dict[int, tuple[str, float]] = field(default_factory=dict)
    _refused: set[int] = field(default_factory=set)
    _said: set[tuple[int, str]] = field(default_factory=set)

    def take_log(self) -> list[str]:
        """The sessions that were ended since the last call."""
        taken, self.log = self.log, []
        return taken

    def consider(self, conn: Connection, b: Blocker) -> None:
        """`b` is in the way: end it if that is allowed, and its time is up."""
        idle = b.state.startswith("idle in transaction")
        if self.mode == "never" or b.backend_type != "client backend" or b.own or b.pid in self._refused:
            return
        if why := self._why_not(b, idle=idle):
            if (b.pid, why) not in self._said:
                self._said.add((b.pid, why))
                self.log.append(f"not ended ({why}): {b}")
            return
        how, since_s = self._last(b)
        if how and since_s < GRACE_S:
            return
        self._end(conn, b, "terminated" if idle or how else "cancelled")

    def _why_not(self, b: Blocker, *, idle: bool) -> str:
        """Why the configuration says to end sessions, and not this one."""
        if b.privileged:
            return "its role is a superuser or may replicate, or the server hides it"
        if self.mode == "idle-in-transaction" and not idle:
            return "kill_blockers = idle-in-transaction leaves a session at work"
        return ""

    def _last(self, b: Blocker) -> tuple[str, float]:
        """How this transaction was ended, and how long ago; a session may be in another one by now."""
        how, at = self._done.get(b.pid, ("", 0.0))
        since_s = time.monotonic() - at
        return (how, since_s) if how and (b.age_s is None or b.age_s >= since_s) else ("", 0.0)

    def _end(self, conn: Connection, b: Blocker, how: str) -> None:
        function = "pg_terminate_backend" if how == "terminated" else "pg_cancel_backend"
        try:
            conn.execute(sql.SQL("SELECT {}(%s)").format(sql.Identifier("pg_catalog", function)), [b.pid])
        except psycopg.errors.InsufficientPrivilege:
            self._refused.add(b.pid)
            how = "not ended (kill_blockers needs GRANT pg_signal_backend):"
        self._done[b.pid] = (how, time.monotonic())
        self.log.append(f"{how} {b}")
