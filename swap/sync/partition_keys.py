"""Foreign keys of partitioned tables after an exchange: validates the partitions' parts, then makes the key over them.

Before 18 a partitioned table takes no key NOT VALID, and a valid one would be checked against every row under the exchange's
lock. So the exchange gives each partition that holds rows its own part, NOT VALID: from its commit on the server checks every
row that is written, through whichever table. After VALIDATE the partitioned table gets the key, which takes over the valid
parts of the same text and reads no row. That holds ACCESS EXCLUSIVE on both tables for an instant (the parts' triggers on the
target go), with lock retries. The way back drops the key, and its parts with it.
"""

from __future__ import annotations

from swap.catalog.model import ForeignKey
from swap.core.lock_budget import LockBudget
from swap.core.lock_retries import with_locks
from swap.core.statement import AX
from swap.ddl.foreign_keys import whole_key
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.migration import Migration

BUDGET = LockBudget(200, 100)
DEFINITION = (
    "SELECT pg_get_constraintdef(k.oid), k.conparentid <> 0 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s"
)


def join_parts(migration: Migration, fk: ForeignKey) -> None:
    """Nothing to do where the key is there, or its parts are not (a key that this direction does not have)."""
    table, name = fk.parts[0]
    conn = migration.conn
    found = conn.execute(DEFINITION, [table.schema, table.name, name]).fetchone()
    if found is None or found[1]:
        return
    migration.report.note(f"the foreign key {fk.name} of {fk.table}")

    def body() -> None:
        # A partition that came since the exchange has no part of the key: it would be scanned here, under the lock.
        refuse_drift(foreign_drift(migration), "the exchange", migration.direction)
        conn.execute(whole_key(fk, found[0]).sql)
        store_baseline(migration)

    with_locks(conn, [fk.table, fk.target], AX, BUDGET, body)
