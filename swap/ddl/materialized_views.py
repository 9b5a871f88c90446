"""Filling a materialized view: when it may happen under the exchange's lock, and how it is done.

A new materialized view binds the new table, so its rows cannot be those of the old one. Filling it inside the exchange
costs lock time for what its query reads (measured on a slow, shared machine: 4 to 20 ms per MB of table; 16 MB is about
a tenth of the default `max_lock_hold_ms`). So that is the bound; what is larger is created WITH NO DATA and filled right
after the commit, which readers notice: `doctor` refuses it until the operator takes it on.
Rejected: filling it beforehand over the shadow. Its text would have to bind columns under names that they get in the
exchange only, which takes ACCESS EXCLUSIVE on the references for a rename there and back.
"""

from __future__ import annotations

from psycopg import sql

from swap.catalog.model import View
from swap.core.sql_text import Query

REFRESH_BYTES = 16 * 1024 * 1024


def is_small(view: View) -> bool:
    """Whether it is filled inside the exchange: by the size of every table under it, and its own, when planned."""
    return view.reads_bytes <= REFRESH_BYTES


def refresh(view: View, *, concurrently: bool = False) -> list[Query]:
    """In a transaction. Functions in its text may rely on the search_path of ordinary sessions, and its owner's policies
    are not this tool's business: both settings are as a session of this role has them, for this statement alone."""
    return [
        sql.SQL("SET LOCAL search_path TO DEFAULT"),
        sql.SQL("SET LOCAL row_security TO DEFAULT"),
        sql.SQL("REFRESH MATERIALIZED VIEW {}{}").format(sql.SQL("CONCURRENTLY " if concurrently else ""), view.name.sql),
        sql.SQL("SET LOCAL search_path = pg_catalog, pg_temp"),
        sql.SQL("SET LOCAL row_security = off"),
    ]
