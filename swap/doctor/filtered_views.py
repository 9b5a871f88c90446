"""A populated materialized view that could not be filled again with the rows it has: row security filters what REFRESH reads.

The exchange makes the view anew and fills it as its owner, in a session that has none of the application's settings. Under FORCE ROW
LEVEL SECURITY a policy by `current_setting` lets no row through then, and the view is empty without an error (invariants 9 and 10).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.doctor.finding import Finding, Subject, blocker, read


class Filtered(NamedTuple):
    """Row security of `table` applies to `role`, as which a REFRESH of the view (`oid`) reads it."""

    oid: int
    schema: str
    table: str
    role: str


def check_filtered_views(conn: Connection, subject: Subject) -> Iterator[Finding]:
    """One finding for each view, with every table under it. Reads the catalog only."""
    filled = {v.oid: v for v in subject.catalog.views if v.kind == "m" and v.populated}
    found: dict[int, list[Filtered]] = {}
    for row in read(conn, Filtered, "filtered_views.sql", oids=list(filled)):
        found.setdefault(row.oid, []).append(row)
    for oid, rows in found.items():
        tables = ", ".join(f"{TableName(r.schema, r.table)} (as {r.role})" for r in rows)
        detail = (
            f"filling it again is under the row security of {tables}: it may have fewer rows than now, or none, without an error"
        )
        roles = " ".join(f"ALTER ROLE {quote(r)} BYPASSRLS;" for r in sorted({r.role for r in rows}))
        hint = f"{roles} Or REFRESH it yourself after the cutover, in a session with the application's settings, and accept it."
        yield blocker("view", filled[oid].name, detail, hint, acceptable=True)
