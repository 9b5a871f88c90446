"""The disk of the WAL answers no more while an exchange holds its locks (I2): it gives them up, and is made when the disk is back.

A file system of its own, frozen as a storage system freezes one; skipped where none can be mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from swap.demo.app import install
from swap.demo.server import Server
from tests.support.commands import Cli
from tests.support.migration import SLOW_DDL, waiting_for
from tests.support.operator import Operator
from tests.support.servers import Connect, Database
from tests.support.waiting import wait_until

SPEC = os.environ.get("SWAP_TEST_PG", "18")
SETTINGS = {"shared_buffers": "32MB", "wal_buffers": "16MB", "min_wal_size": "32MB", "max_wal_size": "48MB"}
LIMIT_MS = 1500

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not SPEC.isdigit(), reason="a container's disk is not ours"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("fsfreeze"), reason="needs root, to mount and freeze"),
]


def _run(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class WalDisk:
    """A server whose WAL is on a file system of 200 MiB."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server, self.path = server, path

    @contextmanager
    def frozen(self) -> Iterator[None]:
        assert _run("fsfreeze", "-f", self.path)
        try:
            yield
        finally:
            _run("fsfreeze", "-u", self.path)


@pytest.fixture
def wal_disk() -> Iterator[WalDisk]:
    with Server.start(SPEC, SETTINGS, tcp=True) as server:
        server.crash()
        path, image, wal = server.layout.base / "disk", server.layout.base / "image", server.layout.data / "pg_wal"
        path.mkdir()
        with image.open("wb") as out:
            out.truncate(200 << 20)
        if not (_run("mkfs.ext4", "-q", "-O", "^has_journal", image) and _run("mount", "-o", "loop", image, path)):
            pytest.skip("nothing can be mounted here")
        try:
            subprocess.run(["cp", "-a", wal, path / "wal"], check=True)
            shutil.rmtree(wal)
            wal.symlink_to(path / "wal")
            server.restart()
            yield WalDisk(server, path)
            server.crash()
        finally:
            subprocess.run(["umount", path], check=True)


def test_a_stalled_disk(wal_disk: WalDisk, cli: Cli, connect: Connect, tmp_path: Path) -> None:
    """Given an exchange whose last statements meet a disk that takes nothing: its locks are given up within the limit, while
    the disk still stalls; when it is back, the next attempt is made. A COMMIT that waits for the disk could be ended by nobody."""
    server = wal_disk.server
    with closing(psycopg.connect(server.conninfo(), autocommit=True)) as admin:
        admin.execute("CREATE DATABASE example")
    install(server.conninfo("example"), "adopt", users=100, replication=True)
    db = Database("example", *(server.conninfo("example", user) for user in ("postgres", "swap_owner", "app")))
    op = Operator(cli, db, tmp_path)
    op.ready()
    admin, reader = connect(db.superuser), connect(db.superuser, options="-c statement_timeout=20s")
    reader.execute("SELECT pg_advisory_lock(42)")
    admin.execute(SLOW_DDL)
    running = op.start("cutover", "--yes", "--no-snapshot", "--json", "--max-lock-hold", str(LIMIT_MS), "--lock-timeout", "2000")
    wait_until(lambda: waiting_for(admin, 42), what="the exchange is under way")
    with wal_disk.frozen():
        reader.execute("SELECT pg_advisory_unlock(42)")
        assert reader.execute("SELECT count(*) FROM users").fetchone() == (100,)
    done = running.wait()
    assert done.code == 0, done
    assert (done.json["outcome"], done.json["attempts"]) == ("committed", 2)
