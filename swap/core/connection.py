"""Sessions with the settings of swap.core.session_settings and an application_name; and what a driver's error means."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
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
from swap.core.names import quote
from swap.core.open_sessions import remember
from swap.core.secrets import mask
from swap.core.session_settings import IF_SET, NETWORK, set_all

Connection = psycopg.Connection[tuple[Any, ...]]
OLDEST_SERVER = 150000
LONGEST_TIMEOUT_S = 86_400
LONGEST_QUOTE = 300  # characters of an error of the driver


@dataclass(frozen=True)
class Database:
    """Where to connect: a conninfo and the command's name. The conninfo is never printed: it may hold a password."""

    conninfo: str
    command: str

    @classmethod
    def from_options(cls, dsn: str | None, command: str) -> Database:
        """The flag goes first, then SWAP_DSN, then libpq's own variables, service file and .pgpass. Raises UsageError."""
        text = dsn if dsn is not None else os.environ.get("SWAP_DSN", "")
        try:
            params = conninfo_to_dict(text)
        except psycopg.ProgrammingError:
            raise UsageError(
                "The connection string is not a libpq URI or conninfo string.",
                hint="Write postgresql://user@host:port/dbname, or host=… dbname=… (--dsn or SWAP_DSN).",
            ) from None
        _refuse_split_password(text, params)
        for ours in ("application_name", "client_encoding"):
            params.pop(ours, None)
        said = _said_elsewhere(str(params.get("service") or ""))
        unsaid = {k: v for k, v in NETWORK.items() if k not in said}
        return cls(make_conninfo("", **(unsaid | params)), command)

    def application_name(self, purpose: str = "") -> str:
        """What pg_stat_activity shows of a session."""
        return f"swap {self.command}" + (f" ({purpose})" if purpose else "")

    def connect(self, purpose: str = "") -> Connection:
        """A new autocommit session with every setting of this module. Raises UnreachableError and RefusedError."""
        try:
            conn = psycopg.connect(
                self.conninfo, autocommit=True, application_name=self.application_name(purpose), prepare_threshold=None,
                cursor_factory=cursor_factory(), client_encoding="UTF8",  # else the driver returns bytes in a SQL_ASCII database
            )  # fmt: skip
        except psycopg.OperationalError as e:
            raise UnreachableError(self._said(e)) from None
        except psycopg.ProgrammingError as e:  # the driver reads connect_timeout itself
            raise UsageError(f"The connection string or a PG* variable is wrong: {self._said(e)}.") from None
        except (ValueError, OverflowError) as e:  # a name or a number that the resolver of names does not take
            raise UnreachableError(f"No server can have the host or port that was given: {self._said(e)}.") from None
        remember(conn)
        try:
            _refuse_old(conn)
            with self._within_limit(conn):
                _set_up(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    @contextmanager
    def _within_limit(self, conn: Connection) -> Iterator[None]:
        """Shut the connection down when the block takes longer than connect_timeout: that setting of libpq ends with the
        authentication. Raises UnreachableError then."""
        limit_s = _seconds(conn.info.get_parameters().get("connect_timeout") or os.environ.get("PGCONNECT_TIMEOUT"))
        late = threading.Event()

        def end() -> None:
            late.set()
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as s:
                s.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(limit_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except psycopg.OperationalError:
            if not late.is_set():
                raise
            raise UnreachableError(
                f"The server took the connection, and then did not answer for {limit_s:.0f} s.",
                hint="Is it a PostgreSQL server, and not overloaded? A larger connect_timeout (--dsn, PGCONNECT_TIMEOUT) waits longer.",
            ) from None
        finally:
            timer.cancel()

    @contextmanager
    def session(self, purpose: str = "") -> Iterator[Connection]:
        """A session (`connect`) that is closed at the end of the block, which ends its transaction and releases its locks."""
        conn = self.connect(purpose)
        try:
            yield conn
        finally:
            conn.close()

    def _said(self, error: Exception) -> str:
        """An error's first line, without the password. It quotes what was given, which may be long."""
        text = self.scrub(first_line(error))  # first: half a password would not be found
        return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"

    def scrub(self, text: str) -> str:
        """`text` without the password in any of its forms, in case a library prints it."""
        password = conninfo_to_dict(self.conninfo).get("password") or ""
        return mask(text, [str(password), os.environ.get("PGPASSWORD", "")])


def _seconds(connect_timeout: str | None) -> float:
    """connect_timeout as the driver takes it; the default where it says to wait without end."""
    try:
        given = int(float(connect_timeout or 0))
    except (ValueError, OverflowError):
        given = 0
    return float(min(given, LONGEST_TIMEOUT_S) if given > 0 else int(NETWORK["connect_timeout"]))


def _refuse_old(conn: Connection) -> None:
    """Raises RefusedError for a server that is older than OLDEST_SERVER, before anything is asked that it may not know. The
    server sends its version with the connection."""
    if conn.info.server_version < OLDEST_SERVER:
        said = conn.info.parameter_status("server_version") or "without a version"
        raise RefusedError(
            f"The server is PostgreSQL {said}: swap works with PostgreSQL {OLDEST_SERVER // 10_000} and newer.",
            hint="Upgrade the server first; or name another one with --dsn, SWAP_DSN or the PG* variables.",
        )


def _set_up(conn: Connection) -> None:
    conn.execute("SET statement_timeout = 0")  # alone and first: the role's own may be shorter than the other settings take
    conn.execute(set_all(conn.info.server_version))
    _set_if_set(conn)
    with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # refused on a platform that cannot check
        # The server ends the statement and locks of a killed swap.
        conn.execute("SET client_connection_check_interval = '1s'")


def _set_if_set(conn: Connection) -> None:
    try:
        conn.execute(IF_SET)
    except psycopg.errors.InsufficientPrivilege:
        role = quote(conn.info.user)
        raise RefusedError(
            f"session_replication_role is set for {role}, which may not change it: no trigger would fire.",
            hint=f"ALTER ROLE {role} RESET session_replication_role; (or IN DATABASE, where pg_db_role_setting has it)"
            f" or GRANT SET ON PARAMETER session_replication_role TO {role};",
        ) from None


def _said_elsewhere(service: str) -> set[str]:
    """The keywords to which the environment or a service file gives a value. libpq tells only the values of the service that
    PGSERVICE names, so the service of the connection string is put there for a moment."""
    before = os.environ.get("PGSERVICE")
    try:
        if service:
            os.environ["PGSERVICE"] = service
        return {o.keyword.decode() for o in pq.Conninfo.get_defaults() if o.val}
    finally:
        if service:
            os.environ.pop("PGSERVICE")
            os.environ.update({"PGSERVICE": before} if before is not None else {})


def _refuse_split_password(text: str, params: Mapping[str, Any]) -> None:
    """Raises UsageError for a URI whose password holds an @ or a /. libpq ends the password there, and prints the rest as a host or
    port that it cannot find."""
    host, dbname = str(params.get("host") or ""), str(params.get("dbname") or "")
    if "://" in text and ("@" in host[1:] or ("@" in dbname and f"/{dbname}" in text)):
        raise UsageError(
            "The connection string has an @ or a / where neither can be.",
            hint="In a URI the user's name and password are percent-encoded: @ is %40, / is %2F, : is %3A, % is %25.",
        )


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def may_set(conn: Connection, parameter: str) -> bool:
    """Whether the session's role may set a parameter that needs a right of its own."""
    row = conn.execute("SELECT has_parameter_privilege(%s, 'SET')", [parameter]).fetchone()
    return bool(row and row[0])


def judged(error: psycopg.Error) -> bool:
    """Whether the error says something about the statement.

    False when the session is gone, the server ends, a lock was not free, the statement was cancelled, or a resource ran out. Raise
    such an error: the same statement may succeed later.
    """
    code = error.sqlstate or ""
    return bool(code) and not code.startswith(("08", "40", "53", "55P03", "57", "58"))


def translate(error: psycopg.Error) -> SwapError:
    """The SwapError for a driver's error that no caller has handled."""
    code = error.sqlstate or ""
    message = error.diag.message_primary or first_line(error)
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
    if code == "25006":
        return RefusedError(
            f"The server takes no writes: {message}.",
            hint="Is it a standby? Name the primary, or several hosts with target_session_attrs=read-write.",
        )
    if code in ("53100", "53200", "53300", "53400", "54000"):
        return RefusedError(
            f"The server ran out of a resource: {message}.",
            state="What was committed before stays; the transaction in hand was rolled back.",
            hint=f"{error.diag.message_hint or 'Free the resource.'} Then run the command again: it resumes.",
        )
    if code == "57014":
        return StoppedError(
            f"The server ended a statement: {message}.",
            state="The transaction in hand was rolled back; what was committed before stays.",
            hint="It was cancelled (pg_cancel_backend), or it took too long. Run the command again: it resumes.",
        )
    if code[:2] in ("08", "57") or (not code and isinstance(error, psycopg.OperationalError)):
        return UnreachableError(
            f"The connection was lost: {message}.",
            state="The transaction in hand was rolled back, or committed as a whole if it was lost at its COMMIT; every step goes"
            " on from what is there.",
        )
    if code == "P0001" or "PL/pgSQL function" in (error.diag.context or ""):
        return RefusedError(
            f"A function or trigger of this database refused a statement: {message}.",
            state="The transaction in hand was rolled back; what was committed before stays.",
            hint=f"It said so in: {' '.join((error.diag.context or 'no function that is named').split())}. If it is that of an event trigger,"
            " have its owner disable that.",
        )
    return DefectError(f"The server reported an error that was not foreseen ({code or 'no code'}): {message}.")
