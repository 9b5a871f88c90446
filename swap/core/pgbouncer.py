"""PgBouncer's admin console: PAUSE with a time limit; RECONNECT and RESUME that are repeated for a while.

What PgBouncer 1.18 was seen to do, and what follows from it here:
- PAUSE answers when the last server connection is closed; in transaction pooling, when the last transaction has ended. Only its
  client can limit that wait, so this module waits for the answer itself, and not the driver.
- A RESUME from another session lifts a PAUSE that has not answered yet. That PAUSE never answers then: so each PAUSE has a session
  of its own, which is closed afterwards.
- A database stays paused when the session that paused it ends, however it ends. Another process has to RESUME it
  (`cutover.pause_watchdog`).
- PAUSE of a paused database succeeds: ask first whether it is paused already. SHOW DATABASES does not show a PAUSE of everything;
  PgBouncer refuses a PAUSE of one database then.

The console speaks the simple query protocol only: no parameters, no prepared statements, no transactions.

A PgBouncer of the configuration may lead elsewhere: a rehearsal on a clone, with the configuration of production, paused production
(seen). So before a PAUSE the run logs in through each pool and asks which server it has reached.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from swap.core.connection import Connection, Database, first_line
from swap.core.errors import NOTHING_CHANGED, RefusedError, SwapError, UnreachableError
from swap.core.rows import fetch
from swap.core.secrets import mask
from swap.core.session_settings import NETWORK
from swap.core.sql_text import load_sql

CONNECT_TIMEOUT_S = "5"
RETRY_S = 0.2
IDENTIFY_S = 5.0  # a login through a pool waits for a server connection that is free
LOGIN_HINT = (
    "The run's role {role} has to come in through PgBouncer: auth_file or auth_query, and .pgpass where its password is another."
)
ELSEWHERE_HINT = "Name the PgBouncer of this server in [pgbouncer], or remove [pgbouncer] to go on without a pause."
HINT = "Check [pgbouncer] admin_dsn, PgBouncer, and its admin_users; or remove [pgbouncer] to go on without a pause."


class UnansweredError(Exception):
    """A login through a pool found no free server connection in time: worth another attempt."""


class Pool(NamedTuple):
    """A row of SHOW DATABASES. `database`: its name on the server; `mode`: None where PgBouncer's default applies."""

    name: str
    database: str
    mode: str | None
    paused: bool


class ServerIdentity(NamedTuple):
    """Which server and database a session has reached. `started`: the postmaster's start, in seconds since 1970."""

    system: str
    database: str
    started: str
    standby: str

    def differs_from(self, run: ServerIdentity) -> str:
        """In what way this is not the server and database of the run; empty when it is."""
        if self.system != run.system:
            return f"another server (system identifier {self.system}, and the run's is {run.system})"
        if self.database != run.database:
            return f"another database ({self.database}, and the run's is {run.database})"
        if self.started != run.started:
            return f"a {'standby' if self.standby == 'true' else 'copy or the origin'} of the run's server (same system identifier, another postmaster)"
        return ""


def identify(conn: Connection) -> ServerIdentity:
    """The server of a session of its own."""
    return fetch(conn, ServerIdentity, load_sql("swap.core", "server_identity.sql"))[0]


