"""`verify --watch`: changed keys between full passes, metrics, and how it gives way to other commands."""

from __future__ import annotations

import math
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.commands import RunningCli
from tests.support.servers import Connect
from tests.support.verifying import Verified
from tests.support.waiting import wait_until
from verify.change_comparison import ChangeComparison, compare_changes
from verify.continuous import ContinuousSettings, ContinuousVerification
from verify.metrics import Metrics
from verify.settings import VerificationSettings

# The effect of a defective replay: one row comes out wrong whenever it is replayed.
SPOIL = (
    "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.bio := 'wrong'; RETURN NEW; END $$;"
    " CREATE TRIGGER spoil BEFORE UPDATE ON users_new FOR EACH ROW WHEN (NEW.id = 11) EXECUTE FUNCTION spoil()"
)
TOUCH = "UPDATE users SET login_count = login_count + 1 WHERE id = 11"


@pytest.fixture
def watching(verified: Verified) -> RunningCli:
    return verified.op.start("verify", "--watch", "0.1", "--metrics-port", "0", "--json")


def metrics_of(running: RunningCli) -> Callable[[], dict[str, float]]:
    port = running.wait_line(r"metrics on port (\d+)").rsplit(" ", 1)[1]

    def read() -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.findall(r'^(swap_\w+)\{[^}]*table="public\.users"[^}]*\} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    return read


@pytest.mark.timeout(180)
def test_a_difference_among_changed_keys(verified: Verified, watching: RunningCli) -> None:
    """A comparison of changed keys finds it, before a full pass. It closes the gate, and only a clean full pass opens the gate
    again (I7)."""
    metrics = metrics_of(watching)
    watching.wait_line("full pass .*identical")
    first = metrics()
    assert first["swap_verify_rows"] > 300
    assert first["swap_verify_differences"] == 0
    assert math.isfinite(first["swap_verify_clean_pass_age_seconds"])
    before = verified.run().verified
    verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id = 12")
    wait_until(lambda: metrics()["swap_verify_pending_keys"] == 1, what="the change is pending")
    verified.op("sync", "--once")
    wait_until(lambda: verified.run().verified != before, what="a clean comparison moves the mark from which a cutover compares")
    assert metrics()["swap_verify_changed_keys_total"] >= 1

    verified.owner.execute(SPOIL)
    verified.owner.execute(TOUCH)
    verified.op("sync", "--once")
    watching.wait_line("difference: different public.users key 11: bio")
    wait_until(lambda: metrics()["swap_verify_differences"] == 1, what="the difference is counted")
    assert "different" in verified.op.refused("cutover", "--yes", "--no-snapshot", code=3)["message"]

    verified.owner.execute("DROP TRIGGER spoil ON users_new")
    verified.owner.execute(TOUCH)
    verified.op("sync", "--once")
    watching.wait_line("full pass .*identical")
    assert metrics()["swap_verify_differences"] == 0
    result = watching.terminate()
    assert result.code == 0, result
    assert (result.json["reason"], result.json["differences"]) == ("stopped", 0)
    assert result.json["passes"] >= 2
    assert result.json["looks"] >= 2
    assert result.json["last"]["verdict"] == "identical"
    with pytest.raises(urllib.error.URLError):
        metrics()


@pytest.mark.both_modes
@pytest.mark.timeout(180)
def test_it_goes_on_with_the_retired_table_until_finalize(verified: Verified, watching: RunningCli) -> None:
    """It lets a cutover and a finalize through."""
    watching.wait_line("full pass .*identical")
    verified.op("cutover", "--yes", "--no-snapshot")
    watching.wait_line("full pass .*identical")
    rows = verified.owner.execute("SELECT direction, verdict FROM swap.verification ORDER BY id DESC LIMIT 1").fetchall()
    assert rows == [("reverse", "identical")]
    verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE legacy_id = 12")
    verified.op("sync", "--once")
    verified.op("finalize", "--yes")
    result = watching.wait()
    assert (result.code, result.json.get("reason")) == (0, "ended"), result


def test_a_finalize_just_after_a_comparison(verified_after: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a finalize just after a comparison of changed keys: it drops the queue, and the verification ends with the run. Before,
    the verification then asked the queue for its length (seen: UndefinedTable, in one of some twenty runs)."""

    def compare_then_finalize(*args: Any) -> ChangeComparison:
        compared = compare_changes(*args)
        verified_after.op("finalize", "--yes")
        return compared

    monkeypatch.setattr("verify.continuous.compare_changes", compare_then_finalize)
    settings = ContinuousSettings(0.01, 3600.0, VerificationSettings("exact", 1))
    with verified_after.migration() as migration:
        done = ContinuousVerification(migration, settings, Metrics("public.users")).run()
    assert (done.reason, done.passes, done.comparisons) == ("ended", 1, 1)


def test_terminated_in_the_middle_of_a_pass(verified: Verified, connect: Connect) -> None:
    """A pass that was cut off is no verification: it journals nothing."""
    holder, admin = verified.owner, connect(verified.db.superuser)
    with holder.transaction():
        holder.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        running = verified.op.start("verify", "--watch", "5", "--json")
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'swap verify%' AND datname = current_database()"
        wait_until(lambda: admin.execute(query + " AND wait_event_type = 'Lock'").fetchone(), what="it waits")
        running.process.terminate()
    result = running.wait()
    assert (result.code, result.json["reason"]) == (0, "stopped"), result
    assert result.json["passes"] in (0, 1)
    journalled = holder.execute("SELECT count(*)::int FROM swap.verification").fetchone()
    assert journalled == (result.json["passes"],)


@pytest.mark.parametrize("args", [("--metrics-port", "9"), ("--watch", "1", "--repair"), ("--watch", "0")])
def test_options_that_do_not_go_together(verified: Verified, args: tuple[str, ...]) -> None:
    verified.op.refused("verify", *args, code=2)


def test_a_port_that_is_taken(verified: Verified, watching: RunningCli) -> None:
    port = watching.wait_line(r"metrics on port (\d+)").rsplit(" ", 1)[1]
    error = verified.op.refused("verify", "--watch", "1", "--metrics-port", port, code=2)
    assert port in error["message"]
