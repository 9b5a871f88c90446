"""Whether the new table, made empty in the trial, is like its source: an event trigger may add to it (H55)."""

from __future__ import annotations

from swap.catalog.load import load_tables
from swap.catalog.query import find_relation
from swap.core.connection import Connection
from swap.ddl.likeness import Stage, unlike
from swap.doctor.finding import Finding, blocker
from swap.doctor.trial.remap import SchemaRemap
from swap.plan.model import Plan

HINT = "An event trigger, perhaps (`event-triggers`): ALTER EVENT TRIGGER … DISABLE; while `swap prepare` and `swap cutover` run."


def compare_tables(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[Finding]:
    """A blocker for everything that the new table has, or has not, other than its source."""
    found = find_relation(conn, remap.name(plan.source))
    if found is None:
        return []
    (table,) = load_tables(conn, [found.oid])
    return [
        blocker("shadow", plan.source, f"its new table would not be like it: {line}", HINT)
        for line in unlike(plan, table, Stage.LIVE)
    ]
