"""`--clone basebackup`: pg_basebackup of production's cluster into a private server on this machine, promoted.

The server's own configuration replaces production's: no archive_command, no primary_conninfo, no preloaded library and no worker of a
subscription comes along. Whoever reaches its socket is trusted, and the socket is in a directory that no other user may enter.
Promotion is recovery to the end of the WAL that came with the backup: the clone is on a timeline of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from swap.core.connection import Database
from swap.core.errors import NOTHING_CHANGED, RefusedError
from swap.core.libpq_environment import libpq_environment
from swap.core.printable import printable
from swap.core.secrets import mask
from swap.demo.binaries import copy_installation
from swap.demo.server import Auth, Server, ServerError
from swap.rehearse.child import Child
from swap.rehearse.clones import Clone, CloneOptions, Note, Production
from swap.rehearse.environment import clean_environment, find_client, server_binaries
from swap.rehearse.private import SETTINGS
from swap.rehearse.watchdog import Watchdog
from swap.rehearse.words import size

TAIL_CHARS = 500
OWN_FILES = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf", "standby.signal", "postmaster.pid")
RECOVERY = {"restore_command": "false", "recovery_target_timeline": "current", "hot_standby": "off"}


class BackupServer(Server):
    """A private server whose cluster is a base backup. `source`: how production is reached, and by which program."""

    source: ClassVar[tuple[list[str], dict[str, str]]]

    def _create_cluster(self, auth: Auth, settings: Mapping[str, str]) -> None:
        self.layout.sockets.mkdir(mode=0o700)
        self._give(self.layout.sockets)
        if not self._can_run(self.bindir):
            self.bindir = copy_installation(self.bindir, self.layout.base / "install")
        argv, variables = self.source
        with Watchdog() as watchdog:
            done = Child([*argv, f"--pgdata={self.layout.data}"], clean_environment(**variables)).run(watchdog)
        if done.code:
            raise ServerError(printable(mask(done.err)).strip()[-TAIL_CHARS:])
        for name in OWN_FILES:
            (self.layout.data / name).unlink(missing_ok=True)
        lines = {**settings, **RECOVERY, "unix_socket_directories": str(self.layout.sockets)}
        text = "".join(f"{name} = '{value}'\n" for name, value in lines.items())
        (self.layout.data / "postgresql.conf").write_text(text, encoding="utf-8")
        (self.layout.data / "pg_hba.conf").write_text(f"local all all {auth}\n", encoding="utf-8")
        for name in ("pg_ident.conf", "recovery.signal"):
            (self.layout.data / name).touch(mode=0o600)
        for path in (self.layout.data, *self.layout.data.rglob("*")):
            self._give_all(path)

    def _give_all(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)


@contextmanager
def basebackup_clone(production: Production, options: CloneOptions, note: Note) -> Iterator[Clone]:
    """Raises RefusedError where the role may not copy the cluster, or there is no room for it."""
    spec = server_binaries(production.server_version, "--clone basebackup")
    database = Database.from_options(options.maker, "rehearse") if options.maker else production.database
    with database.session("clone") as conn, libpq_environment(conn) as variables:
        _refuse(
            conn.execute("SELECT count(*) FROM pg_tablespace").fetchone() != (2,),
            "it has tablespaces, which a backup puts where they are here",
        )
        row = conn.execute("SELECT sum(pg_database_size(oid))::bigint FROM pg_database WHERE datallowconn").fetchone()
        needed = int(row[0]) if row else 0
        _refuse(
            shutil.disk_usage(_parent()).free < needed * 2,
            f"it has {size(needed)}, and twice that is not free in {_parent()}",
        )
        program = find_client("pg_basebackup", production.server_version)
        argv = [str(program), "--checkpoint=fast", "--wal-method=stream", "--no-sync", "--no-manifest"]
        note("copying production's cluster with pg_basebackup")

        class OneBackup(BackupServer):
            source = (argv, dict(variables))

        try:
            server = OneBackup.start(spec, SETTINGS)
        except ServerError as e:
            raise RefusedError(
                f"The base backup could not be made or started: {' '.join(str(e).split())}.",
                state=f"The clone is removed. {NOTHING_CHANGED}",
                hint="The role needs REPLICATION and a line in pg_hba.conf for it; name another role with --clone-dsn.",
            ) from None
    with server:
        there = server.conninfo(production.dbname, user=production.user)
        _refuse_unpromoted(there)
        yield Clone(
            "basebackup",
            there,
            server.conninfo(production.dbname),
            "a promoted base backup in a private server on this machine",
            private=True,
        )


def _refuse(cannot: bool, why: str) -> None:
    if cannot:
        raise RefusedError(
            f"The cluster cannot be copied to this machine: {why}.", state=f"No clone was made. {NOTHING_CHANGED}",
            hint="Use --clone dump; or make the clone elsewhere, and name it with --on.",
        )  # fmt: skip


def _parent() -> Path:
    import tempfile  # noqa: PLC0415 - here alone

    return Path(tempfile.gettempdir())


def _refuse_unpromoted(conninfo: str) -> None:
    """The server answers when recovery has ended, because hot_standby is off. It is asked all the same."""
    with Database.from_options(conninfo, "rehearse").session() as conn:
        if conn.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
            raise RefusedError(
                "The base backup was not promoted.", state="The clone is removed.", hint="Try again; or name a clone with --on."
            )
