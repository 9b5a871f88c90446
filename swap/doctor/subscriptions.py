"""Subscriptions that apply into the source or into a table with a reference (H7).

Until the cutover their rows are captured and guarded like any others. After it they cannot go on. They bring integers for columns
that are uuids now. And pg_subscription_rel holds oids: the new table has another one, so it is not a table of the subscription, and
an apply worker skips each change of such a table without a message (src/backend/replication/logical/worker.c,
should_apply_changes_for_rel). So the operator has to accept each subscription by name, and an exchange is refused while one is
enabled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import quote
from swap.doctor.finding import Finding, Subject, blocker, or_ok, read


class Subscription(NamedTuple):
    """A subscription that applies into a table. `table`: its name as the server prints it."""

    name: str
    enabled: bool
    table_oid: int
    table: str


def check_subscriptions(conn: Connection, subject: Subject) -> list[Finding]:
    """Reads the catalog only."""
    names = {t.oid: t.name for t in subject.tables}
    found = [
        blocker(
            "subscription", f"{quote(s.name)} into {names[s.table_oid]}",
            "its rows bring integers where uuids are after the cutover, and into a new table it applies nothing",
            f"ALTER SUBSCRIPTION {quote(s.name)} DISABLE; before the cutover, and for as long as that holds. Then take it on.",
            acceptable=True,
        )
        for s in read(conn, Subscription, "subscriptions.sql", oids=list(names))
    ]  # fmt: skip
    return or_ok(found, "subscription", subject.source.name, "no subscription applies into the table or a reference to it")


def refuse_subscriptions(conn: Connection, oids: Sequence[int]) -> None:
    """A gate of the exchange: raises RefusedError while a subscription is enabled that applies into one of the tables."""
    for s in read(conn, Subscription, "subscriptions.sql", oids=list(oids)):
        if s.enabled:
            raise RefusedError(
                f"The subscription {quote(s.name)} applies into {s.table}: after an exchange its changes would be lost, or stop it.",
                hint=f"ALTER SUBSCRIPTION {quote(s.name)} DISABLE; it keeps its place in the publisher's slot.",
            )
