"""Policies that cannot be carried over (H29). For the others see swap/ddl/policies.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.doctor.finding import Finding, Subject, blocker, qualified, read, warning
from swap.plan.policies import new_policies


class Reading(NamedTuple):
    """A policy, and the relation that it reads."""

    schema: str
    relation: str
    policy: str
    reads: str

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.relation)


def check_policies(conn: Connection, subject: Subject) -> Iterator[Finding]:
    """A policy depends on a view that it reads, and the views over the source are dropped and created again. An entry of [[policy]]
    must name a policy, and replace every expression of it."""
    for p in new_policies(subject.catalog, subject.config)[1]:
        yield blocker("policy", p.object, p.detail, p.hint)
    for r in read(conn, Reading, "policies.sql", views=[v.oid for v in subject.catalog.views]):
        detail = f"reads the view {r.reads}, which is built again with uuids and cannot be while a policy needs it"
        hint = f"Read the tables instead of {r.reads}, or DROP POLICY {quote(r.policy)} ON {r.table} for the migration."
        yield blocker("policy", qualified(r.table, r.policy), detail, hint)
    for r in read(conn, Reading, "policies_rows.sql", oids=[t.oid for t in subject.tables]):
        detail = (
            f"uses whole rows of {r.reads}, whose columns change their names and types: what it looks for in them may be gone"
        )
        yield warning("policy", qualified(r.table, r.policy), detail, "Name the columns, or replace it by [[policy]].")
