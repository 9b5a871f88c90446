"""Every throttle fires for its cause and lets go without it; the reason is told; and `swap set` steers a `sync` that runs.

The table of docs/throttles.md names the tests of this module.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from swap.core.config import Sync
from swap.core.connection import Database as Conninfo
from swap.core.throttle_settings import Throttle
from swap.demo.server import Server
from swap.sync.throttle.outside import disk_reason, query_reason, url_reason
from swap.sync.throttle.server import WalClock, server_reasons
from tests.support.commands import ROOT, Cli, RunningCli
from tests.support.migration import Session, install
from tests.support.replica import Replica
from tests.support.servers import Connect, Database, DatabaseServer
from tests.support.waiting import wait_until
from tests.support.watched import WatchedOperator

WRITE_WAL = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))"

WRITE_LITTLE = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 50000))::text"


class Health(HTTPServer):
    """Answers each request with `status`. Closed at the end of the test."""

    status = 200

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                self.send_response(self.server.status)  # type: ignore[attr-defined]
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/health?token=secret"


@pytest.fixture
def health() -> Iterator[Health]:
    with Health() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def op(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> WatchedOperator:
    return WatchedOperator(cli, database, connect(database.superuser), tmp_path)


@contextmanager
def sees_others(op: WatchedOperator) -> Iterator[None]:
    """The tool's role may see what other sessions do."""
    op.watcher.execute("GRANT pg_read_all_stats TO swap_owner")
    try:
        yield
    finally:
        op.watcher.execute("REVOKE pg_read_all_stats FROM swap_owner")


@dataclass
class Night:
    """A running `sync` that follows, and what it says of its waits."""

    op: WatchedOperator
    sync: RunningCli

    def told(self) -> str:
        """Why it waits; empty where it goes on."""
        found = self.op.ask("SELECT CASE kind WHEN 'held' THEN message ELSE '' END FROM swap.event"
                            " WHERE kind IN ('held', 'going on') ORDER BY id DESC LIMIT 1")  # fmt: skip
        return found or ""

    def set(self, **settings: object) -> None:
        """As `swap set` does, without its process."""
        named = {f"throttle.{name}": value for name, value in settings.items()}
        self.op.watcher.execute("INSERT INTO swap.event (run_id, kind, message) VALUES (1, 'set', %s)", [json.dumps(named)])

    def waits(self, said: str) -> str:
        return self.sync.until(lambda: self.told() if said in self.told() else "", 30, f"it waits: {said}")

    def goes_on(self) -> None:
        self.sync.until(lambda: not self.told(), 30, "it goes on")
        self.op.watcher.execute("UPDATE users SET n = n + 1 WHERE id = 1")
        self.sync.until(lambda: self.op.ask("SELECT (SELECT n FROM users WHERE id = 1) = (SELECT n FROM users_new WHERE email = 'user1')"), 30, "replay")  # fmt: skip


def closed_now() -> str:
    """A window that is not open, whatever the time is."""
    now = datetime.now(UTC)
    return f"{now + timedelta(hours=6):%H:%M}-{now + timedelta(hours=7):%H:%M} UTC"


def test_throttles_of_the_configuration(op: WatchedOperator, health: Health, tmp_path: Path) -> None:
    """throttle.window, query, flag_file, url, min_free_disk_bytes with free_disk_command: given each cause, then `sync` waits and says
    so on stderr, in status and in the journal; without it, it goes on. A window holds the build alone."""
    flag, free = tmp_path / "flag", tmp_path / "free"
    free.write_text("5000\n", encoding="utf-8")
    op.watcher.execute("CREATE TABLE public.switch AS SELECT 0::numeric AS load; GRANT SELECT ON public.switch TO swap_owner")
    with op.config.open("a", encoding="utf-8") as f:
        f.write(
            f"""
[throttle]
window = "{closed_now()}"
query = "SELECT load FROM public.switch WHERE load % 1000 > 0"
query_max = 20
flag_file = "{flag}"
url = "{health.url}"
min_free_disk_bytes = 4000
free_disk_command = ["cat", "{free}"]
"""
        )
    op("prepare")
    night = Night(op, op.start("sync"))
    night.sync.wait_line("waiting: .*throttle.window")
    night.waits("the window opens at")
    assert op.ask("SELECT count(*) FROM swap.chunk") == 0
    assert "throttle.window" in op.status()["throttle"]
    op("set", "throttle.window=off")
    night.sync.until(lambda: op.phase() == "syncing", 30, "the build")
    op("set", "--reset")  # closed again: replay goes on beside it

    flag.touch()
    assert str(flag) in night.waits("throttle.flag_file")
    assert str(flag) in op.status()["throttle"]
    op.watcher.execute("UPDATE users SET n = n + 1")
    flag.unlink()
    night.goes_on()
    health.status = 503
    assert "secret" not in night.waits("says wait (503")
    health.status = 200
    night.goes_on()
    op.watcher.execute("UPDATE switch SET load = 20.5")
    night.waits("the query gave 20.5 (throttle.query_max = 20)")
    op.watcher.execute("UPDATE switch SET load = 20")
    night.goes_on()
    free.write_text("3999", encoding="utf-8")
    night.waits("3,999 bytes of disk are free (throttle.min_free_disk_bytes = 4,000)")
    op("set", "throttle.min_free_disk_bytes=3000")
    night.goes_on()
    assert night.sync.terminate().code == 0


