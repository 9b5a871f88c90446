"""Logical capture is as it was made: the live table's integer key is published in full, and a DELETE is decoded with it.

And nobody has changed the publication meanwhile, were it only there and back: ALTER PUBLICATION waits for no writer, so there
is no snapshot of which it could be said that what was left out is in it. Only a transaction of the journal's will do.
"""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.sql_text import load_sql
from swap.ddl.replication import publication_name
from swap.plan.direction import Direction
from swap.plan.model import Plan
from verify.own_transactions import own_transactions


def published(conn: Connection, plan: Plan, direction: Direction) -> list[str]:
    """What is missing, one line each."""
    name, key = publication_name(plan), plan.key if direction is Direction.FORWARD else plan.legacy_key
    found = conn.execute(
        load_sql("verify", "publication.sql"), {"name": name, "schema": plan.source.schema, "table": plan.source.name}
    ).fetchone()
    if found is None:
        return [f"the publication {name} does not hold {plan.source}"]
    complete, columns, filtered, identity, written = found
    problems = [] if complete else [f"the publication {name} leaves out a kind of change"]
    problems += [] if columns == [key] else [f"the publication {name} holds {columns}, not {key} alone"]
    problems += [f"the publication {name} filters rows"] if filtered else []
    problems += [] if key in identity else [f"the replica identity of {plan.source} does not hold {key}"]
    if not problems and not own_transactions(conn, plan.state_schema, written).issuperset(written):
        problems.append(f"the publication {name} was changed by somebody: what it left out meanwhile was not captured")
    return problems
