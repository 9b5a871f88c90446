"""The fence: a statement trigger that makes a transaction retry if its snapshot is older than the last exchange (H36)."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.core.statement import Statement
from swap.ddl.own_triggers import trigger, trigger_function
from swap.plan.model import Plan

FENCE = "swap_fence"


def fence_function(plan: Plan, generation: int | None) -> Statement:
    """Reject snapshots from before exchange number `generation`.

    Before the first exchange (None) the function does nothing, and the trigger costs next to nothing.
    """
    if generation is None:
        return trigger_function(plan, plan.source, plan.state("fence"), sql.SQL("BEGIN RETURN NULL; END"), pinned=False)
    return trigger_function(
        plan, plan.source, plan.state("fence"), load_sql("swap.ddl", "fence.sql"), pinned=False,
        fence=sql.Identifier(plan.state_schema, "fence"), tag=sql.Literal(plan.tag), generation=sql.Literal(generation),
    )  # fmt: skip


def fence_trigger(plan: Plan, table: TableName) -> Statement:
    events = sql.SQL("BEFORE INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT").format(table.sql)
    why = "transactions with a snapshot older than the exchange retry instead of missing rows"
    return trigger(table, FENCE, events, plan.state("fence"), why)
