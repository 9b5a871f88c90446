"""The rows of the table `lock`, each a lock and the session that holds it.

A row counts for as long as its session lives. So a session that ends, however it ends, holds nothing any more; and a row that came
with a backup, or from a primary to its standby, names no session that lives there. Only the owner of the state schema can read and
write the table.

The rows need not survive a crash, which ends every session. So no write here waits for the disk, or for a standby.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psycopg
from psycopg import pq, sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from swap.core.blockers import sessions
from swap.core.connection import Connection
from swap.core.errors import LockError
from swap.core.lock_retries import local_timeout
from swap.core.names import TableName
from swap.core.rows import fetch, fetch_values
from swap.core.sql_text import Query, load_sql, verbatim
from swap.state.rights import bare_state
from swap.state.tables import tables

TABLE_WAIT_MS = 5_000  # others hold a table of the state schema for milliseconds
DDL = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
GONE = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)


class Holder(NamedTuple):
    """The session that holds a lock. `address`: its machine as text for a message, empty where the server hides it."""

    pid: int
    application: str
    address: str

    def __str__(self) -> str:
        return f"{self.application}, pid {self.pid}{self.address}"


def create_lock_table(schema: str) -> list[Query]:
    """The table, where an older version of swap made the state schema, or another session dropped it."""
    create = CreateTable(tables(schema)["lock"], if_not_exists=True).compile(dialect=DDL)
    return [verbatim(str(create).strip()), bare_state(schema)]


@contextmanager
def alone_with(conn: Connection, table: TableName) -> Iterator[None]:
    """A transaction in which no other session writes to `table`, a table of the state schema. No lock is waited for longer than
    TABLE_WAIT_MS in it. Raises LockError, with the sessions that held the table."""
    mine = False
    try:
        with conn.transaction():
            conn.execute(
                sql.SQL("{}; SET LOCAL synchronous_commit = off; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(
                    local_timeout("lock_timeout", TABLE_WAIT_MS), table.sql
                )
            )
            mine = True
            yield
    except psycopg.errors.LockNotAvailable:
        if mine:
            raise
        pids = fetch_values(conn, load_sql("swap.state", "lock_users.sql"), {"table": str(table)})
        who = "; ".join(map(str, sessions(conn, pids))) or "a session that has ended since"
        raise LockError(
            f"{table} was not free for {TABLE_WAIT_MS / 1000:.0f} s: {who}.",
            hint="Only the owner of the state schema and superusers can lock it. End that transaction, and run the command again.",
        ) from None


def find_holder(conn: Connection, schema: str, tag: int | None, *names: str) -> Holder | None:
    """Another session that holds one of these locks. `tag` None: of any source."""
    query = load_sql("swap.state", "lock_holder.sql").format(
        lock=sql.Identifier(schema, "lock"), names=sql.Literal(list(names)), tag=sql.Literal(tag)
    )
    found = fetch(conn, Holder, query)
    return found[0] if found else None


def take(conn: Connection, schema: str, tag: int, name: str) -> bool:
    """Note that this session holds the lock. False when another session does. Not inside a transaction."""
    assert conn.info.transaction_status == pq.TransactionStatus.IDLE
    try:
        return _take(conn, schema, tag, name)
    except psycopg.errors.UndefinedTable:
        with conn.transaction():  # dropped by another session: `abort` and `finalize` lead on from there
            for statement in create_lock_table(schema):
                conn.execute(statement)
        return _take(conn, schema, tag, name)


def _take(conn: Connection, schema: str, tag: int, name: str) -> bool:
    if find_holder(conn, schema, tag, name):  # first without a write: this is asked again and again
        return False
    with alone_with(conn, TableName(schema, "lock")):
        if find_holder(conn, schema, tag, name):
            return False
        lock = sql.Identifier(schema, "lock")
        conn.execute(load_sql("swap.state", "lock_take.sql").format(lock=lock, name=sql.Literal(name), tag=sql.Literal(tag)))
    return True


def release(conn: Connection, schema: str, tag: int, names: Sequence[str]) -> None:
    """Nothing happens where the session, or the table, is gone."""
    if conn.closed or conn.broken or conn.info.transaction_status != pq.TransactionStatus.IDLE:
        return
    with suppress(*GONE), conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = off")
        conn.execute(
            sql.SQL("DELETE FROM {} WHERE pid = pg_backend_pid() AND tag = {} AND name = ANY ({})").format(
                sql.Identifier(schema, "lock"), sql.Literal(tag), sql.Literal(list(names))
            )
        )
