"""A verification that was interrupted goes on behind what it has compared, and says nothing of a row that nothing compared (I7, H68)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from swap.core.connection import Connection
from swap.sync.rotate import rotate
from tests.support.migration import background
from tests.support.servers import Connect
from tests.support.verifying import (
    METHODS,
    OnProgress,
    Verified,
    before_range,
    killed_after_three_ranges,
    plain,
    reason,
    without_triggers,
)
from tests.support.waiting import wait_until
from verify.continuous import ContinuousSettings, ContinuousVerification
from verify.metrics import Metrics
from verify.pressure import Pressure
from verify.report import Method, Report
from verify.run import verify_share
from verify.settings import VerificationSettings
from verify.snapshots import SnapshotSeries
from verify.workers import Task, Workers

USERS = "public.users"
RANGES = 8  # of 300 rows
by_both = pytest.mark.parametrize("method", METHODS)


class Killed(BaseException):
    """What ends the process in the middle of a verification, as far as the server can tell."""


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 40)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 40)


class Notes(OnProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


def interrupted(verified: Verified, method: Method = "exact", after: int = 3, jobs: int = 1, **more: Any) -> None:
    """A verification that ends after so many ranges, without a word."""
    with pytest.MonkeyPatch.context() as patch:
        from verify.kept_ranges import KeptPart

        finish, done = KeptPart.finish, []

        def ends(*args: Any) -> None:
            finish(*args)
            done.append(args)
            if len(done) == after:
                raise Killed

        patch.setattr(KeptPart, "finish", ends)
        with pytest.raises(Killed):
            verified(method, jobs=jobs, **more)


def kept(verified: Verified) -> list[int]:
    """The ranges of the source that the journal has as compared."""
    rows = verified.owner.execute(
        "SELECT number FROM swap.compared_range WHERE part = %s AND compared_at IS NOT NULL ORDER BY 1", [USERS]
    ).fetchall()
    return [number for (number,) in rows]


def compared(report: Report) -> list[int]:
    """The ranges of the source that were compared in the last snapshot of the report."""
    return [r.number for r in report.ranges if r.table == USERS and r.snapshot == len(report.snapshots)]


@by_both
def test_it_goes_on_behind_what_it_has_compared(verified: Verified, method: Method) -> None:
    """Given a verification that ends after three ranges, and changes in ranges that are done and in one that is due: the next one
    compares the rest alone, and the keys that changed, and vouches for all of them."""
    whole = verified(method, jobs=1)
    interrupted(verified, method)
    done = kept(verified)
    assert len(done) == 3
    verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id IN (-7, 11, 280)")
    verified.op("sync", "--once")
    notes = Notes()
    report = verified(method, jobs=1, reporter=notes)
    assert report.verdict == "identical", report
    assert "goes on with the verification" in notes.said[0]
    assert report.resumed == 3
    assert "3 of them before an interruption" in reason(report)
    assert compared(report) == [r.number for r in whole.ranges if r.table == USERS and r.number not in done]
    assert [(r.number, r.low, r.high) for r in report.ranges] == [(r.number, r.low, r.high) for r in whole.ranges]
    assert report.tables[0].rows == whole.tables[0].rows == 300
    assert len(report.snapshots) == 2
    assert report.covered != report.snapshots[0].watermark
    assert report.covered == verified.run().verified
    assert kept(verified) == []
    assert verified(method, jobs=1).resumed == 0


@pytest.fixture
def cut(verified: Verified) -> Verified:
    interrupted(verified)
    assert len(kept(verified)) == 3
    return verified


def in_kept(verified: Verified) -> int:
    """A key of a range that is compared."""
    row = verified.owner.execute(
        "SELECT u.id FROM users u JOIN swap.compared_range r ON u.id >= coalesce(r.low, u.id) AND u.id < coalesce(r.high, u.id + 1)"
        " WHERE r.part = %s AND r.compared_at IS NOT NULL ORDER BY u.id DESC LIMIT 1",
        [USERS],
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_killed_process(verified: Verified) -> None:
    """SIGKILL after three ranges of a real command: the next command compares the others. An exchange makes what is kept worthless."""
    killed_after_three_ranges(verified.op)
    assert len(kept(verified)) == 3
    status = verified.op.status()
    assert (status["verifying"]["ranges"], status["verifying"]["running"]) == (3, False)
    done = verified.op("verify", "--jobs", "1").json
    assert (done["verdict"], done["resumed"]) == ("identical", 3)
    assert verified.op.status()["verifying"] is None
    interrupted(verified, after=1)
    verified.op("cutover", "--yes", "--no-snapshot")
    assert kept(verified) == []


def test_a_row_that_became_wrong_in_a_range_that_is_done(cut: Verified) -> None:
    """Given a row that replay got wrong after its range was compared: the keys that changed since are compared, and it is found."""
    key = in_kept(cut)
    spoil = (
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.bio := 'wrong'; RETURN NEW; END $$;"
        " CREATE TRIGGER spoil BEFORE UPDATE ON users_new FOR EACH ROW EXECUTE FUNCTION spoil()"
    )
    cut.owner.execute(spoil.encode())
    cut.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id = %s", [key])
    cut.op("sync", "--once")
    cut.owner.execute("DROP TRIGGER spoil ON users_new")
    report = cut(jobs=1)
    assert (report.verdict, report.resumed, plain(report)) == ("different", 3, [(USERS, key, "different", ("bio",))])
    assert report.tables[0].different == 1


def test_a_range_that_differs_is_compared_again(verified: Verified) -> None:
    verified.owner.execute("UPDATE users_new SET bio = 'wrong' WHERE id = -7")
    interrupted(verified)
    report = verified(jobs=1)
    assert (report.verdict, plain(report)) == ("different", [(USERS, -7, "different", ("bio",))])
    assert verified(jobs=1).resumed == 0  # one that ended, whatever it found, leaves nothing to go on with


Act = Callable[[Verified], object]
STALE: dict[str, Act] = {
    "ago": lambda v: v.owner.execute("UPDATE swap.comparison SET compared_at = now() - interval '2 h'"),
    "set back": lambda v: v.owner.execute("UPDATE swap.comparison SET compared_at = now() + interval '2 h'"),
    "another version": lambda v: v.owner.execute("""UPDATE swap.comparison SET conditions = conditions || '{"tool": "0"}'"""),
    "index of a key": lambda v: v.owner.execute("REINDEX INDEX users_pkey"),
    "rewritten": lambda v: v.owner.execute("VACUUM FULL users_new"),
}
LOST: dict[str, Act] = {
    "what captures changes": lambda v: without_triggers(
        v, "users", sql.SQL("UPDATE users SET bio = 'unseen' WHERE id = {}").format(in_kept(v))
    ),
    "structure": lambda v: v.owner.execute("ALTER TABLE users ADD shoe int"),
    "rewritten": lambda v: v.owner.execute("ALTER TABLE users ALTER bio TYPE text USING 'unseen'"),
}


def everything_after(cut: Verified, why: str, act: Act, method: Method = "exact") -> Report:
    """What happens between the two verifications: the second one compares everything, and says why."""
    act(cut)
    notes = Notes()
    report = cut(method, jobs=1, reporter=notes)
    assert why in notes.said[0], notes.said
    assert (report.resumed, len(report.snapshots)) == (0, 1)
    return report


def test_what_does_not_count_any_more(cut: Verified) -> None:
    everything_after(cut, "another method", lambda _: None, "checksum")
    for why, act in STALE.items():
        interrupted(cut)
        assert everything_after(cut, why, act).verdict == "identical"


@pytest.mark.both_modes
def test_what_capture_did_not_see(cut: Verified) -> None:
    """I7: given a change of a compared range that is in no queue, made in each way that leaves a trace: it is found."""
    for why, act in LOST.items():
        report = everything_after(cut, why, act)
        assert report.verdict == "different"
        assert report.findings
        if why != "rewritten":  # now every range differs
            interrupted(cut, after=1)


def test_it_is_asked_for(cut: Verified) -> None:
    """A row of the shadow that was changed directly is in no queue: only a verification that compares everything finds it."""
    cut.owner.execute("UPDATE users_new SET bio = 'behind capture' WHERE id = %s", [in_kept(cut)])
    found = cut.op("verify", "--no-resume", check=False).json
    assert (found["verdict"], found["resumed"], len(found["findings"])) == ("different", 0, 1)


def test_rotation_in_between(cut: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries since the first range stay while it may go on, and go together with what was compared, in one transaction."""
    monkeypatch.setattr("swap.sync.rotate.SWITCH_BYTES", 1)
    cut.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id = %s", [in_kept(cut)])
    cut.op("sync", "--once")
    entries = sql.SQL("SELECT count(*)::int FROM {}").format(sql.Identifier("swap", f"users_{cut.run().plan.tag}_changes_0"))
    with cut.migration() as m:
        rotate(m)  # the writers move to the other tables
        rotate(m)
        assert m.conn.execute(entries).fetchone() == (1,)
        assert len(kept(cut)) == 3
        cut.owner.execute("UPDATE swap.comparison SET compared_at = now() - interval '1 year'")
        rotate(m)
        assert m.conn.execute(entries).fetchone() == (0,)
    assert kept(cut) == []
    report = cut(jobs=1)
    assert (report.verdict, report.resumed) == ("identical", 0)


