"""Sessions. Every one sets its own timeouts, `row_security = off` (filtering becomes an error, never a shorter
result), a pinned search_path, output formats that print every bit of a value, and an application_name.

Role or database settings (`ALTER ROLE … SET statement_timeout`, `default_transaction_read_only`) are
overridden here, because a run must not depend on who configured the role (H18).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from swap.core.errors import (
    DefectError,
    LockError,
    RefusedError,
    StoppedError,
    SwapError,
    UnreachableError,
    UsageError,
)
from swap.core.failpoint import cursor_factory

Connection = psycopg.Connection[tuple[Any, ...]]

SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "client_min_messages": "warning",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "check_function_bodies": "off",
    "default_table_access_method": "heap",
    "default_tablespace": "",
    "quote_all_identifiers": "off",
}

# A peer that is gone without a word is noticed within about a minute, where the system's own limits are hours: a lock may
# be held meanwhile, and an outcome not known. What the connection string says goes first.
NETWORK = {
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


@dataclass(frozen=True)
class Database:
    """Where to connect: a conninfo (never printed: it may hold a password) and the command's name."""

    conninfo: str
    command: str

    @classmethod
    def from_options(cls, dsn: str | None, command: str) -> Database:
        """Flag > SWAP_DSN > libpq's own variables, service file and .pgpass. Raises UsageError."""
        text = dsn if dsn is not None else os.environ.get("SWAP_DSN", "")
        try:
            params = conninfo_to_dict(text)
        except psycopg.ProgrammingError:
            raise UsageError(
                "The connection string is not a libpq URI or conninfo string.",
                hint="Write postgresql://user@host:port/dbname, or host=… dbname=… (--dsn or SWAP_DSN).",
            ) from None
        params.pop("application_name", None)
        return cls(make_conninfo("", **(NETWORK | params)), command)

    def connect(self, purpose: str = "") -> Connection:
        """A new autocommit session with every setting of this module. Raises UnreachableError."""
        name = f"swap {self.command}" + (f" ({purpose})" if purpose else "")
        try:
            conn = psycopg.connect(
                self.conninfo, autocommit=True, application_name=name, prepare_threshold=None, cursor_factory=cursor_factory()
            )
        except psycopg.OperationalError as e:
            raise UnreachableError(self.scrub(_first_line(e))) from None
        try:
            conn.execute("SET statement_timeout = 0")  # alone and first: the role's own may be shorter than the rest takes
            conn.execute(_SET_ALL)
            with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # refused where the platform cannot look
                conn.execute("SET client_connection_check_interval = '1s'")  # a killed swap's statement ends, and its locks
        except BaseException:
            conn.close()
            raise
        return conn

    @contextmanager
    def session(self, purpose: str = "") -> Iterator[Connection]:
        """`connect`, closed at the end whatever happens (which ends its transaction and its locks)."""
        conn = self.connect(purpose)
        try:
            yield conn
        finally:
            conn.close()

    def libpq_environment(self) -> dict[str, str]:
        """The connection as libpq variables, for a hook: the password travels in the environment, not in argv."""
        keys = {
            "host": "PGHOST",
            "hostaddr": "PGHOSTADDR",
            "port": "PGPORT",
            "dbname": "PGDATABASE",
            "user": "PGUSER",
            "password": "PGPASSWORD",
            "passfile": "PGPASSFILE",
            "service": "PGSERVICE",
            "sslmode": "PGSSLMODE",
            "sslrootcert": "PGSSLROOTCERT",
            "sslcert": "PGSSLCERT",
            "sslkey": "PGSSLKEY",
        }
        params = conninfo_to_dict(self.conninfo)
        return {env: str(params[key]) for key, env in keys.items() if params.get(key)}

    def scrub(self, text: str) -> str:
        """`text` without the password, should a library ever print it."""
        password = conninfo_to_dict(self.conninfo).get("password") or os.environ.get("PGPASSWORD")
        return text.replace(str(password), "********") if password else text


_SET_ALL = sql.SQL("SELECT {}").format(
    sql.SQL(", ").join(
        sql.SQL("pg_catalog.set_config({}, {}, false)").format(sql.Literal(k), sql.Literal(v)) for k, v in SETTINGS.items()
    )
)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def translate(error: psycopg.Error) -> SwapError:
    """The SwapError for a driver error that nothing nearer to it has handled."""
    code = error.sqlstate or ""
    message = error.diag.message_primary or _first_line(error)
    if code == "25P03":
        return LockError(
            "The tool stalled while it held its lock, and the server ended the transaction.",
            hint="The machine that runs swap, or the network, was too slow; run it again from nearer the server.",
        )
    if code in ("55P03", "40P01"):
        return LockError(f"A lock was not obtained: {message}.")
    if code == "42501":
        return RefusedError(
            f"The role lacks a privilege: {message}.",
            hint="docs/privileges.md lists the exact grants; `swap doctor` names the missing one.",
        )
    if code in ("53100", "53200", "53300", "53400", "54000"):
        return RefusedError(
            f"The server ran out of a resource: {message}.",
            state="What was committed before stays; the transaction in hand was rolled back.",
            hint="Free the resource and run the command again: it resumes.",
        )
    if code == "57014":
        return StoppedError(
            f"The server ended a statement: {message}.",
            state="The transaction in hand was rolled back; what was committed before stays.",
            hint="Somebody cancelled it (pg_cancel_backend), or it took too long. Run the command again: it resumes.",
        )
    if code[:2] in ("08", "57") or (not code and isinstance(error, psycopg.OperationalError)):
        return UnreachableError(
            f"The connection was lost: {message}.",
            state="The transaction in hand was rolled back; what was committed before stays.",
        )
    return DefectError(f"The server reported an error that was not foreseen ({code or 'no code'}): {message}.")