class Console:
    """One PgBouncer. Opens a session when it needs one, and keeps it. Never shows the DSN, which may hold a password."""

    def __init__(self, dsn: str) -> None:
        given = _params(dsn)
        where = {} if "service" in given else {"dbname": "pgbouncer"}
        self._dsn = make_conninfo("", **(NETWORK | {"connect_timeout": CONNECT_TIMEOUT_S} | where | given))
        self._conn: psycopg.Connection[dict[str, Any]] | None = None
        params = conninfo_to_dict(self._dsn)
        host = params.get("host") or params.get("hostaddr") or "localhost"
        self.label = f"PgBouncer at {host}:{params.get('port') or 6432}"

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def pools(self) -> list[Pool]:
        """Its databases without the console itself. Raises UnreachableError; RefusedError where this is no admin console."""
        try:
            rows = self._ask(sql.SQL("SHOW DATABASES"))
        except psycopg.errors.UndefinedObject:
            hint = 'Its admin console is the database "pgbouncer": dbname=pgbouncer in [pgbouncer] admin_dsn.'
            raise RefusedError(
                f"{self.label}: [pgbouncer] admin_dsn leads to a server, not to the admin console.", hint=hint
            ) from None
        return [
            Pool(r["name"], r["database"] or r["name"], r["pool_mode"], str(r["paused"]) == "1")
            for r in rows
            if r["name"] != "pgbouncer"
        ]

    def default_mode(self) -> str:
        """The `pool_mode` of its configuration."""
        return next((r["value"] for r in self._ask(sql.SQL("SHOW CONFIG")) if r["key"] == "pool_mode"), "")

    def may_pause(self) -> bool:
        """Whether this user is one of admin_users. Asks by a RESUME of a database that does not exist."""
        absent = max((p.name for p in self.pools()), key=len, default="") + "_"
        try:
            self._ask(sql.SQL("RESUME {}").format(sql.Identifier(absent)))
        except psycopg.Error as e:
            return "admin access" not in str(e)
        return True

    def busy(self, name: str) -> list[int]:
        """The server's processes that clients of this database use: a PAUSE waits for them."""
        rows = self._ask(sql.SQL("SHOW SERVERS"))
        return sorted(int(r["remote_pid"]) for r in rows if r["database"] == name and r["state"] == "active")

    def pause(self, name: str, timeout_s: float) -> bool:
        """PAUSE. Returns False when the pause was not complete within `timeout_s`. Call `lift` then, and after an error
        (RefusedError, UnreachableError)."""
        with closing(self._connect()) as own:
            query = sql.SQL("PAUSE {}").format(sql.Identifier(name)).as_bytes(own)
            try:
                result = _answer(own.pgconn, query, timeout_s)
            except psycopg.OperationalError as e:
                raise self._lost(e) from None
            if result is None:
                return False
            if result.status != pq.ExecStatus.COMMAND_OK:
                message = f"{self.label} refused to PAUSE {name}: {_said(result)}."
                raise RefusedError(message, hint="`SHOW DATABASES` and `SHOW USERS` in its console tell more.")
            return True

    def leads_elsewhere(self, name: str, run: Connection) -> str:
        """Where clients of the pool `name` arrive, unless it is the run's own server and database: in words, empty when it is.

        Logs in through the pool as the run's role, with the run's password, or else that of .pgpass for this host and port.
        Raises RefusedError when it cannot be told, and UnansweredError when no server connection was free within IDENTIFY_S.
        """
        given = {o.keyword.decode(): o.val.decode() for o in run.pgconn.info if o.val}
        login = {"user": run.info.user, "password": given.get("password", "")}  # an empty one: libpq looks into .pgpass
        passfile = {"passfile": given["passfile"]} if "passfile" in given else {}
        where = _params(self._dsn) | passfile | login | {"dbname": name, "options": ""}
        what = f"{self.label}: it is not known where {name} leads to"
        try:
            with closing(psycopg.connect(make_conninfo("", **where), autocommit=True, application_name="swap")) as own:
                query = load_sql("swap.core", "server_identity.sql").as_bytes(own)
                result = _answer(own.pgconn, query, IDENTIFY_S)
        except psycopg.errors.ConnectionTimeout:
            result = None
        except psycopg.OperationalError as e:
            said = mask(first_line(e), [run.info.password])
            raise RefusedError(f"{what}: {said}", hint=LOGIN_HINT.format(role=run.info.user)) from None
        if result is None:
            raise UnansweredError(f"{what}: no server connection was free within {IDENTIFY_S:.0f} s")
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise RefusedError(f"{what}: {_said(result)}.", hint=LOGIN_HINT.format(role=run.info.user))
        values = [(result.get_value(0, i) or b"").decode() for i in range(len(ServerIdentity._fields))]
        return ServerIdentity(*values).differs_from(identify(run))

    def lift(self, names: Sequence[str], *, renew: bool, patience_s: float) -> None:
        """RESUME each database; with `renew` RECONNECT it first, which closes server connections that hold old plans. A database
        that is not paused stays as it is. Raises UnreachableError when PgBouncer was not reached within `patience_s`."""
        deadline = time.monotonic() + patience_s
        left = list(names)
        while left:
            try:
                self._lift(left[0], renew=renew)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)
            else:
                del left[0]

    def _lift(self, name: str, *, renew: bool) -> None:
        if renew:
            with suppress(psycopg.Error):
                self._ask(sql.SQL("RECONNECT {}").format(sql.Identifier(name)))
        try:
            self._ask(sql.SQL("RESUME {}").format(sql.Identifier(name)))
        except psycopg.Error as e:
            if any(p.paused for p in self.pools() if p.name == name):
                raise UnreachableError(f"{self.label} did not RESUME {name}: {first_line(e)}.", hint=by_hand(name)) from None

    def _ask(self, statement: sql.SQL | sql.Composed) -> list[dict[str, Any]]:
        """Run one statement. Repeats it in a new session when the old one is gone: it may have been idle for as long as a
        snapshot takes. So only a statement that may run twice can be run here."""
        kept = self._conn is not None and not self._conn.closed
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        try:
            cursor = self._conn.execute(statement)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError as e:
            if not self._conn.closed and e.sqlstate is not None:
                raise
            self._conn.close()
            if not kept:
                raise self._lost(e) from None
        return self._ask(statement)

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        try:
            return psycopg.connect(
                self._dsn, autocommit=True, prepare_threshold=None, cursor_factory=psycopg.ClientCursor, row_factory=dict_row,
                application_name="swap",
            )  # fmt: skip
        except psycopg.OperationalError as e:
            raise self._lost(e) from None

    def _lost(self, error: psycopg.Error) -> UnreachableError:
        said = Database(self._dsn, "").scrub(first_line(error))
        return UnreachableError(f"{self.label}: the admin console was not reached: {said}", state=NOTHING_CHANGED, hint=HINT)


