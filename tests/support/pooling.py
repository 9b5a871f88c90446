"""A real PgBouncer in front of a test's database, in transaction pooling, with an admin console under a password."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from swap.demo.account import unprivileged_account
from swap.demo.server import free_port
from tests.support.servers import Database, DatabaseServer
from tests.support.waiting import wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PASSWORD = "not-to-be-shown-51"
USERS = {"adm": PASSWORD, "watcher": PASSWORD, "app": "app", "postgres": "postgres", "swap_owner": "owner"}


class PgBouncer:
    """One process with one database, `name`; a context manager that ends it."""

    def __init__(self, server: DatabaseServer, db: Database, mode: str = "transaction") -> None:
        assert PROGRAM is not None
        self.name, self.port = db.dbname, free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="swap-pgbouncer-"))
        settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "auth_type": "hba",
            "auth_hba_file": self.directory / "hba",
            "auth_file": self.directory / "users", "admin_users": "adm", "stats_users": "watcher", "pool_mode": mode,
            "logfile": self.directory / "log", "default_pool_size": 10,
        }  # fmt: skip
        if version() >= (1, 21):
            settings["max_prepared_statements"] = 100
        lines = "".join(f"{k} = {v}\n" for k, v in settings.items())
        target = f"{db.dbname} = host=127.0.0.1 port={server.port} dbname={db.dbname}\n"
        (self.directory / "ini").write_text(f"[databases]\n{target}[pgbouncer]\n{lines}")
        # The run's role comes in without a password, as it comes to the tests' server; `swap` logs in through each pool.
        (self.directory / "hba").write_text("host all swap_owner 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 password\n")
        (self.directory / "users").write_text("".join(f'"{u}" "{p}"\n' for u, p in USERS.items()))
        self.account = unprivileged_account()
        if self.account is not None:
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, self.account.uid, self.account.gid)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        who: dict[str, Any] = (
            {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if self.account is not None else {}
        )
        self.process = subprocess.Popen(
            [str(PROGRAM), str(self.directory / "ini")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, **who,
        )  # fmt: skip
        wait_until(self._answers, what="PgBouncer answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def lead_to(self, port: int, dbname: str) -> None:
        """From now on its database is this one, elsewhere."""
        path = self.directory / "ini"
        text = path.read_text()
        line = next(x for x in text.splitlines() if x.startswith(f"{self.name} = "))
        path.write_text(text.replace(line, f"{self.name} = host=127.0.0.1 port={port} dbname={dbname}"))
        self.console("RELOAD")

    def was_paused(self) -> bool:
        """Whether it was ever asked to pause."""
        return "PAUSE" in (self.directory / "log").read_text()

    def conninfo(self, user: str, dbname: str | None = None) -> str:
        return f"postgresql://{user}:{USERS[user]}@127.0.0.1:{self.port}/{dbname or self.name}"

    @property
    def admin_dsn(self) -> str:
        return self.conninfo("adm", "pgbouncer")

    def console(self, statement: str) -> list[dict[str, Any]]:
        with psycopg.connect(
            self.admin_dsn, autocommit=True, cursor_factory=psycopg.ClientCursor, row_factory=psycopg.rows.dict_row
        ) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def paused(self) -> bool:
        return any(str(r["paused"]) == "1" for r in self.console("SHOW DATABASES") if r["name"] == self.name)

    def settings(self, more: str = "") -> str:
        """The section of swap.toml."""
        return f'[pgbouncer]\nadmin_dsn = "{self.admin_dsn}"\n{more}'

    def _answers(self) -> bool:
        try:
            return not self.paused()
        except psycopg.OperationalError:
            return False


def version() -> tuple[int, int]:
    told = subprocess.run([str(PROGRAM), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", told)
    assert found is not None
    return int(found[1]), int(found[2])


Pooled = Callable[..., PgBouncer]


@pytest.fixture
def pgbouncer(server: DatabaseServer) -> Iterator[Pooled]:
    """Factory: `pgbouncer(database, mode="transaction")`; a skip where it is not installed."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    with ExitStack() as stack:
        yield lambda db, mode="transaction": stack.enter_context(PgBouncer(server, db, mode))
