"""Capture, guards and fence as they have to be right now: what `prepare` puts back where a part is missing or altered (H38)."""

from __future__ import annotations

from swap.core.names import TableName
from swap.core.sql_text import Query
from swap.core.statement import Statement
from swap.ddl.capture import capture_functions
from swap.ddl.change_tables import complete_tables
from swap.ddl.compat import reference_triggers
from swap.ddl.exchange import live_objects
from swap.ddl.fence import fence_functions, fence_trigger
from swap.ddl.guards import reference_guards
from swap.ddl.key_mapping import create_mapping, resolver_functions
from swap.ddl.older_guards import begun_by_older
from swap.ddl.partition_triggers import live_partition_triggers, turned_functions
from swap.ddl.phases import trigger_functions
from swap.ddl.replication import publish
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.state.journal import Journal, Run


def triggers_of(plan: Plan, table: TableName, direction: Direction, *, fenced: bool) -> list[Statement]:
    """Every trigger of swap's own on a live table, or on a table with references; the publication aside. `fenced`: there was
    an exchange."""
    if t := plan.swapped_table(table):
        left_out = publish(plan, t, direction) if plan.mode == "logical" else []
        if not fenced:
            left_out.append(fence_trigger(plan, t))
        return [*(s for s in live_objects(plan, t, direction) if s not in left_out), *live_partition_triggers(plan, t)]
    refs = [r.columns for r in plan.references if r.table == table]
    guards = [s for ref in refs for s in reference_guards(plan, ref, table, direction)]
    return [*guards, *(s for ref in refs for s in reference_triggers(plan, ref, direction))]


def functions_of(plan: Plan, direction: Direction, table_no: int, generation: int, *, guarded: bool = True) -> list[Statement]:
    """All trigger functions (`guarded`: those of the references' guards too), then those that hold the change table in use and the number of the last exchange."""
    return [
        *complete_tables(plan),
        *create_mapping(plan),
        *resolver_functions(plan, direction),
        *trigger_functions(plan, guarded=guarded),
        *capture_functions(plan, direction, table_no),
        *turned_functions(plan, direction, table_no),
        *fence_functions(plan, generation or None),
    ]


def current_functions(journal: Journal, run: Run) -> list[Query]:
    """The trigger functions of a run under way, in the place of those that an older version created. The guards of references with
    completing triggers stay until both can change at once (swap.sync.take_over)."""
    table_no, generation = journal.capture.table_no(run.id), journal.capture.generation(run.plan.tag)
    guarded = not begun_by_older(journal.baseline(run.id) or ())
    return [s.sql for s in functions_of(run.plan, run.direction, table_no, generation, guarded=guarded)]
