"""Builds an index, unless it is there; of one that an interrupted build left invalid, again."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from swap.core.application_settings import Settings, explained, for_texts, session_of_application
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.statement import Statement
from swap.ddl.indexes import create_index
from swap.plan.model import IndexPlan
from swap.sync.backfill import RESUMES

TRIES = 10  # of an index that maintenance of others gets in the way of
VALID = (
    "SELECT n.nspname::text, c.relname::text, i.indisvalid AND i.indisready FROM unnest(%s::text[], %s::text[]) w(schema, name)"
    " JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    " JOIN pg_index i ON i.indexrelid = c.oid"
)


def index_states(conn: Connection, names: Iterable[TableName]) -> dict[TableName, bool]:
    """True: valid; False: left behind invalid. What is missing is not in it."""
    wanted = list(names)
    rows = conn.execute(VALID, [[n.schema for n in wanted], [n.name for n in wanted]])
    return {TableName(schema, name): valid for schema, name, valid in rows}


def ensure_index(conn: Connection, index: IndexPlan, settings: Settings, *, concurrently: bool) -> None:
    """Build the index unless it is there; drop first what an interrupted build left invalid (H38).

    CREATE INDEX CONCURRENTLY waits for older snapshots while it holds its lock. A REINDEX, VACUUM FULL or CLUSTER that waits for that
    lock has such a snapshot, so the server ends one of the two (seen). If it is this one, the index is built after the other (H59).
    """
    for left in reversed(range(TRIES)):
        try:
            _build(conn, index, settings, concurrently=concurrently)
        except psycopg.errors.DeadlockDetected:
            if not left:
                raise
        else:
            return


def _build(conn: Connection, index: IndexPlan, settings: Settings, *, concurrently: bool) -> None:
    name = index.table.renamed(index.build_name)
    state = index_states(conn, [name]).get(name)
    if state:
        return
    statement = create_index(index, concurrently=concurrently)
    if state is False:
        assert statement.undo is not None
        conn.execute(statement.undo)
    doing = f"The index {index.build_name} could not be built"
    with explained(doing, RESUMES), session_of_application(conn, for_texts(settings)):
        _send(conn, statement)


def _send(conn: Connection, statement: Statement) -> None:
    """One message after another: CREATE INDEX CONCURRENTLY must be a message of its own. An error leaves no search_path behind."""
    try:
        for message in statement.messages:
            conn.execute(message)
    except psycopg.Error:
        if statement.path and not conn.closed:
            conn.execute(statement.messages[-1])
        raise
