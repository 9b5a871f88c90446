"""A live connection as libpq's environment variables, for a program that has to reach the same server in the same way (a hook).

The values are those that the connection uses, wherever they came from: the connection string, a service file, the environment. The
list of keywords and variables is libpq's own (PQconninfo, PQconndefaults), so an option that a newer libpq adds is there too.

Seen before: of `host=standby,primary target_session_attrs=read-write` the hook got the list without the attribute, and made its
snapshot on the standby. So the host, its address and the port are those of the server at the other end, and every option goes along.

A keyword without a variable (`sslpassword`, the keepalives) goes into a service file. libpq reads a service file before the
environment: so no service of the run is passed on, because its `host` would take precedence over PGHOST.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import pq
from psycopg.conninfo import make_conninfo

from swap.core.connection import Connection
from swap.core.session_settings import NETWORK

# The sessions' own: a hook names itself, and chooses its encoding.
OWN = frozenset({"application_name", "fallback_application_name", "client_encoding", "replication"})
SERVICE = frozenset({"service", "servicefile"})
SERVICE_NAME = "swap"


def connection_variables() -> frozenset[str]:
    """The variables that decide where and how libpq connects. A hook inherits none of them: it gets the run's."""
    named = {o.envvar.decode() for o in pq.Conninfo.get_defaults() if o.envvar and o.keyword.decode() not in OWN}
    return frozenset(named | {"PGSERVICE", "PGSERVICEFILE", "PGREQUIRESSL"})


def secret_keywords() -> frozenset[str]:
    """The keywords whose values libpq itself would not show, and the keys of SCRAM."""
    options = pq.Conninfo.get_defaults()
    return frozenset(o.keyword.decode() for o in options if o.dispchar == b"*" or o.keyword.startswith(b"scram_"))


@contextmanager
def libpq_environment(conn: Connection) -> Iterator[dict[str, str]]:
    """The variables. A service file, where one is needed, is there until the end of the block; only its owner can read it."""
    variables: dict[str, str] = {}
    rest: dict[str, str] = {}
    used = _in_use(conn)
    for option in conn.pgconn.info:
        keyword = option.keyword.decode()
        value = used.get(keyword, "")
        if not value or keyword in OWN | SERVICE:
            continue
        if option.envvar:
            variables[option.envvar.decode()] = value
        elif value != NETWORK.get(keyword):  # swap's own patience is no part of the run's connection
            rest[keyword] = value
    if not rest:
        yield variables
        return
    import tempfile  # noqa: PLC0415 - takes long to load, and `status` loads this module

    with tempfile.TemporaryDirectory(prefix="swap-hook-") as directory:
        path = Path(directory) / "service"
        path.touch(mode=0o600)
        path.write_text(f"[{SERVICE_NAME}]\n" + "".join(f"{k}={v}\n" for k, v in rest.items()), encoding="utf-8")
        yield variables | {"PGSERVICE": SERVICE_NAME, "PGSERVICEFILE": str(path)}


def where_variables(conn: Connection) -> dict[str, str]:
    """Where the connection leads, for a program that need not log in as `swap` does: without a password and its like."""
    used = _in_use(conn)
    named = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER"}
    return {variable: used[keyword] for keyword, variable in named.items() if used.get(keyword)}


def conninfo_of(conn: Connection, **instead: str) -> str:
    """A conninfo that leads where the connection leads, whatever the environment says, with the values of `instead`. It holds the
    password: do not print it."""
    names = {o.keyword.decode() for o in conn.pgconn.info} - OWN - SERVICE
    return make_conninfo("", **({k: v for k, v in _in_use(conn).items() if k in names and v} | instead))


def secrets_of(conn: Connection) -> list[str]:
    """The values of the connection that must not be shown: the password, wherever it came from, and its like."""
    used, keywords = _in_use(conn), secret_keywords()
    return [v for v in ({conn.info.password} | {v for k, v in used.items() if k in keywords}) if v]


def _in_use(conn: Connection) -> dict[str, str]:
    values = {o.keyword.decode(): o.val.decode() for o in conn.pgconn.info if o.val is not None}
    info = conn.info
    values |= {"host": info.host, "port": str(info.port), "hostaddr": info.hostaddr, "dbname": info.dbname, "user": info.user}
    return values
