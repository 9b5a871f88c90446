"""Whether the new tables, made empty in the trial, are like their sources, and the views and functions made again like those of before:
an event trigger may add to them (H55)."""

from __future__ import annotations

from swap.catalog.load import find_tables, find_whole_tables, read_structure
from swap.core.connection import Connection
from swap.ddl.likeness import Stage, unlike
from swap.ddl.made_again import unlike_before
from swap.doctor.finding import Finding, blocker
from swap.doctor.trial.remap import SchemaRemap
from swap.plan.model import Plan

HINT = (
    "An event trigger, perhaps: `event-triggers` names each, with the statement that disables it. Run that before `swap prepare`, and"
    " enable the trigger again after the cutover."
)


def compare_tables(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[Finding]:
    """A blocker for everything that a new table has, or has not, other than its source."""
    out = []
    tables = find_whole_tables(conn, (remap.name(t.name) for t in plan.swapped))
    for t in plan.swapped:
        table = tables.get(remap.name(t.name))
        lines = unlike(plan, t, table, Stage.LIVE) if table else []
        out += [blocker("shadow", t.name, f"its new table would not be like it: {line}", HINT) for line in lines]
    return out


def compare_dependents(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[Finding]:
    """A blocker for every owner, option, right or trigger that a view or function made again has, or has not, other than before."""
    if not (plan.catalog.views or plan.catalog.functions):
        return []
    made = find_tables(conn, (remap.name(t.name) for t in plan.catalog.tables))
    now = [(remap.readable(tab), remap.readable(line)) for tab, line in read_structure(conn, [t.oid for t in made.values()])]
    there = {tab for tab, _ in now}  # what could not be built is a finding of its own
    was = [(tab, line) for tab, line in read_structure(conn, [t.oid for t in plan.catalog.tables]) if tab in there]
    return [blocker("dependent", line.partition(": ")[0], f"made again it would not be as it was: {line.partition(': ')[2]}", HINT)
            for line in unlike_before(was, now)]  # fmt: skip
