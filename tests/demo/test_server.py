"""The private servers that all other tests use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from swap.demo.binaries import WHEELS, copy_installation, find_binaries
from swap.demo.directory import PREFIX
from swap.demo.server import Server, ServerError
from tests.support.dump import schema_dump
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_for_lock_wait, wait_until

MAJOR = os.environ.get("SWAP_TEST_PG", "18")
pytestmark = pytest.mark.skipif(not MAJOR.isdecimal(), reason="private servers are not used with SWAP_TEST_PG=docker:…")


@pytest.fixture
def base_dir() -> Iterator[Path]:
    """A parent directory that the server's user may pass through, as /tmp. tmp_path is private."""
    with tempfile.TemporaryDirectory(prefix="swap-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path
        assert list(path.glob(f"{PREFIX}*")) == [], "a server's directory was left behind"


def query(server: Server, statement: str, **options: str) -> object:
    with psycopg.connect(server.conninfo(**options)) as conn:
        row = conn.execute(statement.encode()).fetchone()
    return row[0] if row else None


def alive(pid: int) -> bool:
    """An orphan may stay as a zombie for a moment, until the init process collects it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_starts_with_the_settings_the_tool_needs_and_leaves_nothing(base_dir: Path) -> None:
    with Server.start(MAJOR, {"work_mem": "7MB"}, base_dir) as server:
        shown = {
            name: query(server, f"SHOW {name}")
            for name in ("wal_level", "work_mem", "fsync", "server_encoding", "max_prepared_transactions")
        }
        version = query(server, "SELECT current_setting('server_version_num')::int / 10000")
        account = psutil.Process(server.pid).username()
    assert shown == {
        "wal_level": "logical",
        "work_mem": "7MB",
        "fsync": "off",
        "server_encoding": "UTF8",
        "max_prepared_transactions": "10",
    }
    assert version == int(MAJOR)
    assert account != "root"


def test_durable_server_keeps_fsync_on(base_dir: Path) -> None:
    with Server.start(MAJOR, base_dir=base_dir, durable=True) as server:
        assert query(server, "SHOW fsync") == "on"


def test_stop_ends_the_processes_and_frees_the_port(base_dir: Path) -> None:
    server = Server.start(MAJOR, base_dir=base_dir, tcp=True)
    pid, port = server.pid, server.port
    children = psutil.Process(pid).children()
    server.stop()
    server.stop()
    assert not alive(pid)
    assert not any(child.is_running() for child in children)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(ServerError, match="not running"):
        _ = server.pid


def test_crash_keeps_what_was_committed_and_restart_keeps_the_port(base_dir: Path) -> None:
    with Server.start(MAJOR, base_dir=base_dir) as server:
        conninfo = server.conninfo()
        with psycopg.connect(conninfo) as conn:
            conn.execute("CREATE TABLE t AS SELECT 42 AS x")
        survivor = psycopg.connect(conninfo)
        survivor.execute("INSERT INTO t VALUES (43)")
        server.crash()
        with pytest.raises(psycopg.OperationalError):
            survivor.execute("SELECT 1")
        survivor.close()
        server.restart()
        assert server.conninfo() == conninfo
        assert query(server, "SELECT array_agg(x) FROM t") == [42]
        assert "was not properly shut down" in server.log_tail(100)
        server.restart()
        assert query(server, "SELECT x FROM t") == 42


def test_password_is_required_and_odd_characters_survive_the_uri(base_dir: Path) -> None:
    password = "p@ss w/ord'\\%:"
    with Server.start(MAJOR, base_dir=base_dir, auth="scram-sha-256", superuser_password=password) as server:
        assert query(server, "SELECT 1") == 1
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.conninfo(password="wrong"))
        assert not (server.layout.base / "password").exists()


def test_scram_without_a_password_is_refused(base_dir: Path) -> None:
    with pytest.raises(ValueError, match="superuser_password"):
        Server.start(MAJOR, base_dir=base_dir, auth="scram-sha-256")


def test_a_server_that_dies_while_starting_shows_its_log(base_dir: Path) -> None:
    with pytest.raises(ServerError, match="no_such_setting"):
        Server.start(MAJOR, {"no_such_setting": "1"}, base_dir)


def test_an_owner_and_a_watchdog_that_were_killed_leave_a_server_that_the_next_start_removes(base_dir: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from swap.demo.server import Server\n"
        "server = Server.start(sys.argv[1], base_dir=Path(sys.argv[2]))\n"
        "print(server.pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, MAJOR, str(base_dir)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        orphan = int(owner.stdout.readline())
        with Server.start(MAJOR, base_dir=base_dir):
            assert alive(orphan), "an owner that lives keeps its server"
        for child in psutil.Process(owner.pid).children():
            if "swap.demo.watchdog" in child.cmdline():
                child.kill()
        owner.send_signal(signal.SIGKILL)
    assert alive(orphan)
    with Server.start(MAJOR, base_dir=base_dir):
        assert not alive(orphan)
        assert len(list(base_dir.glob(f"{PREFIX}*"))) == 1


def test_a_recorded_pid_that_now_belongs_to_something_else_is_left_alone(base_dir: Path) -> None:
    stale = base_dir / f"{PREFIX}stale"
    (stale / "data").mkdir(parents=True)
    (stale / "owner").touch()
    (stale / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with Server.start(MAJOR, base_dir=base_dir):
        assert not stale.exists()


@pytest.mark.parametrize("spec", ["9", "nonsense", "../18"])
def test_a_version_that_is_not_installed_is_one_clear_line(spec: str) -> None:
    with pytest.raises(LookupError) as raised:
        find_binaries(spec)
    assert len(str(raised.value).splitlines()) == 1
    assert spec in str(raised.value)


def test_wheels_are_found_without_being_imported() -> None:
    script = (
        "import sys; from swap.demo.binaries import WHEELS, find_binaries\n"
        "assert find_binaries('18').name == 'bin'; assert not set(WHEELS.values()) & set(sys.modules)"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": root}, check=True)


@pytest.mark.skipif(MAJOR not in WHEELS, reason="only a wheel can be out of the server user's reach")
def test_a_copied_wheel_runs_with_its_own_libraries(tmp_path: Path) -> None:
    bindir = copy_installation(find_binaries(MAJOR), tmp_path / "install")
    for program in ("postgres", "initdb", "pg_dump"):
        done = subprocess.run([bindir / program, "--version"], capture_output=True, text=True, check=True)
        assert f" {MAJOR}." in done.stdout


def test_fixture_database_is_fresh_and_dumps_without_noise(server: DatabaseServer, database: Database, connect: Connect) -> None:
    connect(database.superuser).execute("CREATE TABLE t (id bigint PRIMARY KEY); CREATE SCHEMA swap; CREATE TABLE swap.run ()")
    dump = schema_dump(server, database.dbname)
    assert "CREATE TABLE public.t" in dump
    assert "swap" not in dump
    assert dump == schema_dump(server, database.dbname)
    assert "restrict" not in dump


def test_wait_for_lock_wait_names_the_session_in_the_way(database: Database, connect: Connect) -> None:
    observer, holder = connect(database.superuser), connect(database.superuser, autocommit=False)
    observer.execute("CREATE TABLE t ()")
    holder.execute("LOCK TABLE t")
    with subprocess.Popen([sys.executable, "-c", WAITER, database.superuser], stdout=subprocess.PIPE) as waiter:
        assert waiter.stdout is not None
        pid = int(waiter.stdout.readline())
        assert wait_for_lock_wait(observer, pid) == [holder.info.backend_pid]
        holder.rollback()
        assert waiter.wait(30) == 0
    wait_until(lambda: observer.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is None)


WAITER = """
import psycopg, sys
with psycopg.connect(sys.argv[1]) as conn:
    print(conn.info.backend_pid, flush=True)
    conn.execute("TABLE t")
"""
