"""Logical capture is as it was made: the publication has the key of every live table and every kind of change, and the replica
identity has the key, so that a DELETE is decoded with it. After the cutover the source's key is the integer with the uuid.

Besides, no other program has changed the publication since, not even there and back. ALTER PUBLICATION waits for no writer, so no
snapshot is known to hold the changes that the publication left out meanwhile. Only a transaction of the journal may have written
it.
"""

from __future__ import annotations

from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.ddl.replication import publication_name, published_key
from swap.plan.direction import Direction
from swap.plan.model import Plan, SwappedTable
from verify.own_transactions import own_transactions


class PublicationFault(NamedTuple):
    """A table whose changes may not be decoded as they have to be."""

    table: TableName
    detail: str


class _PublicationRow(NamedTuple):
    schema: str
    table: str
    every_change: bool
    columns: tuple[str, ...]
    filtered: bool
    identity: tuple[str, ...]
    written_by: tuple[int, ...]


def publication_faults(conn: Connection, plan: Plan, direction: Direction) -> list[PublicationFault]:
    """What is wrong with the publication."""
    names = [t.name for t in plan.swapped]
    params = {"name": publication_name(plan), "schemas": [n.schema for n in names], "names": [n.name for n in names]}
    rows = fetch(conn, _PublicationRow, load_sql("verify", "publication.sql"), params)
    found = {TableName(r.schema, r.table): r for r in rows}
    faults = [PublicationFault(t.name, line) for t in plan.swapped for line in _faults(plan, t, direction, found.get(t.name))]
    written_by = {xid for r in rows for xid in r.written_by}
    if not faults and not own_transactions(conn, plan.state_schema, written_by).issuperset(written_by):
        detail = "was changed by another program: changes that it left out meanwhile were not captured"
        faults.append(PublicationFault(plan.source, f"the publication {publication_name(plan)} {detail}"))
    return faults


def _faults(plan: Plan, t: SwappedTable, direction: Direction, found: _PublicationRow | None) -> list[str]:
    publication = f"the publication {publication_name(plan)}"
    if found is None:
        return [f"{publication} does not hold {t.name}"]
    key = published_key(plan, t, direction)
    listed, identity = ", ".join(key), set(found.identity)
    faults = [] if found.every_change else [f"{publication} leaves out a kind of change"]
    if set(found.columns) != set(key):
        faults.append(f"{publication} holds {list(found.columns)} of {t.name}, not {listed} alone")
    faults += [f"{publication} filters rows of {t.name}"] if found.filtered else []
    faults += [] if identity.issuperset(key) else [f"the replica identity of {t.name} does not hold {listed}"]
    return faults
