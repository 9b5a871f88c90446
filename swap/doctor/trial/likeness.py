"""Whether the new tables, made empty in the trial, are like their sources: an event trigger may add to them (H55)."""

from __future__ import annotations

from swap.catalog.load import find_tables
from swap.core.connection import Connection
from swap.ddl.likeness import Stage, unlike
from swap.doctor.finding import Finding, blocker
from swap.doctor.trial.remap import SchemaRemap
from swap.plan.model import Plan

HINT = "An event trigger, perhaps (`event-triggers`): ALTER EVENT TRIGGER … DISABLE; while `swap prepare` and `swap cutover` run."


def compare_tables(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[Finding]:
    """A blocker for everything that a new table has, or has not, other than its source."""
    out = []
    tables = find_tables(conn, (remap.name(t.name) for t in plan.swapped))
    for t in plan.swapped:
        table = tables.get(remap.name(t.name))
        lines = unlike(plan, t, table, Stage.LIVE) if table else []
        out += [blocker("shadow", t.name, f"its new table would not be like it: {line}", HINT) for line in lines]
    return out
