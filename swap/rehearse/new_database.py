"""A database that a rehearsal makes on a server, and drops: at the end of the block, or by the watchdog when this process is killed."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.libpq_environment import conninfo_of
from swap.core.names import cut
from swap.core.process import uninterrupted
from swap.core.sql_text import Query
from swap.rehearse.environment import clean_environment

PACKAGES = Path(__file__).resolve().parents[2]
LONGEST_NAME = 40  # of the original's name in the clone's
DROP_TRIES = 5


def clone_name(original: str) -> str:
    """The name of a clone of that database. No other rehearsal has the same."""
    return f"{cut(original, LONGEST_NAME)}_rehearsal_{secrets.token_hex(4)}"


@contextmanager
def new_database(maker: Database, name: str, create: Query, *, keep: bool) -> Iterator[Connection]:
    """Run `create`, which makes the database `name`. Yields the maker's session. Raises psycopg's errors."""
    with maker.session("clone") as conn:
        watchdog = None if keep else _watch(conninfo_of(conn), name)
        try:
            conn.execute(create)
            yield conn
        finally:
            with uninterrupted():
                if not keep:
                    _drop(maker, name)
                if watchdog is not None:
                    _dismiss(watchdog)


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


def _watch(conninfo: str, name: str) -> subprocess.Popen[bytes]:
    """The connection goes through a pipe, not through argv: it may hold a password."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "swap.rehearse.watchdog"], env=clean_environment(PYTHONPATH=str(PACKAGES)), cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(json.dumps({"conninfo": conninfo, "database": name}).encode() + b"\n")
    child.stdin.flush()
    return child


def _dismiss(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with suppress(OSError):
        child.stdin.write(b"dropped\n")
        child.stdin.close()
    child.wait()