def test_an_index_that_lost_a_row(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given ranges whose rows were not counted before the interruption, and a key index that does not return all of them: the
    verification is no success, and everything is due again."""
    interrupted(verified)
    with monkeypatch.context() as patch:
        patch.setattr("verify.snapshot_pass.count_both", lambda conn, table, key, parts: (3, 2))
        report = verified(jobs=1)
        assert report.verdict == "incomplete"
        assert "not all counted" in reason(report)
    assert verified(jobs=1).resumed == 0


def test_two_at_a_time(cut: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a verification beside another one: it keeps nothing, takes nothing from the other, and is whole."""
    inner: list[Report] = []
    before_range(monkeypatch, 8, lambda: inner.append(cut(jobs=1)))
    report = cut(jobs=1)
    assert (inner[0].resumed, report.resumed) == (0, 3)
    assert (inner[0].verdict, report.verdict) == ("identical", "identical")


def test_several_sessions(verified: Verified) -> None:
    """However the sessions take turns, and however often it is interrupted: each range is compared once, and all of them are."""
    for _ in range(3):
        interrupted(verified, after=2, jobs=3)
    report = verified(jobs=3)
    assert (report.verdict, report.resumed, report.tables[0].rows) == ("identical", 6, 300)
    assert sum(r.origin_rows for r in report.ranges if r.table == USERS) == 300


def test_a_share_at_a_time(verified: Verified) -> None:
    """A continuous verification rolls: given half of the ranges, then three quarters: each time the next ones are compared, and a
    difference among them makes it compare everything at once."""
    settings = VerificationSettings("exact", 1)
    with verified.migration() as m:
        assert verify_share(m, replace(settings, share=0.5)) is None
        assert kept(verified) == [1, 2, 3, 4]
        verified.owner.execute("UPDATE users_new SET bio = 'wrong' WHERE id = (SELECT max(id) FROM users_new)")
        assert verify_share(m, replace(settings, share=0.75)) is None
        assert kept(verified) == [1, 2, 3, 4, 5, 6]
        report = verify_share(m, replace(settings, share=0.999))
        assert report is None
        report = verify_share(m, replace(settings, share=1.0))
        assert report is not None
        assert (report.verdict, report.resumed, len(report.findings)) == ("different", 7, 1)
        interrupted(verified, after=1)
        verified.owner.execute("UPDATE users_new SET bio = 'wrong'")
        report = verify_share(m, replace(settings, share=0.5))
        assert report is not None
        assert report.verdict == "different"
        assert len(report.findings) > 200


def test_it_rolls_between_two_full_passes(verified: Verified) -> None:
    """`verify --watch`: after the first full pass the ranges are compared one by one, and a change in between is compared as a changed
    key: it moves what they vouch for as well."""
    settings = ContinuousSettings(0.05, 4.0, VerificationSettings("exact", 1))
    with verified.migration() as m:
        watch = ContinuousVerification(m, settings, Metrics(USERS))

        def second() -> bool:
            if watch.summary.passes == 1 and 0 < len(kept(verified)) < 3:
                verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id = -7")
                verified.op("sync", "--once")
            return watch.summary.passes > 1

        with background(watch.run, m.stop.set) as running:
            wait_until(second, 60, "the second full pass")
            m.stop.set()
            running.result()
    last = watch.summary.last_report
    assert last is not None
    assert (last.verdict, last.resumed > 0, last.tables[0].rows) == ("identical", True, 300)
    assert len(last.snapshots) > 2
    assert last.covered != last.snapshots[0].watermark


SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF current_setting('swap_test.slow', true) = 'on' THEN PERFORM pg_sleep(0.3); END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON swap.comparison DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()
"""


def test_fewer_sessions_while_commits_are_slow(verified: Verified, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.pressure.PROBE_EVERY_S", 0.0)
    interrupted(verified)
    connect(verified.db.superuser).execute(SLOW_COMMIT)
    notes = Notes()
    with verified.migration(notes) as m:
        pressure = Pressure(m, 4)
        m.conn.execute("SET swap_test.slow = 'on'")
        assert [pressure.allowed(n) for n in (4, 2, 1)] == [2, 1, 1]
        m.conn.execute("SET swap_test.slow = 'off'")
        assert [pressure.allowed(n) for n in (1, 2, 3, 4)] == [2, 3, 4, 4]
    assert len(notes.said) == 2
    assert "2 of 4 sessions: a commit takes" in notes.said[0]


def test_no_more_sessions_than_allowed(verified: Verified) -> None:
    busy, most = [0], [0]
    lock = threading.Lock()

    def work(conn: Connection) -> bool:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        conn.execute("SELECT pg_sleep(0.01)")
        with lock:
            busy[0] -= 1
        return True

    with verified.migration() as m, Workers(verified.target, 4) as workers:
        snapshots = SnapshotSeries(m, workers, 60.0)
        snapshots.renew()
        workers._allow(1)
        assert all(workers.run([Task("work", work)] * 12))
        assert most == [1]
        workers.adapt = lambda _: 4
        assert all(workers.run([Task("work", work)] * 60))
        assert most[0] > 1
