"""Clones: made in one of five ways, removed whatever ends the rehearsal.

| how | what it takes |
|---|---|
| `--on` | nothing: it is there, and stays |
| `template` | CREATEDB, and no session in the database: a staging copy, not production itself |
| `dump` | a pg_dump of production into a private server on this machine, or into the server of --clone-dsn |
| `basebackup` | a role with REPLICATION, and room on this machine for the whole cluster |
| `hook` | a program that makes a clone and prints its DSN |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from swap.core.connection import Connection, Database
from swap.core.errors import NOTHING_CHANGED, UnreachableError, UsageError
from swap.core.libpq_environment import conninfo_of


@dataclass(frozen=True)
class Clone:
    """A clone. `conninfo`: as the role that rehearses; it may hold a password. `admin`: as a role that sees more, or the same.
    `said`: what it is, for people. `private`: its server is this process's own."""

    kind: str
    conninfo: str
    admin: str
    said: str
    private: bool = False


@dataclass(frozen=True)
class CloneOptions:
    """`maker`: the connection that makes the clone, where it is not production's own. `hook`: its argv. `timeout_s`: of the hook.
    `state_schema`: of production's configuration."""

    kind: str
    on: str | None = None
    maker: str | None = None
    hook: tuple[str, ...] = ()
    schema_only: bool = False
    keep: bool = False
    jobs: int = 2
    timeout_s: int = 3600
    directory: Path = Path()
    state_schema: str = "swap"


@dataclass(frozen=True)
class Production:
    """Production, as it was reached: nothing is open there. `conninfo`: leads there whatever the environment says."""

    database: Database
    conninfo: str
    dbname: str
    user: str
    server_version: int
    size_bytes: int

    @classmethod
    def reached(cls, database: Database) -> Production:
        """Connects and asks. Raises UnreachableError and RefusedError."""
        with database.session() as conn:
            row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
            info = conn.info
            return cls(database, conninfo_of(conn), info.dbname, info.user, info.server_version, int(row[0]) if row else 0)

    def with_database(self, dbname: str) -> str:
        """The same server, another database."""
        with self.database.session() as conn:
            return conninfo_of(conn, dbname=dbname)


Note = Callable[[str], None]


@contextmanager
def open_clone(production: Production, options: CloneOptions, note: Note) -> Iterator[Clone]:
    """The clone, until the end of the block. Raises UsageError and RefusedError where it cannot be made."""
    if options.maker is not None:
        with reached("--clone-dsn", options.maker):
            pass
    if options.on is not None:
        with reached("--on", options.on) as conn:
            there = conninfo_of(conn)
            said = f"the database {conn.info.dbname} of {conn.info.host or 'this machine'}, port {conn.info.port}"
        yield Clone("on", there, there, said)
        return
    with _maker(options.kind)(production, options, note) as clone:
        yield clone


@contextmanager
def reached(who: str, dsn: str) -> Iterator[Connection]:
    """A session there, until the end of the block. `who`: gave the DSN, for people. Raises UsageError and UnreachableError that name it."""
    try:
        conn = Database.from_options(dsn, "rehearse").connect()
    except UsageError as e:
        raise UsageError(
            f"{who}: {e.message}", hint=f"Write postgresql://user@host:port/dbname, or host=… dbname=… ({who})."
        ) from None
    except UnreachableError as e:
        raise UnreachableError(
            f"{who}: {e.message}",
            state=NOTHING_CHANGED,
            hint=f"Check the DSN ({who}), its server and pg_hba.conf; then run it again.",
        ) from None
    with conn:
        yield conn


def _maker(kind: str) -> Callable[[Production, CloneOptions, Note], AbstractContextManager[Clone]]:
    """Each way is imported alone: a private server is more code than the others need."""
    if kind == "template":
        from swap.rehearse.clone_template import template_clone  # noqa: PLC0415

        return template_clone
    if kind == "dump":
        from swap.rehearse.clone_dump import dump_clone  # noqa: PLC0415

        return dump_clone
    if kind == "basebackup":
        from swap.rehearse.clone_basebackup import basebackup_clone  # noqa: PLC0415

        return basebackup_clone
    from swap.rehearse.clone_hook import hook_clone  # noqa: PLC0415

    return hook_clone
