"""The follow-up of an exchange, outside its lock: names of the partitions' indexes, NOT NULL of the references, statistics, validate the foreign keys, rebuild the spare
indexes, fill materialized views, record the structure.

`cutover` and `revert` do it after their commit, and `sync` when they were killed before. The exchange itself removes the
journal's `settled` row; the follow-up writes it.
Locks: SHARE UPDATE EXCLUSIVE on one table at a time; readers and writers go on.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from swap.catalog.load import find_whole_tables
from swap.core.blockers import reporting_waits
from swap.core.connection import Connection
from swap.core.errors import DifferenceError
from swap.core.names import TableName
from swap.ddl.foreign_keys import validated_keys, validation
from swap.ddl.indexes import index_attributes
from swap.ddl.likeness import Stage, partitions_unlike
from swap.ddl.phases import analyze
from swap.plan.direction import Direction
from swap.prepare.drift import foreign_drift, refuse_drift, store_baseline
from swap.state.migration import Migration
from swap.sync.index_names import follow_index_names
from swap.sync.indexes import ensure_index
from swap.sync.materialized_views import finish_materialized_views
from swap.sync.partition_keys import join_parts
from swap.sync.partitions import follow_partitions
from swap.sync.required_columns import require_columns

SETTLED = "settled"
UNFILLED = "materialized views to fill"
PENDING = (
    "SELECT w.number FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY w(schema, name, key, number)"
    " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    " JOIN pg_constraint k ON k.conrelid = c.oid AND k.conname = w.key WHERE NOT k.convalidated ORDER BY w.number"
)
ANALYZED = (
    "SELECT n.nspname::text, c.relname::text FROM unnest(%s::text[], %s::text[]) w(schema, name)"
    " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    " WHERE c.reltuples >= 0"
)


def analyzed(conn: Connection, tables: Sequence[TableName]) -> set[TableName]:
    """Those of the tables that have statistics: VACUUM or ANALYZE has seen them."""
    rows = conn.execute(ANALYZED, [[t.schema for t in tables], [t.name for t in tables]])
    return {TableName(schema, name) for schema, name in rows}


def finish_exchange(migration: Migration, *, wait: bool, fill: bool = True) -> None:
    """Finish what the last exchange left. Raises DifferenceError when a foreign key does not validate.

    Materialized views come first, because their readers get errors meanwhile. Without `fill` they are left for later: an
    exchange that goes back does not wait for the rows of a view that it is about to drop."""
    conn, journal, run = migration.conn, migration.journal, migration.run
    fill = fill and journal.step_done(run.id, UNFILLED)
    if journal.step_done(run.id, SETTLED) and not fill:
        return
    with migration.locks.settling(wait=wait) as mine:
        if not mine:
            return
        if not journal.step_done(run.id, SETTLED):
            follow_index_names(migration)
        if fill and journal.step_done(run.id, UNFILLED) and finish_materialized_views(migration):
            journal.forget_step(run.id, UNFILLED)
        if journal.step_done(run.id, SETTLED):
            return
        require_columns(migration)
        _analyze(migration)
        if follow_partitions(migration):
            run = migration.run
        _validate(migration)
        for fk in (f for f in validated_keys(run.plan) if f.parts):
            join_parts(migration, fk)
        if run.direction is Direction.FORWARD:
            _rebuild_spares(migration)
        with conn.transaction():
            refuse_drift(foreign_drift(migration), "the exchange", migration.direction)
            refuse_drift(_changed_partitions(migration), "the exchange", migration.direction)
            store_baseline(migration)
            journal.mark_step(run.id, SETTLED)


def _changed_partitions(migration: Migration) -> list[str]:
    """What the partitions of the source have been given, or have lost, since the exchange, which did not record them. On the live side:
    nobody else works on the other one."""
    divided = {t.name: t for t in migration.plan.swapped if t.partitioned}
    tables = find_whole_tables(migration.conn, divided) if divided else {}
    stage = Stage.RESTORED if migration.direction is Direction.FORWARD else Stage.LIVE
    found = [(name, partitions_unlike(migration.plan, divided[name], table, stage)) for name, table in tables.items()]
    return [f"{name}: {line}" for name, lines in found for line in lines]


def _analyze(migration: Migration) -> None:
    """The application may never have analyzed its tables. A revert needs the retired ones' statistics, and gets them here."""
    if migration.run.direction is Direction.REVERSE:
        retired = [t.retired for t in migration.plan.swapped]
        there = analyzed(migration.conn, retired)
        for table in (t for t in retired if t not in there):
            migration.conn.execute(analyze(table, "statistics").sql)


def _rebuild_spares(migration: Migration) -> None:
    conn = migration.conn
    for ref in migration.plan.references:
        for index in (*(i for i in (*ref.indexes, *ref.parts) if i.is_primary and not i.on_only), *ref.spares):
            name = f"CREATE INDEX CONCURRENTLY {index.build_name}"
            with reporting_waits(migration.database, conn, name, migration.report):
                ensure_index(conn, index, migration.plan.settings, concurrently=True)
            for attribute in index_attributes(index):
                conn.execute(attribute.sql)


def _validate(migration: Migration) -> None:
    conn, report = migration.conn, migration.report
    keys = [key for fk in validated_keys(migration.plan) for key in (fk.parts or ((fk.table, fk.name),))]
    columns = [t.schema for t, _ in keys], [t.name for t, _ in keys], [n for _, n in keys]
    for table, name in [keys[int(number) - 1] for (number,) in conn.execute(PENDING, columns)]:
        report.note(f"validating {name} on {table}")
        try:
            with reporting_waits(migration.database, conn, f"VALIDATE {name}", report):
                conn.execute(validation(table, name).sql)
        except psycopg.errors.ForeignKeyViolation as e:
            raise DifferenceError(
                f"{name} on {table} does not validate: {e.diag.message_detail or e.diag.message_primary}.",
                state="The exchange is committed and enforced for new rows; this constraint stays NOT VALID.",
                hint="Mend that row, and others like it (`swap verify` counts them), then run `swap sync --once`. A revert waits for it.",
            ) from None
