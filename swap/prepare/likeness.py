"""The shadow as the server has it, compared with the plan (swap.ddl.likeness): at the end of `prepare`, and at the gate."""

from __future__ import annotations

from swap.catalog.load import load_tables
from swap.catalog.model import Table
from swap.catalog.query import find_relation
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.ddl.likeness import Stage, unlike
from swap.plan.model import Plan

SHOWN = 10


def shadow_as_made(conn: Connection, plan: Plan) -> Table | None:
    """The shadow; None where there is none, which others notice. Takes no lock."""
    found = find_relation(conn, plan.shadow)
    return load_tables(conn, [found.oid])[0] if found else None


def refuse_unlike(plan: Plan, shadow: Table | None, stage: Stage, state: str) -> None:
    """Raises RefusedError with what the shadow has other than its source. `state`: what the refused command leaves behind."""
    lines = unlike(plan, shadow, stage) if shadow is not None else []
    if lines:
        more = f" (and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
        raise RefusedError(
            f"{plan.shadow} is not as {plan.source} was at `prepare`: {'; '.join(lines[:SHOWN])}{more}.",
            state=state,
            hint="Does an event trigger add it (`swap doctor` lists them)? ALTER EVENT TRIGGER … DISABLE, then `swap abort --yes` and"
            " `swap prepare`; or take it away from the shadow and run the command again.",
        )