@pytest.mark.slow
def test_throttles_of_the_server(op: WatchedOperator, connect: Connect) -> None:
    """sync.max_replica_lag_bytes, throttle.max_replica_lag_s, max_load, max_lock_waits, max_wal_bytes_per_s, max_slot_wal_bytes: given
    each cause, made by real sessions, then `sync` waits and says so; without it, it goes on."""
    op("prepare")
    op("sync", "--once")
    op.config.write_text(op.config.read_text(encoding="utf-8").replace("[sync]", "[sync]\nmax_replica_lag_bytes = 5000000"))
    night = Night(op, op.start("sync"))
    with ExitStack() as stack:
        night.set(max_load=0)
        busy = stack.enter_context(busy_session(connect, op.db.app))
        assert "GRANT pg_read_all_stats TO swap_owner" in night.waits("throttle.max_load")
        stack.enter_context(sees_others(op))
        night.waits("active sessions: 1 (throttle.max_load = 0)")
        busy.set()
        night.goes_on()
        night.set(max_lock_waits=0)
        with lock_wait(connect, op.db.app):
            night.waits("sessions that wait for a lock: 1 (throttle.max_lock_waits = 0)")
        night.goes_on()
        night.set(max_replica_lag_s=1)
        with Replica(op.db.superuser, "far") as far:
            far.replayed()
            wait_until(lambda: op.ask("SELECT state FROM pg_stat_replication") == "streaming", what="it streams")
            op.watcher.execute(WRITE_WAL)
            night.waits("replica far is ")
            assert "throttle.max_replica_lag_s = 1" in night.told()
            night.set()
            night.goes_on()
            for _ in range(6):
                op.watcher.execute(WRITE_WAL)
            night.waits("sync.max_replica_lag_bytes = 5,000,000")
            far.replayed(op.ask("SELECT (pg_current_wal_lsn() - '0/0')::bigint"))
            night.goes_on()
        night.set(max_wal_bytes_per_s=1_000_000)
        night.sync.until(lambda: "throttle.max_wal_bytes_per_s" in (op.ask(WRITE_LITTLE) and night.told()), 30, "WAL")
        night.goes_on()
        op.watcher.execute("SELECT pg_create_physical_replication_slot('far', true)")
        stack.callback(lambda: op.watcher.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'far'"))  # fmt: skip
        night.set(max_slot_wal_bytes=3_000_000)
        for _ in range(4):
            op.watcher.execute(WRITE_WAL)
        night.waits("the slot far keeps")
        op.watcher.execute("SELECT pg_drop_replication_slot('far')")
        night.goes_on()
    assert night.sync.terminate().code == 0


@contextmanager
def busy_session(connect: Connect, conninfo: str) -> Iterator[threading.Event]:
    """A session that is active until the event is set, or the block ends."""
    conn, done = connect(conninfo), threading.Event()
    thread = threading.Thread(target=lambda: until_cancelled(conn))
    thread.start()
    ender = threading.Thread(target=lambda: cancel(conn, thread, done))
    ender.start()
    try:
        yield done
    finally:
        done.set()
        ender.join()
        thread.join()


def until_cancelled(conn: Session) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        conn.execute("SELECT pg_sleep(600)")


def cancel(conn: Session, thread: threading.Thread, when: threading.Event) -> None:
    when.wait()
    while thread.is_alive():
        conn.cancel_safe()
        thread.join(0.05)


@contextmanager
def lock_wait(connect: Connect, conninfo: str) -> Iterator[None]:
    """Two sessions of which one waits for the other."""
    holder, waiter = connect(conninfo), connect(conninfo)
    holder.execute("SELECT pg_advisory_lock(77)")
    thread = threading.Thread(target=lambda: waiter.execute("SELECT pg_advisory_lock(77)"))
    thread.start()
    try:
        yield
    finally:
        holder.execute("SELECT pg_advisory_unlock(77)")
        thread.join()


# What gives no clear answer.


@pytest.mark.parametrize(
    ("query", "limit", "said"),
    [
        ("SELECT true", 0, "says wait"),
        ("SELECT false", 0, ""),
        ("SELECT NULL::integer", 0, ""),
        ("SELECT 1 WHERE false", 0, ""),
        ("SELECT 3.5::float8", 3, "gave 3.5"),
        ("SELECT 3", 3, ""),
        ("SELECT 'NaN'::numeric", 3, "gave nan"),
        ("SELECT 'no'::text", 0, "neither true, false nor a number"),
        ("SELECT 1/0", 0, "division by zero"),
        ("SELECT 1; SELECT 2", 0, "multiple commands"),
        ("CREATE TABLE t ()", 0, "read-only"),
        ("SELECT pg_sleep(5)", 0, "statement timeout"),
    ],
)
def test_an_answer_of_the_query(database: Database, query: str, limit: float, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swap.sync.throttle.outside.QUERY_TIMEOUT_MS", 300)
    with closing(Conninfo.from_options(database.superuser, "test").connect()) as conn:
        found = query_reason(conn, query, limit)
        assert (said in found) if said else found == "", found
        assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("status", "said"), [(200, ""), (503, "says wait"), (302, "answered 302, not 200"), (404, "answered 404")]
)
def test_an_answer_of_the_url(health: Health, status: int, said: str) -> None:
    health.status = status
    found = url_reason(health.url)
    assert (said in found) if said else found == "", found


def test_a_url_that_nobody_answers(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener takes the connection, and its program hangs; or nobody listens."""
    monkeypatch.setattr("swap.sync.throttle.outside.URL_TIMEOUT_S", 0.2)
    with closing(HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler).socket) as silent:
        port = silent.getsockname()[1]
        assert "gave no answer: timed out" in url_reason(f"http://127.0.0.1:{port}/")
    assert "gave no answer: Connection refused" in url_reason(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["echo", "99"], "99 bytes of disk are free"),
        (["echo", "100"], ""),
        (["echo", "many"], "which is no number of bytes"),
        (["false"], "ended with code 1"),
        (["/no/such/program"], "could not be started: No such file"),
        (["sleep", "60"], "still ran after"),
    ],
)
def test_an_answer_about_the_disk(database: Database, command: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swap.sync.throttle.outside.COMMAND_TIMEOUT_S", 0.3)
    with closing(Conninfo.from_options(database.superuser, "test").connect()) as conn:
        found = disk_reason(conn, command, 100)
        assert (said in found) if said else found == "", found


def test_the_disk_of_a_server_on_this_machine(database: Database, server: DatabaseServer) -> None:
    """By a Unix socket the file system of the data directory is asked; a role that may not know where it is learns whom to ask, and so
    does who is connected by TCP."""
    if not isinstance(server, Server):
        pytest.skip("the server is in a container")
    install(database, "")
    by_socket = make_conninfo("", host=str(server.layout.sockets), port=server.port, dbname=database.dbname)
    with closing(Conninfo.from_options(make_conninfo(by_socket, user="postgres"), "test").connect()) as conn:
        assert disk_reason(conn, None, 1) == ""
        assert "throttle.min_free_disk_bytes = " in disk_reason(conn, None, 2**62)
    with closing(Conninfo.from_options(make_conninfo(by_socket, user="swap_owner"), "test").connect()) as conn:
        assert "GRANT pg_read_all_settings" in disk_reason(conn, None, 1)
    by_tcp = make_conninfo(by_socket, host="127.0.0.1", user="postgres")
    with closing(Conninfo.from_options(by_tcp, "test").connect()) as conn:
        assert "set throttle.free_disk_command" in disk_reason(conn, None, 1)


def test_the_clock_of_the_wal() -> None:
    """The lag of a replica that stands still grows; the rate is that of the last seconds."""
    wal = WalClock()
    for second in range(20):
        wal.add(float(second), 1000 * second)
    assert wal.behind_s(19_000, 19.0) == 0.0
    assert wal.behind_s(9_000, 19.0) == 9.0
    assert wal.behind_s(9_000, 25.0) == 15.0
    assert wal.bytes_per_s() == 1000.0
    wal.add(20.0, 1_019_000)
    assert wal.bytes_per_s() == pytest.approx(1_004_000 / 5)


def test_nothing_is_asked_that_has_no_limit(database: Database) -> None:
    """Given no throttle but the default one, then one query a second, of pg_stat_replication."""
    asked: list[Any] = []
    with closing(Conninfo.from_options(database.superuser, "test").connect()) as conn:

        class Counting:
            info = conn.info

            def cursor(self, **options: Any) -> Any:
                asked.append(options)
                return conn.cursor(**options)

        assert list(server_reasons(Counting(), Sync(), Throttle(), WalClock(), 0.0)) == []  # type: ignore[arg-type]
    assert len(asked) == 1


def test_the_table_of_throttles_is_true() -> None:
    """docs/throttles.md has a row for each throttle, and every test that it names is there."""
    text = (ROOT / "docs" / "throttles.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name in set(Throttle.model_fields) - {"query_max", "free_disk_command"}:
        (row,) = [r for r in rows if r.startswith(f"| `throttle.{name}`")]
        assert re.search(r"`test_throttles_of_the_\w+`", row), name
    for test in re.findall(r"`(test_\w+)`", text):
        assert test in globals(), test
