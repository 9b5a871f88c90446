"""The tests' server in a container, for images that carry extensions or versions which no wheel has
(SWAP_TEST_PG=docker:IMAGE).
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

from psycopg import pq
from testcontainers.core.container import DockerContainer

from swap.demo.binaries import find_binaries
from swap.demo.server import SETTINGS, free_port
from tests.support.waiting import wait_until


class DockerServer:
    """A container on a fixed loopback port, so that its conninfo outlives a restart."""

    def __init__(self, container: DockerContainer, port: int) -> None:
        self.container = container
        self.port = port

    @classmethod
    def start(cls, image: str) -> Self:
        settings = {**SETTINGS, "listen_addresses": "*", "fsync": "off"}
        port = free_port()
        container = (
            DockerContainer(image)
            .with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
            .with_env("POSTGRES_INITDB_ARGS", "--no-locale --encoding=UTF8")
            .with_kwargs(shm_size="512m")
            .with_command(["postgres", *(f"--{name}={value}" for name, value in settings.items())])
        )
        container.ports["5432/tcp"] = cast(Any, ("127.0.0.1", port))  # Docker's API takes an address, with_bind_ports a port
        server = cls(container, port)
        container.start()
        try:
            server._wait_ready()
        except BaseException:
            container.stop()
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.container.stop()

    @property
    def bindir(self) -> Path:
        """The newest clients at hand: pg_dump reads servers older than itself."""
        return find_binaries("18")

    def conninfo(self, dbname: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def log_tail(self, lines: int = 40) -> str:
        return str(self._docker().logs(tail=lines).decode(errors="replace"))

    def restart(self) -> None:
        """Fast shutdown (the image's stop signal is SIGINT) if it is up, then start again."""
        self._docker().restart()
        self._wait_ready()

    def crash(self) -> None:
        """Immediate shutdown; the container and its data stay until `restart()`."""
        self._docker().kill("SIGQUIT")
        self._docker().wait()

    def _docker(self) -> Any:
        return self.container.get_wrapped_container()

    def _wait_ready(self) -> None:
        conninfo = self.conninfo().encode()
        wait_until(lambda: pq.PGconn.ping(conninfo) == pq.Ping.OK, 60.0, "the container's server is ready")
