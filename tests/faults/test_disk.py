"""The disk runs out (H18): exit code 3, what is committed stays, nothing is half-done, and the same command goes on when there is
room again. On a small file system of its own; skipped where none can be mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from swap.demo.server import Server
from tests.support.commands import Cli
from tests.support.migration import install
from tests.support.mode import toml_with_mode
from tests.support.servers import Connect, Database, DatabaseServer, Execute
from tests.support.watched import CONFIG, WatchedOperator

MIB = 1 << 20
SCHEMA = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL, n int, body text) {table};
CREATE UNIQUE INDEX users_body ON users (body) {index};
CREATE TABLE sessions (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE) {reference};
CREATE INDEX ON sessions (user_id);
INSERT INTO users (email, body) SELECT 'user' || n, (SELECT string_agg(md5(n * 40 + i || ''), '') FROM generate_series(1, 40) i)
    FROM generate_series(1, 3000) n;
INSERT INTO sessions (user_id) SELECT 1 + n % 3000 FROM generate_series(1, 60000) n;
"""
IN_SMALL = "TABLESPACE small_disk"


class Disk:
    """A tablespace of 24 MiB, and a file in it that takes what is left but so much."""

    def __init__(self, path: Path) -> None:
        self.path, self.filler = path, path / "filler"

    def leave(self, size: int) -> None:
        self.empty()
        left = os.statvfs(self.path)
        with self.filler.open("wb") as out:
            out.write(bytes(max(left.f_bavail * left.f_frsize - size, 0)))

    def empty(self) -> None:
        self.filler.unlink(missing_ok=True)


@pytest.fixture
def disk(server: DatabaseServer, admin: Execute, database: Database) -> Iterator[Disk]:
    if not isinstance(server, Server) or os.geteuid() != 0:
        pytest.skip("needs a private server, and root to mount a file system")
    path = server.layout.base / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        path.rmdir()
        pytest.skip("nothing can be mounted here")
    made = Disk(path)
    try:
        space = path / "space"
        space.mkdir(mode=0o700)
        owner = server.layout.data.stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        admin(sql.SQL("CREATE TABLESPACE small_disk LOCATION {}").format(sql.Literal(str(space))))
        yield made
        made.empty()
        admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.dbname)))
        admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database.dbname)))  # for its own fixture
        admin(sql.SQL("CHECKPOINT"))  # dropped files go with it
        admin(sql.SQL("DROP TABLESPACE small_disk"))
    finally:
        subprocess.run(["umount", str(path)], check=True)
        path.rmdir()


class DiskOperator(WatchedOperator):
    """Without the schema of its base."""

    def __init__(self, cli: Cli, db: Database, watcher: psycopg.Connection[object], path: Path) -> None:
        self.cli, self.db, self.watcher, self.config = cli, db, watcher, path / "swap.toml"
        self.config.write_text(toml_with_mode(f'[source]\ntable = "public.users"\n{CONFIG}'))

    def out_of_disk(self, *args: str) -> None:
        result = self(*args, check=False)
        assert result.code == 3, result
        assert "No space left" in result.json["error"]["message"]
        assert "run the command again" in result.json["error"]["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("of", ["table", "index", "reference", "replay"])
def test_out_of_disk(of: str, disk: Disk, cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> None:
    """Given room for a part of the copy, of an index, of a reference's second column, of the changes."""
    watcher = connect(database.superuser)
    install(database, "")
    watcher.execute("GRANT CREATE ON TABLESPACE small_disk TO swap_owner")
    where = "table" if of == "replay" else of
    install(database, SCHEMA.format(**{k: IN_SMALL if k == where else "" for k in ("table", "index", "reference")}))
    op = DiskOperator(cli, database, watcher, tmp_path)
    op("prepare")
    if of == "replay":
        op("sync", "--once")
        watcher.execute("UPDATE users SET n = 1")
    disk.leave(MIB)
    op.out_of_disk("sync", "--once")
    assert op.ask("SELECT count(*) FROM swap.chunk WHERE rows IS NULL") in (0, 1)
    if of in ("index", "reference"):
        connect(database.app).execute("UPDATE users SET email = email || '!' WHERE id = 7")
    op.out_of_disk("sync", "--once")
    disk.empty()
    op.assert_finished()
    watcher.close()
