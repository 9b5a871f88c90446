"""`verify --on`: the comparison runs on a real streaming standby, and the primary scans no table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from swap.core.connection import Database as Target
from swap.sync.logical.barrier import GivenUp
from tests.support.servers import Connect, DatabaseServer
from tests.support.standby import Standby, standby_of
from tests.support.verifying import METHODS, OnProgress, Verified, plain, reason
from tests.support.waiting import wait_until
from verify.report import Method, Report

USERS = "public.users"


@pytest.fixture(scope="module")
def standby(server: DatabaseServer) -> Iterator[Standby]:
    with standby_of(server) as made:
        yield made


def dsn(verified: Verified, standby: Standby) -> str:
    """The standby's connection string, as soon as it has the test's database."""
    conninfo = standby.conninfo(verified.db.dbname, "swap_owner")

    def there() -> bool:
        try:
            psycopg.connect(conninfo).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(there, 60, what="the database is on the standby")
    return conninfo


def on(verified: Verified, standby: Standby, method: Method, **options: Any) -> Report:
    target = Target.from_options(dsn(verified, standby), "verify")
    return verified(method, standby=target, **options)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("method", METHODS)
def test_the_standby_is_compared(verified: Verified, standby: Standby, method: Method, connect: Connect) -> None:
    """The standby shows every write from before the command, and a cutover may rely on the result."""
    dsn(verified, standby)
    verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id = 12")
    verified.op("sync", "--once")
    verified.owner.execute("UPDATE users_new SET bio = 'wrong' WHERE id = 11")
    assert plain(on(verified, standby, method)) == [(USERS, 11, "different", ("bio",))]
    verified.owner.execute("UPDATE users_new n SET bio = u.bio FROM users u WHERE (n.id, u.id) = (11, 11)")
    admin = connect(verified.db.superuser)
    before = scans(verified, admin)
    report = on(verified, standby, method, snapshot_max_s=0)
    assert report.verdict == "identical", report
    assert scans(verified, admin) == before
    assert verified.run().verified == report.covered
    assert verified.op("cutover", "--yes", "--no-snapshot").json["verification"]["id"] == report.id


def scans(verified: Verified, admin: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """The number of rows that the primary has read sequentially from the compared tables. A session adds its numbers at its end or
    some seconds after a statement: so wait until swap's sessions have ended, and let the owner's session add its numbers."""
    ours = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'swap %' AND datname = current_database()"
    wait_until(lambda: admin.execute(ours).fetchone() is None, what="swap's sessions have ended")
    verified.owner.execute("SELECT pg_stat_force_next_flush()")
    return admin.execute(
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname IN ('users', 'users_new', 'sessions') ORDER BY 1"
    ).fetchall()


@pytest.mark.timeout(240)
def test_pending_there_is_pending(verified: Verified, standby: Standby) -> None:
    verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id <= 20")
    report = on(verified, standby, "exact")
    assert report.verdict == "identical", report
    assert report.tables[0].pending > 10


@pytest.mark.timeout(240)
def test_a_standby_that_goes_away_is_incomplete(verified: Verified, standby: Standby, connect: Connect) -> None:
    """I7."""
    dsn(verified, standby)
    admin = connect(standby.conninfo(verified.db.dbname))
    end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name LIKE 'swap verify (worker%'"
    report = on(verified, standby, "exact", reporter=OnProgress(lambda: admin.execute(end)))
    assert report.verdict == "incomplete"
    assert reason(report)
    assert verified.run().verified is None


@pytest.mark.timeout(240)
def test_a_standby_that_stays_behind(
    verified: Verified, standby: Standby, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not compare an old state in place of the present one (I7). And the wait can be given up."""
    dsn(verified, standby)
    admin = connect(standby.conninfo())
    admin.execute("SELECT pg_wal_replay_pause()")
    wait_until(lambda: admin.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",), what="replay is paused")
    try:
        asked = iter(["", "", "stopped"])
        with pytest.raises(GivenUp, match="stopped"):
            on(verified, standby, "exact", give_up=lambda: next(asked, "stopped"))
        monkeypatch.setattr("verify.standby.PATIENCE_S", 0.3)
        report = on(verified, standby, "exact")
    finally:
        admin.execute("SELECT pg_wal_replay_resume()")
    assert report.verdict == "incomplete"
    assert "did not replay" in reason(report)
    assert verified.owner.execute("SELECT count(*) FROM swap.verification").fetchone() == (1,)


def test_by_the_command(verified: Verified, standby: Standby) -> None:
    document = verified.op("verify", "--on", dsn(verified, standby)).json
    assert document["verdict"] == "identical"
    error = verified.op.refused("verify", "--on", verified.db.owner, code=2)
    assert "not a standby" in error["message"]
