"""Roles whose idle sessions a cutover ends (`disconnect_clients`): whether such sessions may be ended, and by this role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import quote
from swap.doctor.finding import Finding, blocker, ok, read


class Role(NamedTuple):
    """A role of `disconnect_clients`. `found`: it exists; `may_end`: the role `me` may see and end its sessions."""

    name: str
    found: bool
    superuser: bool
    replication: bool
    may_end: bool
    me: str


def check_clients(conn: Connection, roles: Sequence[str]) -> list[Finding]:
    """pg_terminate_backend needs membership in the role, or pg_signal_backend. Without membership the server shows only to
    pg_read_all_stats which sessions are idle."""
    found = []
    for r in read(conn, Role, "clients.sql", roles=list(roles)):
        if not r.found:
            found.append(blocker("disconnect-clients", r.name, "there is no such role", "Correct its name."))
        elif r.superuser or r.replication:
            what = "a superuser" if r.superuser else "a replication role"
            hint = "Leave it out; end such a session by hand, if need be."
            found.append(blocker("disconnect-clients", r.name, f"it is {what}, whose sessions are never ended", hint))
        elif not r.may_end:
            detail = f"{r.me} may not see which of its sessions are idle, or end them"
            hint = f"GRANT {quote(r.name)} TO {quote(r.me)}; or GRANT pg_signal_backend, pg_read_all_stats TO {quote(r.me)};"
            found.append(blocker("disconnect-clients", r.name, detail, hint))
        else:
            found.append(ok("disconnect-clients", r.name, "its idle sessions can be ended after the exchange"))
    return found
