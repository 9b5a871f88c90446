"""Roles whose idle sessions a cutover ends (`disconnect_clients`): who may be, and whether this role may."""

from __future__ import annotations

from collections.abc import Sequence

from swap.core.connection import Connection
from swap.core.names import quote
from swap.doctor.finding import Finding, blocker, ok, read


def check_clients(conn: Connection, roles: Sequence[str]) -> list[Finding]:
    """pg_terminate_backend needs membership in the role, or pg_signal_backend; without membership the server shows who is
    idle to pg_read_all_stats only."""
    found = []
    for name, exists, superuser, replication, allowed, me in read(conn, "clients.sql", roles=list(roles)):
        if not exists:
            found.append(blocker("disconnect-clients", name, "there is no such role", "Correct its name."))
        elif superuser or replication:
            what = "a superuser" if superuser else "a replication role"
            hint = "Leave it out; end such a session by hand, if need be."
            found.append(blocker("disconnect-clients", name, f"it is {what}, whose sessions are never ended", hint))
        elif not allowed:
            hint = f"GRANT {quote(name)} TO {quote(me)}; or GRANT pg_signal_backend, pg_read_all_stats TO {quote(me)};"
            found.append(
                blocker("disconnect-clients", name, f"{me} may not see which of its sessions are idle, or end them", hint)
            )
        else:
            found.append(ok("disconnect-clients", name, "its idle sessions can be ended after the exchange"))
    return found
