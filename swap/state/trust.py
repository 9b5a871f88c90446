"""Whether a schema of the state schema's name is the state schema, before anything in it is read (invariant 11).

Every role with CREATE on the database can make a schema of any name, with any comment. A view `run` in it would execute its
functions as the role that runs `swap status`. So the schema has to belong to the session's own role, or to the owner of the
source. Everything in it has to belong to the same role (or to a superuser, who needs no trick), and the tables that the journal
reads have to be tables that execute nothing: no view, rule, trigger, policy, foreign type or expression.

Rejected: membership in the schema's owner. Before 16 every role may make any other role its member (GRANT, "a role may grant
membership in itself from a session of its own"), so membership says nothing about who trusts whom.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from swap.core.connection import Connection
from swap.core.errors import NOTHING_CHANGED, RefusedError
from swap.core.names import TableName, quote
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.state.tables import tables

KINDS = ("schema", "object", "shape", "acl")  # the first one is told
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class StateFault(NamedTuple):
    """Why the schema is not believed. `kind`: `schema` and `object` (another role owns it), `acl` (another role, `owner`, may
    create objects in it), `shape` (the journal reads it, and it is no plain table)."""

    kind: str
    object: str
    owner: str
    detail: str

    def __str__(self) -> str:
        if self.kind == "acl":
            return f"{self.owner} may create objects in {self.object}"
        if self.kind == "shape":
            return f"{self.object}, which belongs to {self.owner}, {self.detail}"
        return f"{self.object} belongs to {self.owner}"


def state_faults(conn: Connection, schema: str, source: TableName | None) -> list[StateFault]:
    """Why the schema is not believed; empty when it is, and when there is none. One query of the server's own catalogs.

    `source`: the source's owner may own the schema too. Without it, the session's role only.
    """
    columns = [(t.name, c.name, _type(c)) for t in tables(schema).values() for c in t.columns]
    params = {
        "schema": schema,
        "source_schema": source and source.schema,
        "source_table": source and source.name,
        "tables": list(tables(schema)),
        "in_table": [table for table, _, _ in columns],
        "columns": [column for _, column, _ in columns],
        "types": [kind for _, _, kind in columns],
    }
    found = fetch(conn, StateFault, load_sql("swap.state", "trust.sql"), params)
    return sorted(found, key=lambda fault: (KINDS.index(fault.kind), fault))


def _type(column: sa.Column[object]) -> str:
    """The column's type as the server knows it. The enum is the one of the state schema, by its name there."""
    return "phase" if isinstance(column.type, postgresql.ENUM) else column.type.compile(dialect=DIALECT).lower()


def refuse_untrusted(conn: Connection, schema: str, source: TableName | None) -> None:
    """Raises RefusedError, which names who owns what. Reads nothing of the schema."""
    found = state_faults(conn, schema, source)
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise RefusedError(
        f"The schema {quote(schema)} is not believed: {found[0]}{more}.",
        state=f"Nothing in it was read. {NOTHING_CHANGED}",
        hint=hint(schema, found[0]),
    )


def hint(schema: str, fault: StateFault) -> str:
    """What to do about `fault`. Never membership in the owner: it would give the owner's objects this role's trust."""
    another = "name another schema with [names] state_schema"
    if fault.kind == "acl":
        return f"REVOKE CREATE ON SCHEMA {quote(schema)} FROM {fault.owner}; then look at what {fault.owner} made in it."
    if fault.kind == "schema":
        return (
            f"If {quote(fault.owner)} is the role that runs swap here, connect as it. If not, {another},"
            f" or have a superuser drop this one: DROP SCHEMA {quote(schema)} CASCADE;"
        )
    if fault.kind == "object":
        return f"If swap made it, give it back to the schema's owner (ALTER … OWNER TO); if not, have a superuser drop it; or {another}."
    return f"Have a superuser undo that: what the journal reads are plain tables. Or {another}."
