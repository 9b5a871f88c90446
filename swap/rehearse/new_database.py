"""A database that a rehearsal makes on a server, and drops: at the end of the block, or by the watchdog when this process is killed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.libpq_environment import conninfo_of
from swap.core.names import cut
from swap.core.process import uninterrupted
from swap.core.sql_text import Query
from swap.rehearse.watchdog import Watchdog

LONGEST_NAME = 40  # of the original's name in the clone's
DROP_TRIES = 5


def clone_name(original: str) -> str:
    """The name of a clone of that database. No other rehearsal has the same."""
    return f"{cut(original, LONGEST_NAME)}_rehearsal_{secrets.token_hex(4)}"


@contextmanager
def new_database(maker: Database, name: str, create: Query, *, keep: bool) -> Iterator[Connection]:
    """Run `create`, which makes the database `name`. Yields the maker's session. Raises psycopg's errors."""
    with maker.session("clone") as conn:
        if keep:
            conn.execute(create)
            yield conn
            return
        with Watchdog() as watchdog, watchdog.watching(database=name, conninfo=conninfo_of(conn)):
            try:
                conn.execute(create)
                yield conn
            finally:
                with uninterrupted():
                    _drop(maker, name)


def _drop(maker: Database, name: str) -> None:
    with maker.session("remove the clone") as conn:
        drop_database(conn, name)


def drop_database(conn: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Drop it, whatever still uses it. A session that streams from one of its slots is ended first: FORCE does not end it."""
    stop = (
        "SELECT pg_terminate_backend(active_pid, 1000) FROM pg_replication_slots WHERE database = %s AND active_pid IS NOT NULL"
    )
    for last in (*(False,) * (DROP_TRIES - 1), True):
        with suppress(psycopg.errors.InsufficientPrivilege):
            conn.execute(stop, [name])
        try:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.errors.ObjectInUse:
            if last:
                raise
        else:
            return
