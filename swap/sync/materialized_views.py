"""Finishes materialized views after an exchange, outside its lock (swap/ddl/materialized_views.py).

After a cutover it fills those that were too large for the exchange, and all get statistics. After a revert the old ones are
back with the rows they had at the cutover, so it refreshes them. Large ones CONCURRENTLY where that is possible, because a
plain REFRESH keeps their readers out meanwhile; where it is not, it tells the operator.
Locks: ACCESS EXCLUSIVE on the materialized view alone (EXCLUSIVE with CONCURRENTLY, behind which no reader queues), with lock
retries (H33), held while the rows are computed. After a kill, or without the lock, the next call does it again.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import View
from swap.core.errors import LockError
from swap.core.lock_budget import LockBudget
from swap.core.lock_retries import with_lock_retries
from swap.ddl.materialized_views import is_small, refresh
from swap.plan.direction import Direction
from swap.state.migration import Migration

BUDGET = LockBudget(200, 50)
STATE = (
    "SELECT c.relispopulated, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid"
    " AND i.indpred IS NULL AND i.indexprs IS NULL) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'm'"
)


def finish_materialized_views(migration: Migration) -> bool:
    """Fill those that were populated when the plan was made, in the order in which they rest on each other. False when a
    reader did not let one go: it keeps its rows of before, and the next `sync` tries again."""
    for view in migration.plan.catalog.views:
        if view.kind == "m" and view.populated:
            try:
                _finish(migration, view)
            except LockError as e:
                migration.report.note(f"{view.name} is not refreshed: {e.message} The next `swap sync` tries again.")
                return False
    return True


def _finish(migration: Migration, view: View) -> None:
    conn, report, back = migration.conn, migration.report, migration.direction is Direction.FORWARD
    row = conn.execute(STATE, [view.name.schema, view.name.name]).fetchone()
    if row is None:
        return
    populated, unique = row
    if back and populated and not is_small(view) and not unique:
        report.note(f"{view.name} has the rows it had at the cutover: REFRESH MATERIALIZED VIEW when its readers can wait")
        return
    if back or not populated:
        report.note(f"refreshing {view.name}")
        concurrently = bool(populated and unique)

        def body() -> None:
            for statement in refresh(view, concurrently=concurrently):
                conn.execute(statement)

        if concurrently:
            with conn.transaction():
                body()
        else:  # LOCK TABLE refuses a materialized view
            owner = sql.SQL("ALTER MATERIALIZED VIEW {} OWNER TO {}").format(view.name.sql, sql.Identifier(view.owner))
            with_lock_retries(conn, [owner], f"ACCESS EXCLUSIVE lock on {view.name}", BUDGET, body)
    conn.execute(sql.SQL("ANALYZE {}").format(view.name.sql))
