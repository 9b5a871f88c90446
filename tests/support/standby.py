"""A real streaming standby of a test's server, made by pg_basebackup."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from swap.demo.server import Auth, Server, ServerError
from tests.support.servers import DatabaseServer

CONF = """
unix_socket_directories = '{sockets}'
hot_standby = on
allow_in_place_tablespaces = on
"""


class Standby(Server):
    """`Standby.start(version, {"primary_conninfo": ...})`; ends like any private server. `primary_slot_name`: a physical
    slot that the primary has."""

    def _create_cluster(self, auth: Auth, settings: Mapping[str, str]) -> None:
        for directory in (self.layout.data, self.layout.sockets):
            directory.mkdir(mode=0o700)
            self._give(directory)
        if not self._can_run(self.bindir):
            from swap.demo.binaries import copy_installation

            self.bindir = copy_installation(self.bindir, self.layout.base / "install")
        command: list[str | Path] = [
            self.bindir / "pg_basebackup", "-D", self.layout.data, "-d", settings["primary_conninfo"],
            "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
            *([f"--slot={settings['primary_slot_name']}"] if "primary_slot_name" in settings else []),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_account())
        if done.returncode != 0:
            raise ServerError(f"pg_basebackup ended with code {done.returncode}\n{done.stderr}")
        with (self.layout.data / "postgresql.conf").open("a") as conf:
            # Tablespaces in place are what other tests of this server leave; recovery refuses them where they are not allowed.
            conf.write(CONF.format(sockets=self.layout.sockets))


def standby_of(server: DatabaseServer) -> Standby:
    """A standby that streams, or a skip where there is no pg_basebackup."""
    if not (server.bindir / "pg_basebackup").exists():
        pytest.skip(f"no pg_basebackup in {server.bindir}")
    if not isinstance(server, Server):
        pytest.skip("the server is in a container: its replication port is not open")
    conninfo = f"host=127.0.0.1 port={server.port} user=postgres"
    return Standby.start(os.environ.get("SWAP_TEST_PG", "18"), {"primary_conninfo": conninfo}, tcp=True)
