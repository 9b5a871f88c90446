"""What follows an exchange outside its lock: validate the foreign keys, rebuild the spare indexes, fill
materialized views, note the structure.

Done by `cutover` and `revert` after their commit, and by `sync` when they were killed before: the journal's
`settled` row is removed by the exchange itself and written here.
Locks: SHARE UPDATE EXCLUSIVE on one table at a time; readers and writers go on.
"""

from __future__ import annotations

import psycopg

from swap.core.advisory_locks import settling
from swap.core.blockers import reporting_waits
from swap.core.connection import Connection, Database
from swap.core.errors import DifferenceError
from swap.core.report import Reporter
from swap.ddl.foreign_keys import validated_keys, validation
from swap.ddl.indexes import index_attributes
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.journal import Journal, Run
from swap.sync.build import ensure_index
from swap.sync.materialized_views import settle_matviews
from swap.sync.partition_keys import join_parts

SETTLED = "settled"
UNFILLED = "materialized views to fill"
PENDING = (
    "SELECT 1 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s AND NOT k.convalidated"
)


def settle(database: Database, journal: Journal, run: Run, report: Reporter, *, wait: bool, fill: bool = True) -> None:
    """Finish what the last exchange left. Raises DifferenceError when a foreign key does not validate.

    Materialized views come first, for their readers get errors meanwhile; without `fill` they are left for later: an
    exchange that goes back does not wait for the rows of what it is about to drop."""
    conn = journal.conn
    fill = fill and journal.step_done(run.id, UNFILLED)
    if journal.step_done(run.id, SETTLED) and not fill:
        return
    with settling(conn, run.plan.tag, wait=wait) as mine:
        if not mine:
            return
        if fill and journal.step_done(run.id, UNFILLED) and settle_matviews(conn, run, report):
            journal.forget_step(run.id, UNFILLED)
        if journal.step_done(run.id, SETTLED):
            return
        _validate(database, conn, run.plan, report)
        for fk in (f for f in validated_keys(run.plan) if f.parts):
            join_parts(conn, journal, run, fk, report)
        if run.direction is Direction.FORWARD:
            for ref in run.plan.references:
                for index in (*(i for i in (*ref.indexes, *ref.parts) if i.is_primary and not i.on_only), *ref.spares):
                    with reporting_waits(database, conn, f"CREATE INDEX CONCURRENTLY {index.build_name}", report):
                        ensure_index(conn, index, concurrently=True)
                    for attribute in index_attributes(index):
                        conn.execute(attribute.sql)
        with conn.transaction():
            refuse_drift(foreign_drift(conn, journal, run), "the exchange")
            store_baseline(conn, journal, run)
            journal.mark_step(run.id, SETTLED)


def _validate(database: Database, conn: Connection, plan: Plan, report: Reporter) -> None:
    for table, name in ((t, n) for fk in validated_keys(plan) for t, n in (fk.parts or ((fk.table, fk.name),))):
        if not conn.execute(PENDING, [table.schema, table.name, name]).fetchone():
            continue
        report.note(f"validating {name} on {table}")
        try:
            with reporting_waits(database, conn, f"VALIDATE {name}", report):
                conn.execute(validation(table, name).sql)
        except psycopg.errors.ForeignKeyViolation as e:
            raise DifferenceError(
                f"{name} on {table} does not validate: {e.diag.message_detail or e.diag.message_primary}.",
                state="The exchange is committed and enforced for new rows; this constraint stays NOT VALID.",
                hint="Mend that row, and others like it (`swap verify` counts them), then run `swap sync --once`. A revert waits for it.",
            ) from None
