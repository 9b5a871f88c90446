"""PostgreSQL for the tests: one server per session (per xdist worker), one database per test.

SWAP_TEST_PG chooses the server: a major version (default 18), or `docker:IMAGE` for a container with the same
settings.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import psutil
import psycopg
import pytest
from psycopg import sql

from swap.demo.server import Server
from tests.support.waiting import wait_until


class DatabaseServer(Protocol):
    """What a test may ask of its server, private or in a container."""

    @property
    def bindir(self) -> Path:
        """Client programs (pg_dump, pgbench) that can talk to this server."""

    @property
    def port(self) -> int: ...
    def conninfo(self, dbname: str = ..., user: str = ..., password: str | None = ...) -> str: ...
    def log_tail(self, lines: int = ...) -> str: ...
    def restart(self) -> None: ...
    def crash(self) -> None: ...


@dataclass(frozen=True)
class Database:
    """One test's database, by the conninfo of each role. `owner` and `app` exist with the example
    application.
    """

    dbname: str
    superuser: str
    owner: str
    app: str


class ExampleFactory(Protocol):
    """Makes a database with the example application in it."""

    def __call__(self, variant: Variant = ..., *, users: int = ..., seed: int = ...) -> Database: ...


Variant = Literal["adopt", "fresh"]
Execute = Callable[[sql.SQL | sql.Composed], None]
Connect = Callable[..., psycopg.Connection[Any]]


# Memory, where there is a file system of it. A database's 300 files cost 0.1 s of processor time and more on a disk, 0.02 s
# there (measured: CREATE DATABASE on ext4 and on tmpfs), and most tests begin with one.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30
IN_MEMORY = {"max_wal_size": "512MB"}


def in_memory() -> bool:
    """Whether servers are kept in memory: some gigabytes of it are free, and programs may be run from there (a container's
    own /dev/shm is small, and forbids that)."""
    if not MEMORY.is_dir() or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available // 2) >= MEMORY_BYTES


@pytest.fixture(scope="session")
def server() -> Iterator[DatabaseServer]:
    spec = os.environ.get("SWAP_TEST_PG", "18")
    if spec.startswith("docker:"):
        from tests.support.docker_server import DockerServer

        with DockerServer.start(spec.removeprefix("docker:")) as container:
            yield container
    else:
        settings, base = (IN_MEMORY, MEMORY) if in_memory() else ({}, None)
        with Server.start(spec, settings, base, tcp=True) as private:
            yield private


@pytest.fixture(scope="session")
def admin(server: DatabaseServer) -> Execute:
    """Run one statement as superuser in the database `postgres`, outside any transaction.

    A server that the test before left down (it crashed it and failed) is started again first.
    """

    def execute(statement: sql.Composed | sql.SQL) -> None:
        try:
            conn = psycopg.connect(server.conninfo(), autocommit=True)
        except psycopg.OperationalError:
            server.restart()
            conn = psycopg.connect(server.conninfo(), autocommit=True)
        with closing(conn):
            conn.execute(statement)

    return execute


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    return (f"test_{n}" for n in itertools.count(1))


@pytest.fixture
def new_database(server: DatabaseServer, admin: Execute, database_names: Iterator[str]) -> Iterator[Callable[[str], Database]]:
    """Factory: a database copied from a template, dropped after the test whatever still uses it."""
    made: list[str] = []

    def make(template: str) -> Database:
        name = next(database_names)
        admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        made.append(name)
        return Database(
            dbname=name,
            superuser=server.conninfo(name),
            owner=server.conninfo(name, "swap_owner"),
            app=server.conninfo(name, "app"),
        )

    yield make
    for name in made:
        admin(sql.SQL("SELECT 1"))  # starts the server again if need be
        release(server.conninfo(name))
        admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def release(superuser: str) -> None:
    """End what DROP DATABASE … FORCE does not: prepared transactions and sessions that stream from a slot."""
    with closing(psycopg.connect(superuser, autocommit=True)) as conn:
        for (gid,) in conn.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            conn.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
        stop = (
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE database = current_database() AND active_pid IS NOT NULL"
        )
        wait_until(lambda: conn.execute(stop).fetchone() is None, what="no slot is in use")


@pytest.fixture
def database(new_database: Callable[[str], Database]) -> Database:
    """An empty database."""
    return new_database("template0")


# A sequence logs 32 values ahead, and CREATE DATABASE (strategy WAL_LOG) copies how many are left as it finds them: in the
# copy they are handed out without a WAL record, and after a crash of the server handed out again. setval() leaves none.
RESTART_SEQUENCES = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, last_value) FROM pg_sequences WHERE last_value IS NOT NULL
"""


@pytest.fixture(scope="session")
def example_template(server: DatabaseServer, admin: Execute) -> Callable[[Variant, int, int], str]:
    """Factory: the name of a database with the example application, built once for each variant and size."""
    built: dict[tuple[Variant, int, int], str] = {}

    def build(variant: Variant, users: int, seed: int) -> str:
        key = (variant, users, seed)
        if key not in built:
            from swap.demo import app

            name = f"template_{variant}_{users}_{seed}"
            admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            admin(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            app.install(server.conninfo(name), variant, users=users, seed=seed)
            with closing(psycopg.connect(server.conninfo(name), autocommit=True)) as conn:
                conn.execute(RESTART_SEQUENCES)
            built[key] = name
        return built[key]

    return build


@pytest.fixture
def example(
    new_database: Callable[[str], Database],
    example_template: Callable[[Variant, int, int], str],
    admin: Execute,
) -> ExampleFactory:
    """Factory: `example("adopt", users=500)` or `example("fresh")`, a database of this test's own."""

    def make(variant: Variant = "adopt", *, users: int = 500, seed: int = 1) -> Database:
        made = new_database(example_template(variant, users, seed))
        # CREATE DATABASE … TEMPLATE copies neither the database's owner nor its privileges.
        admin(sql.SQL("GRANT CREATE ON DATABASE {} TO swap_owner").format(sql.Identifier(made.dbname)))
        return made

    return make


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Factory: autocommit sessions, closed after the test. Keyword arguments go to psycopg.connect."""
    opened: list[psycopg.Connection[Any]] = []

    def open_session(conninfo: str, **options: Any) -> psycopg.Connection[Any]:
        conn: psycopg.Connection[Any] = psycopg.connect(conninfo, **{"autocommit": True, **options})
        opened.append(conn)
        return conn

    yield open_session
    for conn in opened:
        conn.close()
