"""Run a part of the trial that may fail: under a savepoint, with the server's own words for the failure."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from swap.core.connection import Connection, judged


def error_in_savepoint(conn: Connection, work: Callable[[], object]) -> psycopg.Error | None:
    """Do `work` under a savepoint. Returns None, or the server's error.

    Raises errors that say nothing about the work: a lock that was not free, a statement that took too long, a lost session.
    """
    try:
        with conn.transaction():
            work()
    except psycopg.Error as e:
        if not judged(e):
            raise
        return e
    return None
