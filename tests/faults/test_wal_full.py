"""The WAL's disk runs out (H18, H37): the server stops itself (PANIC) in the middle of a `sync` and of a cutover, under writes.
When there is room and it is started again, every command goes on, and nothing that was acknowledged is lost. A server of
its own, with its WAL on a small file system; skipped where none can be mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from swap.demo.server import Server
from tests.faults.test_disk import Disk
from tests.support.commands import Cli, RunningCli
from tests.support.migration import SLOW_DDL, waiting_for
from tests.support.servers import IN_MEMORY, MEMORY, Connect, Database, in_memory
from tests.support.waiting import wait_until
from tests.support.watched import WatchedOperator

CUTOVER = ("cutover", "--yes", "--no-snapshot", "--max-lock-hold", "60000")
SMALL = {"min_wal_size": "32MB", "max_wal_size": "48MB", "restart_after_crash": "off"}
MOUNT = ("mount", "-t", "tmpfs", "-o", "size=80m,mode=700", "tmpfs")


@dataclass
class Writer:
    """Inserts users, one after the other, until the server is gone: `acknowledged` are those whose commit it has told."""

    conninfo: str
    acknowledged: list[str] = field(default_factory=list)
    sent: int = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._write, name="writer")
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _write(self) -> None:
        try:
            with closing(psycopg.connect(self.conninfo, autocommit=True)) as conn:
                while True:
                    self.sent += 1
                    conn.execute("INSERT INTO users (email, n) VALUES (%s, 1)", [f"written{self.sent}"])
                    self.acknowledged.append(f"written{self.sent}")
        except psycopg.Error:
            return

    def lost(self, watcher: psycopg.Connection[tuple[object, ...]]) -> set[str]:
        there = {str(r[0]) for r in watcher.execute("SELECT email FROM users WHERE email ~ '^written'").fetchall()}
        return set(self.acknowledged) - there


@dataclass
class Small:
    """The server, and what fills the disk of its WAL."""

    server: Server
    disk: Disk

    def fill(self) -> None:
        """Until the server has stopped: what is left of the segment in use is written full by a bulk load."""
        self.disk.leave(0)
        bulk = "SELECT count(pg_logical_emit_message(false, 'bulk', repeat('x', 1000000))) FROM generate_series(1, 1000)"
        with closing(psycopg.connect(self.server.conninfo(), autocommit=True)) as conn, pytest.raises(psycopg.OperationalError):
            conn.execute(bulk)
        assert "PANIC" in self.server.log_tail(200)

    def make_room(self) -> None:
        self.disk.empty()
        self.server.restart()


@pytest.fixture
def small() -> Iterator[Small]:
    if os.environ.get("SWAP_TEST_PG", "").startswith("docker:") or os.geteuid() != 0:
        pytest.skip("needs a private server, and root to mount a file system")
    base = MEMORY if in_memory() else None
    with Server.start(os.environ.get("SWAP_TEST_PG", "18"), {**(IN_MEMORY if base else {}), **SMALL}, base, tcp=True) as server:
        server.crash()
        wal, aside = server.layout.data / "pg_wal", server.layout.base / "wal"
        owner = wal.stat()
        wal.rename(aside)
        wal.mkdir()
        if subprocess.run([*MOUNT, str(wal)], capture_output=True, check=False).returncode != 0:
            pytest.skip("nothing can be mounted here")
        try:
            shutil.copytree(aside, wal, dirs_exist_ok=True)
            for path in (wal, *wal.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid)
            server.restart()
            yield Small(server, Disk(wal))
        finally:
            server.crash()
            subprocess.run(["umount", str(wal)], check=True)


def ended(running: RunningCli) -> None:
    result = running.wait()
    assert result.code == 9, result
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_server_stops_under_sync_and_cutover(small: Small, cli: Cli, connect: Connect, tmp_path: Path) -> None:
    server = small.server
    db = Database("postgres", server.conninfo(), server.conninfo(user="swap_owner"), server.conninfo(user="app"))
    op = WatchedOperator(cli, db, connect(db.superuser), tmp_path)
    op("prepare")
    writer = Writer(db.app)
    op.hold("users", 1)
    running = op.start("sync", "--json")
    wait_until(lambda: waiting_for(op.watcher, 7), 20, "a range is written")
    with writer.at_work():
        wait_until(lambda: len(writer.acknowledged) > 20, 20, "it writes")
        small.fill()
    ended(running)
    small.make_room()
    op.watcher = connect(db.superuser)
    op.watcher.execute("DROP FUNCTION swap.hold() CASCADE")
    assert op("status").json["phase"] == "backfilling"
    op.assert_finished()
    assert writer.lost(op.watcher) == set()

    # Under the exchange's lock, with writers who wait for it.
    op.watcher.execute(SLOW_DDL)
    op.watcher.execute("SELECT pg_advisory_lock(42)")
    with writer.at_work():
        wait_until(lambda: len(writer.acknowledged) > 40, 20, "it writes")
        running = op.start(*CUTOVER, "--json")
        wait_until(lambda: waiting_for(op.watcher, 42), 20, "the exchange is in the middle of its script")
        small.fill()
    ended(running)
    small.make_room()
    op.watcher = connect(db.superuser)
    op.watcher.execute("DROP EVENT TRIGGER slow")
    assert op("status").json["phase"] == "syncing"
    assert op("sync", "--once").json["pending_changes"] == 0
    assert op(*CUTOVER).json["outcome"] == "committed"
    assert op("sync", "--once").json["phase"] == "cut_over"
    assert writer.lost(op.watcher) == set()
    assert op("verify").json["verdict"] == "identical"
