"""PgBouncer around an exchange: paused, resumed whatever happens, and no error for the application (H39, I1)."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

import cutover.pooler
from cutover.pause_watchdog import PauseWatchdog
from cutover.run import Outcome
from swap.core.config import Config, load_config
from swap.core.errors import UnreachableError, UsageError
from swap.core.pgbouncer import Console
from swap.demo.load import Load, check
from swap.doctor.pooler import check_pooler
from swap.state.journal import Phase
from tests.support.cycling import Start
from tests.support.migration import background, install
from tests.support.operator import MakeOperator, Operator
from tests.support.pooling import PASSWORD, PgBouncer, Pooled, pgbouncer
from tests.support.servers import Connect, Database, Execute
from tests.support.waiting import wait_for_lock_wait, wait_until

__all__ = ["pgbouncer"]
QUICK = "[cutover]\nmax_attempts = 2\nlock_timeout_ms = 300\n"


def pooled(op: Operator, bouncer: PgBouncer, more: str = "") -> None:
    """From now on the configuration knows the pooler."""
    text = op.config.read_text(encoding="utf-8")
    op.config.write_text(f"{text}\n{bouncer.settings(more)}", encoding="utf-8")


@dataclass(frozen=True)
class Seen:
    """What the application met beside its acknowledged transactions."""

    transactions: int
    errors: int
    longest_wait_ms: float

    @classmethod
    def by(cls, load: Load) -> Seen:
        s = load.stats()
        return cls(s.transactions, s.retried + s.reshaped + s.stale_reads + s.reconnected + len(s.errors), s.longest_stall_ms)


def there_and_back(op: Operator, conninfo: str) -> tuple[Seen, list[float | None]]:
    """A cutover and a revert under load; every acknowledged write is there."""
    held = []
    with Load(conninfo, workers=4, rate=100, steady=True) as load:
        for command in (["cutover", "--yes", "--no-snapshot"], ["revert", "--yes"]):
            assert op("verify").json["verdict"] == "identical"
            held.append(op(*command).json["paused_ms"])
            load.wait_for(20)
        load.stop()
        seen, report = Seen.by(load), check(op.db.superuser, load)
        assert report.ok, (report.details, load.stats())
    return seen, held


@pytest.mark.slow
def test_no_error_for_the_application(
    ready_operator: MakeOperator, pgbouncer: Pooled, connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    """I1, H39: the same load through PgBouncer and beside it, over a cutover and a revert each. Through it there is no
    error, only a wait; a session of before goes on, on server connections of after."""
    op = ready_operator()
    direct, held = there_and_back(op, op.db.app)
    assert held == [None, None]
    bouncer = pgbouncer(op.db)
    pooled(op, bouncer)
    client = connect(bouncer.conninfo("app"), prepare_threshold=None)
    before = client.execute("SELECT pg_backend_pid()").fetchone()
    through, held = there_and_back(op, bouncer.conninfo("app"))
    assert all(ms is not None and ms > 0 for ms in held)
    assert client.execute("SELECT pg_backend_pid()").fetchone() != before
    assert not bouncer.paused()
    with capsys.disabled():
        print(f"\nwithout PgBouncer {direct}\nthrough PgBouncer {through}, paused {held} ms")
    assert through.errors == 0
    assert through.transactions > 40


def test_refused_before_anything(ready_operator: MakeOperator, pgbouncer: Pooled) -> None:
    """Unreachable, paused by somebody else, of another name: one line and an exit code, nothing changed, no password."""
    op = ready_operator()
    bouncer = pgbouncer(op.db)
    pooled(op, bouncer)
    bouncer.console(f"PAUSE {bouncer.name}")
    error = op.refused("cutover", "--yes", "--no-snapshot", code=3)
    assert "paused already" in error["message"]
    assert f'RESUME "{bouncer.name}";' in error["hint"]
    assert op.status()["pooler"] == [
        {"pooler": f"PgBouncer at 127.0.0.1:{bouncer.port}", "database": bouncer.name, "paused": True}
    ]
    bouncer.console(f"RESUME {bouncer.name}")
    text = op.config.read_text()
    wrong = {
        "databases": (text + 'databases = ["elsewhere"]\n', 3, bouncer.name),
        "no console": (text.replace("/pgbouncer", f"/{bouncer.name}").replace("adm:", "app:").replace(PASSWORD, "app"), 3, "not to the admin console"),
        "password": (text.replace(PASSWORD, f"{PASSWORD}-wrong"), 9, "password authentication failed"),
    }  # fmt: skip
    for config, code, said in wrong.values():
        op.config.write_text(config)
        error = op.refused("cutover", "--yes", "--no-snapshot", code=code)
        assert said in str(error)
        assert PASSWORD not in str(error)
    op.config.write_text(text)
    bouncer.stop()
    error = op.refused("cutover", "--yes", "--no-snapshot", code=9)
    assert error["state"] == "Nothing was changed."
    assert PASSWORD not in str(error)
    status = op.status()
    assert status["pooler"] == [{"pooler": f"PgBouncer at 127.0.0.1:{bouncer.port}", "database": bouncer.name, "paused": None}]
    assert (status["phase"], status["last_attempt"]) == ("syncing", None)


def test_an_attempt_that_fails_resumes(ready_operator: MakeOperator, pgbouncer: Pooled, connect: Connect, admin: Execute) -> None:
    """A lock that is not free, and a pause that is not reached: 4, who was in the way, and the clients go on each time."""
    op = ready_operator(settings=QUICK)
    bouncer = pgbouncer(op.db)
    pooled(op, bouncer, "pause_timeout_ms = 200\n")
    reader = connect(op.db.superuser, autocommit=False)
    reader.execute("SELECT count(*) FROM users")
    error = op.refused("cutover", "--yes", "--no-snapshot", code=4)
    assert f"pid {reader.info.backend_pid}" in error["message"]
    assert not bouncer.paused()
    reader.rollback()
    client = connect(bouncer.conninfo("app"), prepare_threshold=None, autocommit=False)
    row = client.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    error = op.refused("cutover", "--yes", "--no-snapshot", code=4)
    assert f"was not paused within 200 ms: a transaction goes on; pid {row[0]} app" in error["message"]
    assert not bouncer.paused()
    assert client.execute("SELECT 1").fetchone() == (1,)
    op.config.write_text(op.config.read_text().replace("[cutover]", '[cutover]\nkill_blockers = "idle-in-transaction"'))
    admin(sql.SQL("GRANT app TO swap_owner"))
    try:
        op.refused("cutover", "--yes", "--no-snapshot", code=4)
        client.execute("SELECT count(*) FROM users")  # it has held none of the tables so far
        assert op("cutover", "--yes", "--no-snapshot", "--max-attempts", "9").json["paused_ms"] is not None
    finally:
        admin(sql.SQL("REVOKE app FROM swap_owner"))
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")


def watchdogs() -> list[psutil.Process]:
    """This process's watchdogs that are at work."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # ended meanwhile, or a zombie
            if "cutover.pause_watchdog" in child.cmdline():
                found.append(child)
    return found


