"""Private PostgreSQL servers for the demo, the tests and the benchmark.

A server is a direct child of this process: `initdb` makes a directory of its own (`swap.demo.directory`), then `postgres -D` runs
in it. `pg_ctl` would detach it. It ends with `stop()`, at the end of the `with` block, or at the interpreter's exit. When this
process is killed, its watchdog ends it (`swap.demo.watchdog`); and if that was killed too, the next start of any server.

It trusts who reaches it, the superuser's name too. So by default it listens on no TCP port: only on a Unix socket in a directory that
no other user may enter. Tests that put a proxy or a pooler before a server ask for TCP on the loopback interface (`tcp=True`).

PostgreSQL does not run as root. So root starts it as `postgres`, else as `nobody`. Programs that this user cannot reach (a virtualenv
below /root) are copied into the server's directory first.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self
from urllib.parse import quote

from psycopg import pq

from swap.demo.account import Account, ServerError, unprivileged_account
from swap.demo.binaries import copy_installation, find_binaries
from swap.demo.directory import POLL_INTERVAL_S, PREFIX, STOP_TIMEOUT_S, Layout, remove_stale, take_ownership
from swap.demo.watchdog import ServerWatchdog

__all__ = ["Server", "ServerError", "find_binaries"]

SETTINGS = {
    "wal_level": "logical",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
}
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
READY_TIMEOUT_S = 60.0
# Below the ephemeral range (32768 and up on Linux): an outgoing connection could take such a port between a stop and a restart.
PORTS = range(15000, 32000)
LOCAL_PORT = 5432  # without TCP it is only a part of the socket's name
LONGEST_SOCKET = 100  # bytes of a socket's path: 107 on Linux, 103 elsewhere

Auth = Literal["trust", "scram-sha-256"]
StopMode = Literal["fast", "immediate"]


class Server:
    """A running PostgreSQL server and its directory. A context manager whose end is `stop()`.

    `Server.start` makes it. Only the process that started it can end it: a copy of this object in a forked process does nothing.
    """

    def __init__(
        self,
        layout: Layout,
        lock: IO[str],
        bindir: Path,
        account: Account | None,
        superuser_password: str | None = None,
        *,
        tcp: bool = False,
    ) -> None:
        self.layout = layout
        self.tcp = tcp
        self.bindir = bindir
        self.port = 0
        self._lock = lock
        self._account = account
        self._superuser_password = superuser_password
        self._owner_pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = ServerWatchdog(layout)

    @classmethod
    def start(
        cls,
        spec: str = "18",
        settings: Mapping[str, str] | None = None,
        base_dir: Path | None = None,
        *,
        auth: Auth = "trust",
        superuser_password: str | None = None,
        durable: bool = False,
        tcp: bool = False,
    ) -> Self:
        """Create a cluster of the major version `spec`, and wait until it accepts connections: on a Unix socket that this user alone
        can reach, and with `tcp` on a free loopback port too, for every user of the machine.

        `settings` go into postgresql.conf, so ALTER SYSTEM overrides them. The directory is made in `base_dir`, by default the
        system's temporary directory. Without `durable` fsync is off: a crash of the server or an immediate shutdown loses nothing
        then, but a crash of the operating system does.

        Raises LookupError (not installed), ValueError (scram without a password) and ServerError (did not start).
        """
        if auth != "trust" and not superuser_password:
            raise ValueError(f"auth={auth!r} needs superuser_password")
        bindir = find_binaries(spec)
        parent = base_dir or _temporary_directory()
        remove_stale(parent)
        account = unprivileged_account()
        layout = Layout(Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve())
        server = cls(layout, take_ownership(layout), bindir, account, superuser_password, tcp=tcp)
        atexit.register(server.stop, "immediate")
        try:
            server._create_cluster(
                auth, {**SETTINGS, "fsync": "on" if durable else "off", **server._listening(), **(settings or {})}
            )
            server._launch(new_port=True)
        except BaseException:
            server.stop("immediate")
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The postmaster's process id. Raises ServerError when the server is down."""
        if self._process is None:
            raise ServerError("the server is not running")
        return self._process.pid

    def conninfo(self, dbname: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """A libpq URI. Without `password` the superuser gets the one that the server was started with."""
        if password is None and user == "postgres":
            password = self._superuser_password
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
        if not self.tcp:
            return (
                f"postgresql://{login}@/{quote(dbname, safe='')}?host={quote(str(self.layout.sockets), safe='')}&port={self.port}"
            )
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the log, of initdb too."""
        if not self.layout.log.exists():
            return ""
        return "\n".join(self.layout.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, mode: StopMode = "fast") -> None:
        """End the server and remove its directory. A second call does nothing."""
        if os.getpid() != self._owner_pid:
            return
        atexit.unregister(self.stop)
        self._end(mode)
        shutil.rmtree(self.layout.base, ignore_errors=True)
        self._lock.close()
        self._watchdog.close()

    def restart(self) -> None:
        """Shut down in mode fast, if it runs, and start again on the same port and data. Raises ServerError."""
        self._end("fast")
        self._launch(new_port=False)

    def crash(self) -> None:
        """Shut down in mode immediate: without a checkpoint; sessions are cut off. The data stays, and `restart()` runs crash
        recovery."""
        self._end("immediate")

    def _listening(self) -> dict[str, str]:
        return {"listen_addresses": "127.0.0.1" if self.tcp else "", "unix_socket_permissions": "0700"}

    def _create_cluster(self, auth: Auth, settings: Mapping[str, str]) -> None:
        for directory in (self.layout.data, self.layout.sockets):
            directory.mkdir(mode=0o700)
            self._give(directory)
        if not self._can_run(self.bindir):
            self.bindir = copy_installation(self.bindir, self.layout.base / "install")
        command: list[str | Path] = [
            self.bindir / "initdb",
            "-D",
            self.layout.data,
            "-U",
            "postgres",
            f"--auth={auth}",
        ]
        command += ["--encoding=UTF8", "--no-locale", *([] if settings["fsync"] == "on" else ["--no-sync"])]
        password_file = self.layout.base / "password"
        if self._superuser_password is not None:
            password_file.touch(mode=0o600)
            password_file.write_text(self._superuser_password + "\n")
            self._give(password_file)
            command.append(f"--pwfile={password_file}")
        with self.layout.log.open("ab") as log:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, **self._as_account()
            ).returncode
        password_file.unlink(missing_ok=True)
        if code != 0:
            raise ServerError(f"initdb ended with code {code}\n{self.log_tail()}")
        lines = {**settings, "unix_socket_directories": str(self.layout.sockets)}
        with (self.layout.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{_quoted(value)}'\n" for name, value in lines.items())

    def _launch(self, *, new_port: bool) -> None:
        """Start the postmaster. Tries three ports: another process may take a free one first."""
        for attempt in range(3):
            if new_port:
                self.port = free_port() if self.tcp else LOCAL_PORT
            with self.layout.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [self.bindir / "postgres", "-D", self.layout.data, "-p", str(self.port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C must not reach the postmaster: it would shut down
                    **self._as_account(),
                )
            try:
                self._wait_ready()
            except ServerError:
                if attempt == 2 or "could not create any TCP/IP sockets" not in self.log_tail(5):
                    raise
            else:
                return

    def _wait_ready(self) -> None:
        # Through the server's own socket directory: on the TCP port another server could answer.
        address = f"host='{_quoted(str(self.layout.sockets))}' port={self.port} user=postgres dbname=postgres"
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._process is not None and pq.PGconn.ping(address.encode()) != pq.Ping.OK:
            code = self._process.poll()
            if code is not None:
                self._process = None
                raise ServerError(f"PostgreSQL ended with code {code} while starting\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self._end("immediate")
                raise ServerError(f"PostgreSQL was not ready after {READY_TIMEOUT_S:.0f} s\n{self.log_tail()}")
            time.sleep(POLL_INTERVAL_S)

    def _end(self, mode: StopMode) -> None:
        """Send the signal and wait. A fast shutdown waits until replication clients have received everything; when it takes too
        long, stronger signals follow."""
        if self._process is None:
            return
        process, self._process = self._process, None
        for number in (STOP_SIGNALS[mode], signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
                return

    def _as_account(self) -> dict[str, Any]:
        """Arguments for subprocess: the server's user, a directory that it may enter, no PG* variables."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        arguments: dict[str, Any] = {"cwd": self.layout.base, "env": {**env, "LC_ALL": "C"}}
        if self._account is not None:
            arguments |= {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}
        return arguments

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def _can_run(self, bindir: Path) -> bool:
        try:
            return (
                subprocess.run(
                    [bindir / "postgres", "--version"], capture_output=True, check=False, **self._as_account()
                ).returncode
                == 0
            )
        except PermissionError:
            return False


def _temporary_directory() -> Path:
    """The system's, or /tmp where a socket's path below it would be too long. Raises ServerError."""
    wanted = Path(tempfile.gettempdir()).resolve()
    for parent in (wanted, Path("/tmp")):  # noqa: S108 - the directory that is made in it is private
        sample = Layout(parent / f"{PREFIX}12345678").sockets / f".s.PGSQL.{max(PORTS)}"
        if parent.is_dir() and len(os.fsencode(sample)) <= LONGEST_SOCKET:
            return parent
    raise ServerError(f"the path of a socket below {wanted} would be too long: set TMPDIR to a shorter one")


def free_port() -> int:
    """A loopback port on which no process listens now. Raises ServerError."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerError("no free loopback port")


def _quoted(value: str) -> str:
    """The inside of a single-quoted string in postgresql.conf, or in a conninfo string: both escape with a backslash."""
    return value.replace("\\", "\\\\").replace("'", "\\'")
