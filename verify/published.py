"""Logical capture is as it was made: the live table's integer key is published in full, and a DELETE is decoded with it."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.core.plan import Plan
from swap.core.text import load_sql
from swap.prepare.publication import publication_name


def published(conn: Connection, plan: Plan, direction: str) -> list[str]:
    """What is missing, one line each."""
    name, key = publication_name(plan), plan.key if direction == "forward" else plan.legacy_key
    found = conn.execute(
        load_sql("verify", "publication.sql"), {"name": name, "schema": plan.source.schema, "table": plan.source.name}
    ).fetchone()
    if found is None:
        return [f"the publication {name} does not hold {plan.source}"]
    complete, columns, filtered, identity = found
    problems = [] if complete else [f"the publication {name} leaves out a kind of change"]
    problems += [] if columns == [key] else [f"the publication {name} holds {columns}, not {key} alone"]
    problems += [f"the publication {name} filters rows"] if filtered else []
    problems += [] if key in identity else [f"the replica identity of {plan.source} does not hold {key}"]
    return problems
