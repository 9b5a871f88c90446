"""Logical capture is as it was made: the publication has the live table's integer key and every kind of change, and the replica
identity has the key, so that a DELETE is decoded with it.

Besides, no other program has changed the publication since, not even there and back. ALTER PUBLICATION waits for no writer, so no
snapshot is known to hold the changes that the publication left out meanwhile. Only a transaction of the journal may have written
it.
"""

from __future__ import annotations

from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.ddl.replication import publication_name
from swap.plan.direction import Direction
from swap.plan.model import Plan
from verify.own_transactions import own_transactions


class _PublicationRow(NamedTuple):
    every_change: bool
    columns: tuple[str, ...]
    filtered: bool
    identity: tuple[str, ...]
    written_by: tuple[int, ...]


def publication_faults(conn: Connection, plan: Plan, direction: Direction) -> list[str]:
    """What is wrong with the publication, one line each."""
    name, key = publication_name(plan), plan.key if direction is Direction.FORWARD else plan.legacy_key
    params = {"name": name, "schema": plan.source.schema, "table": plan.source.name}
    rows = fetch(conn, _PublicationRow, load_sql("verify", "publication.sql"), params)
    if not rows:
        return [f"the publication {name} does not hold {plan.source}"]
    (found,) = rows
    faults = [] if found.every_change else [f"the publication {name} leaves out a kind of change"]
    faults += [] if found.columns == (key,) else [f"the publication {name} holds {list(found.columns)}, not {key} alone"]
    faults += [f"the publication {name} filters rows"] if found.filtered else []
    faults += [] if key in found.identity else [f"the replica identity of {plan.source} does not hold {key}"]
    if not faults and not own_transactions(conn, plan.state_schema, found.written_by).issuperset(found.written_by):
        faults.append(
            f"the publication {name} was changed by another program: changes that it left out meanwhile were not captured"
        )
    return faults
