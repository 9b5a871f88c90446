"""A cutover that waits for its hour, what lets it begin, and what ends it; and a revert with every option of the cutover."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path

import pytest

from cutover.run import ExchangeCommand
from cutover.wait import Deadline, Terms, Wait
from swap.core.daily_window import DailyWindow
from swap.core.errors import LockError, PhaseError, RefusedError
from swap.core.report import Silent
from swap.state.journal import Phase
from tests.support.commands import Cli, RunningCli
from tests.support.migration import Driver, Session, Synced
from tests.support.operator import MakeOperator
from tests.support.servers import Connect, Database

SCHEMA = "CREATE TABLE users (id bigserial PRIMARY KEY, n integer); INSERT INTO users (n) SELECT generate_series(1, 50);"
FRESH = "[verify]\nmax_age_s = 12\nfull_pass_s = 1\n"
WINDOW = DailyWindow.parse("02:00-04:00 UTC")


def closed_now() -> str:
    now = datetime.now(UTC)
    return f"{now + timedelta(hours=6):%H:%M}-{now + timedelta(hours=7):%H:%M} UTC"


def waits_for(admin: Session, running: RunningCli, said: str) -> None:
    """Until the journal says that a cutover waits for that."""
    query = "SELECT message FROM swap.event WHERE kind = 'cutover waits' ORDER BY id DESC LIMIT 1"
    running.until(lambda: said in str(admin.execute(query).fetchone()), 60, said)


@pytest.mark.slow
def test_a_night(ready_operator: MakeOperator, connect: Connect, tmp_path: Path) -> None:
    """Given a cutover that waits for a file, then status says so, the verification stays fresh, a second one is refused, SIGTERM ends it
    with nothing changed, and where the file is there it begins. Given a revert, then it verifies first, and takes every lock option.
    Given a cutover that waits for a window, then `cutover --now` lets it begin."""
    op = ready_operator(FRESH)
    admin = connect(op.db.superuser)
    go = tmp_path / "go"
    waiting = op.start("cutover", "--yes", "--no-snapshot", "--wait-for", str(go), "--json")
    waits_for(admin, waiting, f"the file {go}; every gate is open; no `swap sync` runs, 0 changes wait")
    told = op.status()
    assert (told["waiting_cutover"]["waits_for"], told["next"]) == (
        f"the file {go}; every gate is open; no `swap sync` runs, 0 changes wait",
        "swap status --watch",
    )
    assert (
        "Another cutover waits already"
        in op.refused("cutover", "--yes", "--no-snapshot", "--wait-for", str(go), code=3)["message"]
    )
    first = verifications(admin)
    waiting.until(lambda: verifications(admin) > first, 60, "another pass, before the first is too old")
    ended = waiting.terminate()
    assert (ended.code, ended.json["error"]["state"]) == (6, "Nothing was changed.")
    assert "while the cutover waited for the file" in ended.json["error"]["message"]
    told = op.status()
    assert (told["waiting_cutover"], told["phase"]) == (None, "syncing")
    op.config.write_text(op.config.read_text(encoding="utf-8").replace(FRESH, ""), encoding="utf-8")

    go.touch()
    assert op("cutover", "--yes", "--no-snapshot", "--wait-for", str(go)).json["outcome"] == "committed"

    reads = connect(op.db.superuser, autocommit=False)
    reads.execute("SELECT FROM users")
    before = verifications(admin)
    error = op.refused(
        "revert", "--verify", "--yes", "--max-attempts", "1", "--lock-timeout", "50", "--max-lock-hold", "900", code=4
    )
    assert "1 attempts of 50 ms" in error["message"]
    assert verifications(admin) == before + 1
    reads.rollback()
    admin.execute("SET session_replication_role = replica; UPDATE users_old SET login_count = login_count + 1 WHERE id = 1")
    error = op.refused("revert", "--verify", "--yes", code=5)
    assert "did not begin" in error["state"]
    admin.execute("UPDATE users_old SET login_count = login_count - 1 WHERE id = 1")
    assert op("revert", "--verify", "--yes").json["outcome"] == "committed"

    assert op.refused("cutover", "--now", "--yes", code=3)["message"] == "No cutover waits."
    waiting = op.start("cutover", "--yes", "--no-snapshot", "--window", closed_now(), "--json")
    waits_for(admin, waiting, "which opens at")
    waits_for(admin, waiting, "every gate is open")  # by its own verification: there was none of this direction
    assert "swap cutover" in op("cutover", "--now", "--yes").json["told"]
    assert waiting.wait().json["outcome"] == "committed"
    row = admin.execute("SELECT message FROM swap.event WHERE kind = 'cutover begins' ORDER BY id DESC LIMIT 1").fetchone()
    assert "told to begin by" in str(row)


def verifications(admin: Session) -> int:
    row = admin.execute("SELECT count(*) FROM swap.verification").fetchone()
    assert row is not None
    return int(row[0])


# The window, by a clock of the test's own.


def clock(*times: str) -> Callable[[], datetime]:
    """Each time once; the last one from then on."""
    moments = [datetime.fromisoformat(f"2026-05-01T{t}Z") for t in times]
    told = chain(moments, repeat(moments[-1]))
    return lambda: next(told)


class Heard(Silent):
    """`do` is done when something is waited for."""

    def __init__(self, do: Callable[[], object] = lambda: None) -> None:
        self.do = do
        self.waits: list[str] = []

    def waiting(self, reason: str) -> None:
        self.waits.append(reason)
        self.do()


def test_a_window_that_closes_before_the_cutover_began(synced: Synced, database: Database, tmp_path: Path) -> None:
    """Given a file that does not come while the window is open, then the cutover is refused when it closes."""
    m = synced(database, SCHEMA)
    m.verify()
    m.report = Heard()
    terms = Terms(tmp_path / "never", WINDOW, clock("01:59", "01:59", "01:59", "03:00", "03:00", "04:00"))
    with pytest.raises(
        RefusedError, match=r"the window 02:00-04:00 UTC closed at 2026-05-01 04:00 UTC, .*the file .*never"
    ) as raised:
        Wait(m, terms).until_due()
    assert raised.value.state == "Nothing was changed."
    assert "opens at 2026-05-01 02:00 UTC (in about 60 s)" in m.report.waits[0]
    assert m.reload().phase is Phase.SYNCING


def test_an_abort_ends_the_wait(synced: Synced, database: Database) -> None:
    """Given a cutover that waits, when another operator aborts the run, then that goes ahead, and the cutover ends."""
    m = synced(database, SCHEMA)
    m.report = Heard(lambda: aborted(database))
    with pytest.raises(PhaseError, match="A cutover is not possible: the run is aborted"):
        Wait(m, Terms(None, WINDOW, clock("01:00"))).until_due()


def aborted(database: Database) -> None:
    with closing(Driver.resume(database)) as other:
        if other.run.phase is Phase.SYNCING:
            other.abort()


def test_a_gate_that_is_closed_is_waited_for_in_a_window(synced: Synced, database: Database) -> None:
    """Given no verification, then the wait's own opens the gate, and the attempt may begin until the window closes."""
    m = synced(database, SCHEMA)
    m.report = Heard()
    deadline = Wait(m, Terms(None, WINDOW, clock("03:00"))).until_due()
    assert deadline.passed == ""
    assert any("There is no verification" in w for w in m.report.waits)
    last = m.journal.verifications.last(m.run.id)
    assert last is not None
    assert last.verdict == "identical"