def _answer(link: pq.abc.PGconn, query: bytes, timeout_s: float) -> pq.abc.PGresult | None:
    """Run one statement and wait for its answer no longer than `timeout_s`: None then. Raises OperationalError."""
    deadline = time.monotonic() + timeout_s
    link.send_query(query)
    while link.is_busy():
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([link.socket], [], [], left)[0]:
            return None
        link.consume_input()
    result = link.get_result()
    if result is None:
        raise psycopg.OperationalError("no answer")
    return result


def _said(result: pq.abc.PGresult) -> str:
    return (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"no answer").decode(errors="replace")


def paused_now(dsns: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """For each PgBouncer and database whether it is paused now. None: the console was not reached, or does not know it."""
    out: list[dict[str, Any]] = []
    for dsn in dsns:
        with closing(Console(dsn)) as console:
            try:
                known = {p.name: p.paused for p in console.pools()}
            except SwapError:
                known = {}
            out += [{"pooler": console.label, "database": n, "paused": known.get(n)} for n in names]
    return out


def by_hand(name: str) -> str:
    """What an operator types when this tool could not RESUME."""
    return f'By hand, in the admin console (psql "dbname=pgbouncer host=… port=6432"): RESUME "{name}";'


def _params(dsn: str) -> dict[str, Any]:
    """Raises ValueError. The configuration has been checked by this already."""
    try:
        return {k: v for k, v in conninfo_to_dict(dsn).items() if k != "application_name"}
    except psycopg.ProgrammingError:
        raise ValueError("is not a libpq URI or conninfo string") from None


def check_dsn(dsn: str) -> str:
    """Check a DSN of the configuration. Raises ValueError without the text, which may hold a password."""
    _params(dsn)
    return dsn