def test_pgbouncer_goes_away_while_paused(
    start: Start, database: Database, pgbouncer: Pooled, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange is committed and followed up. PgBouncer that is back within the patience has nothing paused: 0. One that
    stays away is said: 9, with the state, and what to do."""
    install(database, "CREATE TABLE users (id bigserial PRIMARY KEY); INSERT INTO users SELECT FROM generate_series(1, 9)")
    bouncer = pgbouncer(database)
    settings = {"admin_dsn": bouncer.admin_dsn, "databases": [bouncer.name]}
    cycle = start("SELECT 1", pgbouncer=settings, cutover={"lock_timeout_ms": 60_000})
    cycle.ready()
    look = connect(database.superuser)

    def exchange(kind: str) -> Outcome:
        with connect(database.superuser, autocommit=False) as holder:
            holder.execute("SELECT count(*) FROM users")
            with background(lambda: cycle.exchange(kind), holder.rollback) as running:
                wait_for_lock_wait(look, cycle.m.pid)
                assert bouncer.paused()
                bouncer.stop()
                holder.rollback()
                there = "SELECT to_regclass('users_old') IS NOT NULL"
                wait_until(lambda: look.execute(there).fetchone() == (kind == "cutover",), 30, "the exchange")
                if kind == "cutover":
                    bouncer.start()
                outcome: Outcome = running.result(60)
                return outcome

    assert exchange("cutover").outcome == "committed"
    cycle.caught_up()
    monkeypatch.setattr(cutover.pooler, "PATIENCE_S", 0.1)
    with pytest.raises(UnreachableError, match="was not reached") as told:
        exchange("revert")
    assert told.value.state == "The revert is committed, and its follow-up is done."
    assert f'RESUME "{bouncer.name}";' in told.value.hint
    assert cycle.m.journal.get(cycle.m.run.id).phase is Phase.SYNCING
    assert watchdogs(), "it goes on trying"
    bouncer.start()
    wait_until(lambda: not watchdogs(), 30, "the watchdog has ended")


@pytest.mark.slow
def test_killed_while_paused(ready_operator: MakeOperator, pgbouncer: Pooled, connect: Connect) -> None:
    """I4: SIGKILL between PAUSE and RESUME, and during the PAUSE: nobody of the command's is left but its watchdog, which
    resumes."""
    op = ready_operator(settings="[cutover]\nlock_timeout_ms = 60000\n")
    bouncer = pgbouncer(op.db)
    pooled(op, bouncer, "pause_timeout_ms = 60000\n")
    look = connect(op.db.superuser)
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'swap cutover' AND wait_event_type = 'Lock'"
    for conninfo, direct in ((op.db.superuser, True), (bouncer.conninfo("app"), False)):
        holder = connect(conninfo, prepare_threshold=None, autocommit=False)
        holder.execute("SELECT count(*) FROM users")
        running = op.start("cutover", "--yes", "--no-snapshot")
        wait_until(bouncer.paused, 30, "the pause")
        if direct:
            wait_until(lambda: look.execute(waits).fetchone(), 30, "it waits for its lock")
        running.kill()
        wait_until(lambda: not bouncer.paused(), 30, "the watchdog has resumed")
        with psycopg.connect(bouncer.conninfo("app"), prepare_threshold=None) as client:
            assert client.execute("SELECT 1").fetchone() == (1,)
        holder.rollback()
        assert op.status()["phase"] == "syncing"
    assert op("cutover", "--yes", "--no-snapshot").json["outcome"] == "committed"
    assert not bouncer.paused()


def test_a_pause_does_not_outlast_its_limit(database: Database, pgbouncer: Pooled) -> None:
    """A tool that hangs (here: is stopped) resumes too: the watchdog has a limit."""
    bouncer = pgbouncer(database)
    watchdog, console = PauseWatchdog([bouncer.admin_dsn], [bouncer.name]), Console(bouncer.admin_dsn)
    watchdog.start()
    try:
        watchdog.arm(0.5)
        assert console.pause(bouncer.name, 5)
        assert bouncer.paused()
        wait_until(lambda: not bouncer.paused(), 10, "the watchdog has resumed")
        watchdog.arm(0.5)
        watchdog.disarm()
        assert console.pause(bouncer.name, 5)
        watchdog.close()
        assert bouncer.paused(), "a watchdog that was disarmed leaves it alone"
    finally:
        console.close()
        watchdog.close()


def test_doctor(database: Database, pgbouncer: Pooled, connect: Connect) -> None:
    """Reachable, allowed, of the right names, in a mode that can be paused; it pauses nothing, and shows no password."""
    install(database, "SELECT 1")
    bouncer, own = pgbouncer(database), connect(database.owner)

    def found(dsn: str = bouncer.admin_dsn, **more: Any) -> list[tuple[str, str]]:
        config = Config.model_validate({"source": {"table": "users"}, "pgbouncer": {"admin_dsn": dsn, **more}})
        findings = check_pooler(config, own)
        assert {f.name for f in findings} == {"pgbouncer"}
        assert PASSWORD not in str(findings)
        return [(f.status, f.detail) for f in findings]

    assert found() == [("ok", f"{bouncer.name} can be paused and resumed")]
    assert found(bouncer.conninfo("watcher", "pgbouncer")) == [("blocker", "this user may look, and may not PAUSE")]
    assert found(databases=["elsewhere"]) == [
        ("blocker", "it has no database elsewhere"),
        ("warning", f"{bouncer.name} lead to the same database, and are not paused"),
    ]
    assert found(bouncer.admin_dsn.replace(PASSWORD, "x"))[0][0] == "blocker"
    bouncer.console(f"PAUSE {bouncer.name}")
    assert found()[0] == ("blocker", f"{bouncer.name} is paused, and its clients are waiting")
    with closing(Console(bouncer.admin_dsn)) as console:  # kept open while a snapshot hook runs, and cut off meanwhile
        assert [p.paused for p in console.pools()] == [True]
        bouncer.stop()
        bouncer.start()
        assert [p.paused for p in console.pools()] == [False]
    bouncer.stop()
    assert found()[0][0] == "blocker"
    assert "pools sessions" in found(pgbouncer(database, mode="session").admin_dsn)[0][1]


def test_a_wrong_dsn_is_not_repeated(tmp_path: Path) -> None:
    """A usage error names the key and its line, and never shows what may hold a password."""
    path = tmp_path / "swap.toml"
    path.write_text(f'[source]\ntable = "users"\n[pgbouncer]\nadmin_dsn = "host=h pasword={PASSWORD}"\n')
    with pytest.raises(UsageError, match=r"line 4: pgbouncer.admin_dsn.0: is not a libpq URI") as e:
        load_config(path)
    assert PASSWORD not in str(e.value)
