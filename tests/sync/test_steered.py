"""The number of sessions of a copy under way: changed by `swap set`, and by how long the application's commits take."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from swap.cli.next_step import next_step
from swap.cli.status import EMPTY
from swap.cli.status_lines import status_lines
from swap.sync.autoscale import CALM_ROUNDS, Pace, decide, limit_ms, p99
from tests.support.commands import Cli
from tests.support.migration import Session
from tests.support.servers import Connect, Database
from tests.support.watched import HOLD, WatchedOperator

HELD = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {HOLD} AND NOT granted"


@pytest.fixture
def op(cli: Cli, database: Database, connect: Connect, tmp_path: Path) -> WatchedOperator:
    """With rows for some twenty ranges of a copy."""
    made = WatchedOperator(cli, database, connect(database.superuser), tmp_path)
    made.watcher.execute("INSERT INTO users (email, n) SELECT 'more' || n, 0 FROM generate_series(1, 80000) n; ANALYZE users")
    return made


def one_more_range_each(session: Session) -> None:
    """Let the ranges go that are held, and hold those after them."""
    session.execute(f"SELECT pg_advisory_unlock({HOLD})".encode())
    session.execute(f"SELECT pg_advisory_lock({HOLD})".encode())


def test_jobs_of_a_running_copy_are_set(op: WatchedOperator) -> None:
    """Given a copy with one session, when `swap set jobs=3`, then two more begin; when `jobs=1`, then two end after the range in hand.
    A `sync` that is killed and started again, with --jobs, keeps to what was set; `--reset` returns to that."""
    op("prepare")
    op.hold("users", 2)
    running = op.start("sync", "--once")
    running.until(lambda: op.ask(HELD) == 1, 60, "one range is held")
    assert op("set", "jobs=3").json["settings"] == [{"name": "jobs", "value": 3}]
    running.until(lambda: op.ask(HELD) == 3, 60, "three are")
    running.kill()
    op.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'swap sync (%'")
    running = op.start("sync", "--once", "--jobs", "2")
    running.until(lambda: op.ask(HELD) == 3, 60, "three again")
    op("set", "jobs=1", "chunk_target_ms=200")
    running.wait_line("set by `swap set`: jobs = 1, chunk_target_ms = 200")
    one_more_range_each(op.watcher)
    running.until(lambda: op.ask(HELD) == 1, 60, "one is left")
    op("set", "--reset", "jobs")
    running.until(lambda: op.ask(HELD) == 2, 60, "as --jobs says")
    assert op.status()["settings"] == [{"name": "chunk_target_ms", "value": 200}]
    op.let_go()
    assert running.wait().code == 0
    op.assert_finished()
    error = op.refused("set", "jobs=99", code=2)
    assert "jobs: Input should be less than or equal to 64" in error["message"]
    assert op("set").json["settings"] == [{"name": "chunk_target_ms", "value": 200}]
    assert next(c["options"] for c in op("history").json["commands"] if c["command"] == "swap set") == "jobs=3 --json"


@pytest.mark.slow
def test_jobs_go_down_while_commits_are_slow(op: WatchedOperator, connect: Connect) -> None:
    """Given a copy with four sessions and `max_jobs`, when a lock makes the probe of commits wait, then jobs go down to one, status says
    why, and the copy goes on; when it does not wait any more, they go up."""
    op.config.write_text(
        op.config.read_text(encoding="utf-8").replace("jobs = 1", "jobs = 4\nmax_jobs = 4\nmax_slowdown = 50.0"), encoding="utf-8"
    )
    op("prepare")
    op.hold("users", 2)
    running = op.start("sync", "--once")
    running.wait_line("waiting: how long a commit takes without the backfill")
    running.until(lambda: op.ask(HELD) == 4, 60, "four ranges are held")
    told = op.status()["autoscale"]
    assert (told["jobs"], told["max_jobs"]) == (4, 4)
    assert told["limit_ms"] > told["normal_ms"] > 0
    with closing(connect(op.db.superuser, autocommit=False)) as blocker:
        blocker.execute("SELECT FROM swap.bound WHERE part = 'commit probe' FOR UPDATE")
        assert "4 jobs become 2: a commit takes" in running.wait_line("4 jobs become")
        running.wait_line("2 jobs become 1")
        one_more_range_each(op.watcher)
        running.until(lambda: op.ask(HELD) == 1, 60, "one session goes on")
        assert op.status()["autoscale"]["commit_ms"] > told["limit_ms"]
    running.until(lambda: op.ask(HELD) == 2, 60, "another one begins")
    op.let_go()
    assert running.wait().code == 0
    assert op.ask("SELECT count(*) FROM swap.bound WHERE part = 'commit probe'") == 0
    op.assert_finished()


def test_status_says_what_steers_the_night() -> None:
    """What is set, what is measured, why it waits, and a cutover that waits, in words; one line each."""
    told = EMPTY | {
        "run_id": "1", "phase": "syncing", "mode": "trigger", "replay": {}, "throttle": "active sessions: 41 (throttle.max_load = 40)",
        "worker": {"running": True, "command": "swap sync", "pid": 4, "host": None, "since": None, "doing": []},
        "settings": [{"name": "jobs", "value": 4}, {"name": "throttle.url", "value": None}],
        "autoscale": {"jobs": 2, "max_jobs": 8, "commit_ms": 12.3, "normal_ms": 2.1, "limit_ms": 5.0},
        "waiting_cutover": {"pid": 5, "session": "swap cutover, pid 5", "waits_for": "the file /go; every gate is open"},
    }  # fmt: skip
    lines = status_lines(told)
    assert "waits      active sessions: 41 (throttle.max_load = 40)" in lines
    assert "set        jobs = 4, throttle.url = off (`swap set --reset` returns to the configuration)" in lines
    assert "jobs       2 of 8: a commit takes 12.3 ms, 2.1 ms without the backfill, at most 5.0 ms" in lines
    assert any("swap cutover, pid 5) for the file /go; every gate is open. `swap cutover --now`" in line for line in lines)
    assert "swap cutover --now" in next_step(told | {"pending_changes": 0}).why


# The decision.


def test_the_pace_goes_down_at_once_and_up_slowly() -> None:
    pace, seen = Pace(8), []
    for slowest in [50, 50, 50, 50, 50] + [1] * 3 * CALM_ROUNDS + [9] * 5 + [1] * 20 * CALM_ROUNDS:
        pace = decide(pace, slowest, 10, 8)
        seen.append(pace.jobs)
    assert seen[:5] == [4, 2, 1, 1, 1]
    assert seen[5 : 5 + 3 * CALM_ROUNDS] == [*[n for n in (1, 2, 3) for _ in range(CALM_ROUNDS)][1:], 4]
    assert set(seen[5 + 3 * CALM_ROUNDS :][:5]) == {4}
    assert seen[-1] == max(seen[5:]) == 8


@pytest.mark.parametrize("slow", [[True], [False], [True, False], [False, False, True], [True, True, False, False, False]])
def test_the_pace_stays_between_one_and_the_most(slow: list[bool]) -> None:
    """Whatever comes, and when the most is lowered meanwhile."""
    pace = Pace(5)
    for n in range(100):
        most = 6 if n < 50 else 3
        pace = decide(pace, 100 if slow[n % len(slow)] else 0.1, 10, most)
        assert 1 <= pace.jobs <= most


def test_a_limit_is_no_noise() -> None:
    assert limit_ms(0.2, 2) == 5.0
    assert limit_ms(30, 2) == 60
    assert p99([1.0] * 98 + [7.0, 9.0]) == 7.0
    assert p99([3.0, 1.0]) == 3.0
