"""The shadows as the server has them, compared with the plan (swap.ddl.likeness): at the end of `prepare`, and at the gate."""

from __future__ import annotations

from swap.catalog.load import find_whole_tables
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.ddl.likeness import Stage, unlike
from swap.plan.model import Plan

SHOWN = 10


def refuse_unlike(conn: Connection, plan: Plan, stage: Stage, state: str) -> None:
    """Raises RefusedError with what a shadow has other than its source. A shadow that is missing is no matter of this. `state`: what
    the refused command leaves behind. Takes no lock."""
    tables = find_whole_tables(conn, (t.shadow for t in plan.swapped))
    for t in plan.swapped:
        lines = unlike(plan, t, tables[t.shadow], stage) if t.shadow in tables else []
        if lines:
            more = f" (and {len(lines) - SHOWN} more)" if len(lines) > SHOWN else ""
            raise RefusedError(
                f"{t.shadow} is not as {t.name} was at `prepare`: {'; '.join(lines[:SHOWN])}{more}.",
                state=state,
                hint="Take it away from the shadow and run the command again. Or, if an event trigger adds it: `swap doctor` names each"
                " (`event-triggers`), with the statement that disables it; run that, then `swap abort --yes` and `swap prepare`.",
            )
