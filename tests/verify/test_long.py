"""A verification that takes longer than a snapshot may live: it passes from one snapshot to the next, and leaves no gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swap.core.report import Silent
from swap.core.snapshot import Snapshot
from tests.support.servers import Connect
from tests.support.verifying import METHODS, OnProgress, Verified, entries_since, plain, reason, without_triggers
from verify.reference_rows import wanted_block_ranges
from verify.report import Method
from verify.snapshots import SnapshotSeries

by_both = pytest.mark.parametrize("method", METHODS)
USERS = "public.users"


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 40)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 40)


@by_both
@pytest.mark.parametrize("jobs", [1, 3])
def test_each_snapshot_vouches_for_its_pass(verified: Verified, method: Method, jobs: int) -> None:
    """Given a snapshot that is given up after every range: all passes together compare every row once."""
    report = verified(method, jobs=jobs, snapshot_max_s=0)
    assert report.verdict == "identical", report
    assert len(report.snapshots) > 2
    ranges = [r for r in report.ranges if r.table == USERS]
    assert [r.number for r in ranges] == list(range(1, len(ranges) + 1))
    assert (ranges[0].low, ranges[-1].high) == (None, None)
    assert sum(r.origin_rows for r in ranges) == sum(r.target_rows for r in ranges) == 300
    assert [r.snapshot for r in report.ranges] == sorted(r.snapshot for r in report.ranges)
    assert report.tables[0].rows == 300
    if method == "checksum":
        assert report.tables[0].checksum == verified(method).tables[0].checksum


@by_both
def test_differences_in_every_pass(verified: Verified, method: Method) -> None:
    verified.owner.execute("DELETE FROM users_new WHERE id = -7; UPDATE users_new SET bio = 'wrong' WHERE id IN (120, 303)")
    report = verified(method, snapshot_max_s=0)
    assert report.verdict == "different"
    assert plain(report) == [
        (USERS, -7, "missing", ()), (USERS, 120, "different", ("bio",)), (USERS, 303, "different", ("bio",)),
    ]  # fmt: skip


@by_both
@pytest.mark.parametrize("lost", [0, 3])
def test_a_range_lost_between_two_snapshots_is_noticed(
    verified: Verified, method: Method, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verify.ranges import key_ranges

    monkeypatch.setattr(
        "verify.snapshot_pass.key_ranges", lambda cuts, within: (r := key_ranges(cuts, within))[:lost] + r[lost + 1 :]
    )
    report = verified(method, jobs=1, snapshot_max_s=0)
    assert report.verdict == "incomplete"
    assert "ranges" in reason(report)


@by_both
def test_a_cutover_compares_from_the_oldest_snapshot_on(verified: Verified, method: Method) -> None:
    """Given a key of a finished pass that changes: it changed after the watermark that is kept, however late it was replayed, and
    its queue entry cannot be truncated meanwhile (I7)."""

    def change() -> None:
        verified.owner.execute("UPDATE users SET login_count = login_count + 1 WHERE id = -7")
        verified.op("sync", "--once")
        with pytest.raises(psycopg.errors.LockNotAvailable), verified.owner.transaction():
            verified.owner.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(changes))

    plan = verified.run().plan
    changes = sql.Identifier("swap", f"users_{plan.tag}_changes_0")
    report = verified(method, jobs=1, snapshot_max_s=0, reporter=OnProgress(change))
    assert report.verdict == "identical", report
    assert report.covered == report.snapshots[0].watermark == verified.run().verified
    assert report.snapshots[-1].watermark != report.covered
    keys = sql.SQL("SELECT d.key FROM ({}) d").format(entries_since(verified, Snapshot.parse(report.covered)))
    assert verified.owner.execute(keys).fetchall() == [(-7,)]


def test_vacuum_is_not_held_back(verified: Verified, connect: Connect) -> None:
    """The oldest xmin of the verification's sessions moves on with each snapshot, and stays while one snapshot is held."""
    admin = connect(verified.db.superuser)
    horizons: list[int] = []

    class Writes(Silent):
        def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
            admin.execute("SELECT pg_current_xact_id()")
            row = admin.execute(
                "SELECT min(backend_xmin::text::bigint) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'swap verify%'"
            ).fetchone()
            if row and row[0]:
                horizons.append(row[0])

    assert verified(jobs=1, snapshot_max_s=0, reporter=Writes()).verdict == "identical"
    assert horizons[0] < horizons[-1]
    assert horizons == sorted(horizons)
    horizons.clear()
    assert verified(jobs=1, reporter=Writes()).verdict == "identical"
    assert len(set(horizons)) == 1


