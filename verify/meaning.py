"""What stands in a table's definitions means what it was made from (I10, H53): part of the structure that a verification compares.

The structure as the server prints it is the same whichever `=` an IS DISTINCT FROM uses. So the operators of the stored expressions
are compared with those that the plan recorded: of the shadows before the cutover, of the new tables and views after it.
"""

from __future__ import annotations

from swap.catalog.meaning import Meanings
from swap.catalog.query import find_relations
from swap.core.connection import Connection
from swap.plan.direction import Direction
from swap.plan.meanings import difference, expected_after, expected_of_shadows, known
from swap.plan.model import Plan


def changed_meanings(conn: Connection, plan: Plan, direction: Direction) -> list[str]:
    """One line for each object that uses other operators or functions than it should. What is missing is no matter of this check."""
    if not known(plan):
        return []
    expected = list(expected_of_shadows(plan) if direction is Direction.FORWARD else expected_after(plan))
    views = [v for v in plan.catalog.views if direction is Direction.REVERSE and not plan.text_of(v.oid)]
    names = sorted({e.table for e in expected} | {v.name for v in views})
    oids = {n: r.oid for n, r in find_relations(conn, names).items()}
    found = Meanings(conn, oids.values())
    pairs = [(e.label, e.meaning, found.find(oids[e.table], e.kind, e.name)) for e in expected if e.table in oids]
    pairs += [(str(v.name), v.meaning, found.whole(oids[v.name])) for v in views if v.name in oids]
    return [f"{label} {said}" for label, m, now in pairs if now is not None and (said := difference(m.uses, now.uses))]