def test_no_attempt_begins_when_the_window_has_closed(synced: Synced, database: Database, connect: Connect) -> None:
    """Given a session in the way of every attempt, then the cutover ends with the window: after some attempts as one that got no lock
    (4), before the first as one that was refused (3)."""
    m = synced(database, SCHEMA, cutover={"max_attempts": 1000, "lock_timeout_ms": 20})
    m.verify()
    reads = connect(database.superuser, autocommit=False)
    reads.execute("SELECT FROM users")
    opening = WINDOW.next(clock("03:00")())
    late = Deadline(WINDOW, opening, clock("03:00", "03:59", "04:00"))
    with pytest.raises(LockError, match="No lock within 2 attempts, and the window 02:00-04:00 UTC closed at"):
        ExchangeCommand(m, "cutover", deadline=late).execute()
    with pytest.raises(RefusedError, match="No attempt was made: the window 02:00-04:00 UTC closed"):
        ExchangeCommand(m, "cutover", deadline=Deadline(WINDOW, opening, clock("04:00"))).execute()
    assert m.reload().phase is Phase.SYNCING
    reads.rollback()
    assert ExchangeCommand(m, "cutover", deadline=Deadline(WINDOW, opening, clock("03:59"))).execute().outcome == "committed"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--window", "9-5"], '--window is like "02:00-04:00" or "22:30-05:00 Europe/Berlin".'),
        (["--window", "02:00-04:00 Mars"], "'Mars' is no time zone"),
        (["--wait-for", "/no/such/directory/go"], "--wait-for: there is no directory /no/such/directory"),
        (["--now", "--window", "02:00-04:00"], "--now goes with --yes alone"),
        (["--now", "--max-attempts", "3"], "--now goes with --yes alone"),
        (["--now", "--metrics-port", "9187"], "--now goes with --yes alone"),
    ],
)
def test_what_can_never_be_is_refused_at_once(cli: Cli, options: list[str], said: str) -> None:
    result = cli("cutover", "--yes", *options, "--json", check=False)
    assert (result.code, said in result.json["error"]["message"]) == (2, True), result.stdout
