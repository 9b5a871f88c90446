"""Servers that cannot be worked with, and connections that cannot be made: exit code 2, 3 or 9 within a limit, nothing sent."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from swap.core.connection import _seconds
from tests.support.commands import Cli
from tests.support.judging import SECRET, judge
from tests.support.pretender import Pretender, Silence

NOWHERE = f"host=127.0.0.1 port=1 password={SECRET}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "swap.toml"
    path.write_text('[source]\ntable = "public.users"\n', encoding="utf-8")
    return path


@pytest.mark.parametrize("command", [("doctor",), ("status",), ("prepare",), ("init", "users"), ("verify", "--against", NOWHERE)])
@pytest.mark.parametrize("version", ["14.22", "13.3 (Debian 13.3-1)", "9.6.24", "8.0.2", "garbage", ""])
def test_an_old_server_is_refused_by_its_version(cli: Cli, config: Path, command: tuple[str, ...], version: str) -> None:
    """It lacks settings and functions that every session uses, so it is asked for nothing."""
    with Pretender("after the connection", version) as server:
        result = cli(
            *command, *(["--out", "new.toml"] if "init" in command else []), config=config, dsn=server.conninfo(), check=False
        )
        message = judge(result, 3)
        assert "PostgreSQL 15" in message
        assert version in message
        assert server.asked == []


@pytest.mark.parametrize("silence", ["at once", "after authentication", "after the connection"])
@pytest.mark.parametrize("command", ["status", "prepare"])
def test_a_silent_server_is_given_up(cli: Cli, config: Path, silence: Silence, command: str) -> None:
    """connect_timeout limits the answer to the first statements too: libpq's own ends with the connection."""
    with Pretender(silence) as server:
        judge(cli(command, config=config, dsn=server.conninfo(), check=False), 9)
        assert len(server.asked) == (1 if silence == "after the connection" else 0)


def test_a_silent_server_by_the_environment(cli: Cli, config: Path) -> None:
    with Pretender("after the connection") as server:
        dsn = server.conninfo().replace("connect_timeout=2", "")
        message = judge(cli("status", config=config, dsn=dsn, env={"PGCONNECT_TIMEOUT": "1"}, check=False), 9)
        assert "did not answer for 1 s" in message


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"E", b"\0" * 100, b"SSH-2.0-OpenSSH\r\n", b"R\0\0\0\x02"]
)
def test_what_is_no_postgresql(cli: Cli, config: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):  # libpq tries again with an older protocol
                try:
                    client, _address = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(1)
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        dsn = f"host=127.0.0.1 port={port} sslmode=disable gssencmode=disable connect_timeout=2"
        judge(cli("status", config=config, dsn=dsn, check=False), 9)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


DSNS = [
    "host=" + "a" * 3000, "host=a..b", "host=.", "host=" + ".".join(["a" * 60] * 20), "host=é" + "x" * 70, "host=-", "host=%",
    "host=127.0.0.1 port=0", "host=127.0.0.1 port=65536", "host=127.0.0.1 port=-1", "host=127.0.0.1 port=x",
    "host=127.0.0.1 port=" + "9" * 5000, "host=127.0.0.1,127.0.0.1 port=1,2,3", "host=/no/such/directory", "host=/" + "s" * 300,
    "hostaddr=nonsense", "host=127.0.0.1 port=1 connect_timeout=x", "host=127.0.0.1 port=1 connect_timeout=" + "9" * 5000,
    "host=127.0.0.1 port=1 connect_timeout=nan", "host=127.0.0.1 port=1 connect_timeout=-1", "service=absent", "host",
    "host=127.0.0.1 port=1 sslmode=maybe", "host=127.0.0.1 port=1 unknown=1", "host=127.0.0.1 port=1 keepalives=x", "=", "'",
    "host=127.0.0.1 port=1 sslmode=verify-full sslrootcert=/absent", "host=127.0.0.1 port=1 target_session_attrs=x",
    "postgresql://", "postgresql://[::1", "postgresql://a:b:c@/", "postgresql://%zz@h/", "postgresql://h:99999999999/", "http://h/",
    "host=127.0.0.1 port=1 passfile=/", "host=127.0.0.1 port=1 options='-c a'", "host=127.0.0.1 port=1 dbname=" + "d" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("dsn", DSNS, ids=range(len(DSNS)))
def test_impossible_connection_strings(cli: Cli, config: Path, dsn: str) -> None:
    message = judge(cli("status", config=config, dsn=dsn, env={"PGCONNECT_TIMEOUT": "2"}, check=False), 2, 9)
    assert len(message) < 1000


VARIABLES = {
    "PGCONNECT_TIMEOUT": ["abc", "1;2", "9" * 5000, "-5", "1e3", "nan", "inf"],
    "PGPORT": ["abc", "999999", "-1", " ", "5432;", "9" * 5000],
    "PGHOSTADDR": ["abc", "999.1.1.1"],
    "PGSERVICE": ["absent"],
    "PGSERVICEFILE": ["/", "/absent", "/dev/full"],
    "PGPASSFILE": ["/", "/absent"],
    "PGSSLMODE": ["maybe"],
    "PGSSLROOTCERT": ["/absent"],
    "PGOPTIONS": ["-c", "x" * 5000],
    "PGTARGETSESSIONATTRS": ["x"],
    "PGCHANNELBINDING": ["x"],
    "PGREQUIREAUTH": ["x"],
    "PGGSSENCMODE": ["x"],
    "PGLOADBALANCEHOSTS": ["x"],
    "PGCLIENTENCODING": ["x"],
    "PGMINPROTOCOLVERSION": ["x"],
    "PGDATABASE": ["d" * 5000],
    "PGUSER": ["u" * 5000],
    "SWAP_DSN": [" ", "host", "="],
    "SWAP_CONFIG": ["/", "/absent", "/dev/zero"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in VARIABLES.items() for v in values])
def test_impossible_variables(cli: Cli, config: Path, name: str, value: str) -> None:
    env = {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGPASSWORD": SECRET, "SWAP_CONFIG": str(config), name: value}
    message = judge(cli("status", env=env, check=False), 2, 9)
    assert len(message) < 1000


def test_a_broken_service_file(cli: Cli, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "services"
    for text in (
        "[s\nhost=x\n",
        "nonsense\n",
        "[s]\nnonsense=1\n",
        "[s]\nhost\n",
        "[s]\nport=x\n",
        "\0\0\0",
        "[s]\n" + "x" * 10_000,
    ):
        path.write_text(text, encoding="utf-8")
        env = {"PGSERVICE": "s", "PGSERVICEFILE": str(path), "PGHOST": "127.0.0.1", "PGPORT": "1"}
        judge(cli("status", config=config, env=env, check=False), 2, 9)


def test_the_limit_of_an_answer_is_a_number_of_seconds() -> None:
    assert [_seconds(t) for t in ("3", "1e3", " 7 ", "1" + "0" * 30)] == [3.0, 1000.0, 7.0, 86_400.0]
    assert [_seconds(t) for t in (None, "", "0", "-5", "x", "nan", "inf")] == [10.0] * 7
