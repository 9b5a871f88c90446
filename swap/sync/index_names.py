"""The names of the indexes of a partitioned source's partitions, which follow an exchange.

One transaction, after the commit: SHARE UPDATE EXCLUSIVE on the indexes alone, so readers and writers go on. A command that was killed
before it leaves the names of the other side; the follow-up of the next one makes them right, before any exchange begins.
"""

from __future__ import annotations

from swap.core.blockers import reporting_waits
from swap.core.statement import script
from swap.ddl.partitioned import IndexName, index_names
from swap.state.migration import Migration

THERE = (
    "SELECT w.number FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY w(schema, name, index, number)"
    " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    " JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid AND x.relname = w.index ORDER BY w.number"
)


def follow_index_names(migration: Migration) -> None:
    """Nothing to do where the source is not partitioned, or the names are right."""
    names = [n for t in migration.plan.swapped if t.partitioned for n in index_names(t, migration.direction)]
    due = _due(migration, names) if names else []
    if due:
        conn = migration.conn
        with reporting_waits(migration.database, conn, "the names of indexes", migration.report), conn.transaction():
            conn.execute(script(n.statement for n in due))


def _due(migration: Migration, names: list[IndexName]) -> list[IndexName]:
    columns = [n.table.schema for n in names], [n.table.name for n in names], [n.before for n in names]
    return [names[int(number) - 1] for (number,) in migration.conn.execute(THERE, columns)]
