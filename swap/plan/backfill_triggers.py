"""User triggers and the backfill's UPDATEs of the application's tables (H14).

A `set_updated_at`, a counter or an audit trail must not see rows that only got their uuid. So the backfill runs under
session_replication_role = replica where the role may set it. Then triggers in the usual state (ORIGIN) stay quiet, and so
do the foreign keys' own. The guards fire, because they are ALWAYS. User triggers that are ALWAYS or REPLICA fire as well.
Without that right ORIGIN and ALWAYS triggers fire. The operator has to accept by name every trigger that would fire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swap.catalog.model import Catalog, Trigger
from swap.core.names import TableName, quote
from swap.plan.model import COLUMN, Plan, RefColumns

SUPPRESS = "SET LOCAL session_replication_role = replica"
STATES = {"O": "enabled", "A": "enabled ALWAYS", "R": "enabled REPLICA"}
FIRING = {True: ("A", "R"), False: ("O", "A")}


@dataclass(frozen=True)
class Touched:
    """A user trigger on the backfill's UPDATE. `fires`: the session's replication role does not keep it quiet."""

    table: TableName
    trigger: Trigger
    fires: bool

    @property
    def state(self) -> str:
        return STATES[self.trigger.enabled]


def filled_columns(catalog: Catalog, identity: str | None, references: Iterable[RefColumns]) -> list[tuple[int, str]]:
    """(table OID, column) of every column that a backfill may have to fill in place. `identity`: None where there is none."""
    columns = [(catalog.source.oid, identity)] if identity else []
    outside = [r for r in references if r.strategy == COLUMN]
    columns += [(r.oid, name) for r in outside for name in (r.uuid_column, r.compat_column) if name]
    by_oid = {t.oid: t for t in catalog.tables}
    existing = ((oid, name, by_oid[oid].column(name)) for oid, name in columns)
    return [(oid, name) for oid, name, column in existing if column is None or not column.not_null]


def touched(catalog: Catalog, columns: Iterable[tuple[int, str]], state_schema: str, *, suppressed: bool) -> list[Touched]:
    """The user triggers, DISABLED ones apart, on an UPDATE of the columns. Guards of other runs do not count."""
    filled = set(columns)
    return [
        Touched(table.name, t, t.enabled in FIRING[suppressed])
        for table in catalog.tables
        for t in table.triggers
        if t.on_update and t.enabled != "D" and not t.function.startswith(f"{quote(state_schema)}.")
        if any(oid == table.oid and (not t.update_of or name in t.update_of) for oid, name in filled)
    ]


def touched_by(plan: Plan, *, suppressed: bool) -> list[Touched]:
    """The user triggers on the backfill of a plan."""
    columns = filled_columns(plan.catalog, None if plan.derived else plan.identity, (r.columns for r in plan.references))
    return touched(plan.catalog, columns, plan.state_schema, suppressed=suppressed)