@pytest.mark.parametrize("parts", [1, 4])
def test_references_in_several_snapshots(verified: Verified, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.reference_rows.wanted_block_ranges", lambda *_: parts)
    report = verified(snapshot_max_s=0)
    assert report.verdict == "identical", report
    assert {t.name: t.rows for t in report.tables}["public.sessions"] == 300
    without_triggers(
        verified,
        "sessions",
        sql.SQL("UPDATE sessions SET user_uuid_id = (SELECT uuid_id FROM users WHERE id = 13) WHERE id IN (5, 250)"),
    )
    assert [(f.table, f.key) for f in verified(snapshot_max_s=0).findings] == [("public.sessions", 5), ("public.sessions", 250)]


def test_a_reference_that_moves_into_a_block_that_is_done(
    verified: Verified, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No block range sees the row: the rows written since the first snapshot are compared once more."""
    last = in_the_last_block(verified)
    without_triggers(
        verified,
        "sessions",
        sql.SQL("UPDATE sessions SET user_uuid_id = (SELECT uuid_id FROM users WHERE id = 13) WHERE id = {}").format(last),
    )
    verified.owner.execute(sql.SQL("DELETE FROM sessions WHERE ctid < '(1,0)' AND id <> {}").format(last))
    verified.owner.execute("VACUUM sessions")
    blocks = verified.owner.execute("SELECT pg_relation_size('sessions') / 8192").fetchone() or (0,)
    assert blocks[0] > 2
    monkeypatch.setattr("verify.reference_rows.wanted_block_ranges", lambda *_: blocks[0])
    renew: Callable[[SnapshotSeries], Any] = SnapshotSeries.renew
    moved = False

    def move_then_renew(snapshots: SnapshotSeries) -> object:
        nonlocal moved
        if snapshots.taken and not moved:
            move_to_the_first_block(verified, connect, last)
            moved = True
        return renew(snapshots)

    # The source is one range, so the first snapshot that is given up is one of the references.
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 10_000)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 10_000)
    monkeypatch.setattr(SnapshotSeries, "renew", move_then_renew)
    report = verified(jobs=1, snapshot_max_s=0)
    assert moved
    assert [(f.table, f.key) for f in report.findings] == [("public.sessions", int(last.as_string(None)))]
    assert report.verdict == "different"


def in_the_last_block(verified: Verified) -> sql.Literal:
    (key,) = verified.owner.execute("SELECT id FROM sessions ORDER BY ctid DESC LIMIT 1").fetchone() or (0,)
    return sql.Literal(key)


def move_to_the_first_block(verified: Verified, connect: Connect, key: sql.Literal) -> None:
    """Update the row until it is there. A snapshot is held meanwhile, so that the space of its own page is not cleared."""
    holder = connect(verified.db.superuser)
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT count(*) FROM sessions")
    for n in range(500):
        (block,) = verified.owner.execute(
            sql.SQL("UPDATE sessions SET token = 'moved ' || {} WHERE id = {} RETURNING (ctid::text::point)[0]::int").format(
                n, key
            )
        ).fetchone() or (-1,)
        if block == 0:
            break
    else:
        raise AssertionError("the row did not move")
    holder.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("referring", "live", "jobs", "parts"),
    [(0, 0, 2, 1), (10, 100, 4, 1), (101, 100, 4, 4), (1_000_000, 100, 4, 16), (10_000_000, 1_000_000, 2, 10)],
)
def test_no_more_block_ranges_than_are_worth_hashing_the_live_keys(referring: int, live: int, jobs: int, parts: int) -> None:
    assert wanted_block_ranges(referring, live, jobs) == parts
