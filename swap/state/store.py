"""Statements on the state schema. SQLAlchemy Core builds them; they run on the psycopg connection that moves the data.

So a row of progress commits in the same transaction as the work that it reports (invariant 4). Only `swap.state` knows the
tables: callers use the methods of `Journal` and of its parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb
from sqlalchemy.dialects import postgresql

from swap.core.connection import Connection
from swap.core.libpq_environment import secrets_of
from swap.core.names import TableName
from swap.core.printable import printable
from swap.core.secrets import mask
from swap.core.sql_text import verbatim
from swap.state.tables import tables

T = TypeVar("T")
DIALECT = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
# Characters as they are: jsonb takes \\u escapes only for what the database's encoding has, and SQL_ASCII has none beyond ASCII.
_DUMPS = partial(json.dumps, ensure_ascii=False)


def compile_sql(statement: sa.sql.ClauseElement) -> tuple[sql.SQL, dict[str, Any]]:
    """A Core statement as psycopg's SQL and parameters."""
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    params = getattr(compiled, "params", None) or {}
    wrapped = {k: Jsonb(v, _DUMPS) if isinstance(v, dict | list) else v for k, v in params.items()}
    return verbatim(str(compiled)), wrapped


class Store:
    """The state schema's tables on one connection. The caller owns the transaction. `source`: its owner is trusted with the
    schema, as the session's own role is (swap.state.trust)."""

    def __init__(self, conn: Connection, schema: str, source: TableName | None = None) -> None:
        self.conn = conn
        self.schema = schema
        self.source = source
        self.t = tables(schema)

    def execute(self, statement: sa.sql.ClauseElement) -> None:
        self.conn.execute(*compile_sql(statement))

    def rows(self, statement: sa.sql.ClauseElement, make: Callable[..., T]) -> list[T]:
        """`make(column=value, ...)` for each row: columns by name, never by position."""
        with self.conn.cursor(row_factory=kwargs_row(make)) as cursor:
            return cursor.execute(*compile_sql(statement)).fetchall()

    def first(self, statement: sa.sql.ClauseElement, make: Callable[..., T]) -> T | None:
        """The first row; None when there is none."""
        found = self.rows(statement, make)
        return found[0] if found else None

    def value(self, statement: sa.sql.ClauseElement) -> Any:
        """The one value of the first row; None when there is none."""
        row = self.conn.execute(*compile_sql(statement)).fetchone()
        return None if row is None else row[0]


def kept(conn: Connection, text: str) -> str:
    """`text` as the journal keeps it: control characters as their escapes, no password, and as ASCII where the database's encoding
    has no room for whatever a program prints."""
    text = printable(mask(text, secrets_of(conn)))
    roomy = conn.info.parameter_status("server_encoding") in ("UTF8", "SQL_ASCII")
    return text if roomy else text.encode("ascii", "backslashreplace").decode()


def age_s(finished_at: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """Seconds since a time, by the server's clock."""
    return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp() - finished_at), sa.Double)
