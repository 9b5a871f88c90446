"""The fence: a statement trigger that makes a transaction retry if its snapshot is older than the last exchange (H36)."""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.core.statement import Statement
from swap.ddl.own_triggers import idle_function, trigger, trigger_function
from swap.plan.model import Plan, SwappedTable

FENCE = "swap_fence"


def fence_functions(plan: Plan, generation: int | None) -> list[Statement]:
    """Reject snapshots from before exchange number `generation`. Before the first exchange (None) they do nothing."""
    return [fence_function(plan, t, generation) for t in plan.swapped]


def _name(plan: Plan, t: SwappedTable) -> TableName:
    return plan.state("fence" if t.is_source else f"fence_{t.number}")


def fence_function(plan: Plan, t: SwappedTable, generation: int | None) -> Statement:
    if generation is None:
        return idle_function(plan, t.name, _name(plan, t))
    return trigger_function(
        plan, t.name, _name(plan, t), load_sql("swap.ddl", "fence.sql"), pinned=False,
        fence=sql.Identifier(plan.state_schema, "fence"), tag=sql.Literal(plan.tag), generation=sql.Literal(generation),
    )  # fmt: skip


def fence_trigger(plan: Plan, t: SwappedTable, table: TableName | None = None) -> Statement:
    """The exchange creates it on every swapped table; before the first exchange there is none. `table`: a partition of it."""
    table = table or t.name
    events = sql.SQL("BEFORE INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT").format(table.sql)
    why = "transactions with a snapshot older than the exchange retry instead of missing rows"
    return trigger(table, FENCE, events, _name(plan, t), why)
