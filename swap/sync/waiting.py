"""Which rows wait for the row that they refer to (swap.ddl.waiting)."""

from __future__ import annotations

from swap.core.connection import Connection
from swap.ddl import waiting
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from swap.plan.row_keys import Key
from swap.plan.unresolved import uncertain


def key_of(d: TableMapping, texts: list[str]) -> Key:
    """A key of the table of waiting rows."""
    return int(texts[0]) if d.integer_key else tuple(texts)


def held_keys(conn: Connection, plan: Plan, d: TableMapping) -> set[Key]:
    """The rows that the maintained side does not hold until the row that they refer to is there."""
    if not any(u.required for u in uncertain(plan, d)):
        return set()
    return {key_of(d, texts) for (texts,) in conn.execute(waiting.held_rows(plan, d))}


def count_held(conn: Connection, plan: Plan) -> int:
    """How many rows of all tables the maintained side does not hold."""
    row = conn.execute(waiting.count_held(plan)).fetchone()
    return int(row[0]) if row else 0
