"""The settings under which the application's own code runs: CHECKs, generated columns, index expressions, and the functions that
they call (I12, H54).

Sessions of swap have settings of their own (swap.core.session_settings). A function that says `g($1)` for `public.g($1)`, or that
prints a time, gives an error or another value under them. So a statement that makes the server run such code sets the application's
settings for its own length. All that is swap's in such a statement names its operators with their schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import pq, sql

from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.session_settings import NEWER_SETTINGS, SETTINGS
from swap.core.sql_text import Query

# Those that the server's expressions can depend on, whoever sets them. Others count where a role or the database sets them.
VALUES = (
    "search_path", "timezone", "datestyle", "intervalstyle", "extra_float_digits", "bytea_output", "array_nulls",
    "transform_null_equals", "standard_conforming_strings", "xmloption", "xmlbinary", "lc_monetary", "lc_numeric", "lc_time",
    "timezone_abbreviations", "default_text_search_config",
)  # fmt: skip
# How the server reads a text. A text that it printed for swap was printed for swap's own settings of these.
READ_BY = ("standard_conforming_strings", "backslash_quote", "array_nulls", "transform_null_equals", "xmloption")
# Those that are swap's to choose: they do not change a value, and a run must not depend on them.
KEPT = frozenset(
    {
        *(n.lower() for n in (*SETTINGS, *NEWER_SETTINGS)), "synchronous_commit", "session_replication_role", "client_encoding",
        "role", "session_authorization", "application_name", "client_connection_check_interval", "commit_delay",
    }
) - set(VALUES)  # fmt: skip

Settings = tuple[tuple[str, str], ...]  # names and values


def adopt(settings: Settings, *, local: bool = True) -> sql.Composed:
    """A statement that gives the session the application's settings: until the end of the transaction, or (`local` False) for good."""
    return _set(settings, local=local)


def restore(settings: Settings, *, local: bool = True) -> sql.Composed:
    """The statement that takes `adopt` back, as far as swap's own statements depend on it."""
    ours = {n.lower(): (n, v) for n, v in SETTINGS.items()}
    return _set(tuple(ours[n.lower()] for n, _ in settings if n.lower() in ours), local=local)


def _set(settings: Settings, *, local: bool) -> sql.Composed:
    calls = [
        sql.SQL("pg_catalog.set_config({}, {}, {})").format(sql.Literal(n), sql.Literal(v), sql.Literal(local))
        for n, v in settings
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls))


def execute_as_application(conn: Connection, statement: Query, settings: Settings) -> int:
    """Run a statement of swap's that runs the application's code, in the caller's transaction. Returns how many rows it wrote.

    One round trip: it is done under the cutover's lock too."""
    if not settings:
        return conn.execute(statement).rowcount
    cursor = conn.execute(sql.SQL("; ").join([adopt(settings), statement, restore(settings)]))
    cursor.nextset()
    return cursor.rowcount


def for_texts(settings: Settings) -> Settings:
    """The settings for a statement that is a text of the server's: it has a path of its own (Statement.path), and is read as it was
    printed. Seen: with `standard_conforming_strings = off` an index over `path <> 'a\\b'` became one over `path <> 'a'`."""
    return tuple((n, v) for n, v in settings if n.lower() not in ("search_path", *READ_BY))


@contextmanager
def session_of_application(conn: Connection, settings: Settings) -> Iterator[None]:
    """The session has the application's settings during the block, outside a transaction: for VACUUM and CREATE INDEX CONCURRENTLY."""
    if not settings:
        yield
        return
    conn.execute(adopt(settings, local=False))
    try:
        yield
    finally:
        if not conn.broken and conn.info.transaction_status is not pq.TransactionStatus.INERROR:
            conn.execute(restore(settings, local=False))


# What an expression of the application's can raise: a value that it does not take (22), a constraint (23), a name that it does not
# find and the like (42), an error of its own (P0, 38, 39), a cast that is not there (0A).
ITS_OWN = ("22", "23", "42", "P0", "38", "39", "0A")
OURS = ("42501", "23505", "23P01", "23503")  # a missing right of swap's, and keys, which say something about the rows


@contextmanager
def explained(doing: str, state: str) -> Iterator[None]:
    """Raises RefusedError for an error of the application's own code, with the server's words and the name of what raised it."""
    try:
        yield
    except psycopg.Error as e:
        code = e.sqlstate or ""
        if not code.startswith(ITS_OWN) or code in OURS:
            raise
        named: Iterable[tuple[str, str | None]] = (
            ("constraint", e.diag.constraint_name), ("column", e.diag.column_name), ("data type", e.diag.datatype_name),
        )  # fmt: skip
        about = "".join(f"; {word} {name}" for word, name in named if name)
        where = (e.diag.context or "").strip().splitlines()
        about += f"; {where[0]}" if where else ""
        raise RefusedError(
            f"{doing}: {e.diag.message_primary or e}{about}.",
            state=state,
            hint="It is the application's own code that fails (a CHECK, a generated column, an index expression, a function in one)."
            " `swap doctor` checks it before a run. Mend it, or the row, or what it runs under ([application] settings);"
            " then run the command again: it resumes.",
        ) from None
