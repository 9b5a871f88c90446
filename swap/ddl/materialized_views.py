"""Filling a materialized view: whether it may happen under the exchange's lock, and the statements that do it.

A new materialized view binds the new table, so it cannot have the rows of the old view. Filling it inside the exchange
costs lock time for what its query reads (measured on a slow, shared machine: 4 to 20 ms per MB of table; 16 MB is about a
tenth of the default `max_lock_hold_ms`). So 16 MB is the bound. A larger view is created WITH NO DATA and filled right
after the commit. Readers notice that, so `doctor` refuses it until the operator accepts it.
Rejected: filling it beforehand over the shadow. Its text would have to bind columns under names that they get in the
exchange only, and a rename there and back takes ACCESS EXCLUSIVE on the references.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import View
from swap.core.sql_text import Query

REFRESH_BYTES = 16 * 1024 * 1024


def is_small(view: View) -> bool:
    """Whether the exchange fills the view: by the size of every table under it, and its own, when planned."""
    return view.reads_bytes <= REFRESH_BYTES


def refresh(view: View, *, concurrently: bool = False) -> list[Query]:
    """Fill the view, with the search_path and row_security that a session of this role has by default. Needs a transaction.

    Functions in the view's text may rely on the search_path of ordinary sessions, and the policies of its owner apply as in
    any session. Both settings hold for this statement alone.
    """
    return [
        sql.SQL("SET LOCAL search_path TO DEFAULT"),
        sql.SQL("SET LOCAL row_security TO DEFAULT"),
        sql.SQL("REFRESH MATERIALIZED VIEW {}{}").format(sql.SQL("CONCURRENTLY " if concurrently else ""), view.name.sql),
        sql.SQL("SET LOCAL search_path = pg_catalog, pg_temp"),
        sql.SQL("SET LOCAL row_security = off"),
    ]
