"""Several sessions digest each of a few large ranges together. Each reads a part of both heaps; every block is read once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from swap.core.connection import Connection
from swap.core.connection import Database as Target
from swap.core.errors import UnreachableError
from tests.support.verifying import Verified, plain, reason
from verify import snapshot_pass
from verify.checksum import HeapPart, RangeDigest, digest_range
from verify.exact import RangeResult, compare_range
from verify.ranges import MAX_SHARED_RANGES, wanted_ranges

USERS = "public.users"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.ranges.ROWS_PER_RANGE", 40)
    monkeypatch.setattr("verify.ranges.ROWS_PER_DIGEST", 80)
    monkeypatch.setattr("verify.block_ranges.MIN_BLOCKS_PER_SESSION", 1)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[HeapPart | None]:
    """The parts that were digested, in any order."""
    done: list[HeapPart | None] = []

    def digest(conn: Connection, part: HeapPart | None, **more: Any) -> RangeDigest:
        done.append(part)
        return digest_range(conn, part=part, **more)

    monkeypatch.setattr(snapshot_pass, "digest_range", digest)
    return done


@pytest.mark.parametrize(("jobs", "ranges"), [(1, 4), (2, 2), (4, 1)])
def test_each_session_has_its_part(verified: Verified, parts: list[HeapPart | None], jobs: int, ranges: int) -> None:
    """The digest of all rows is the same, however they are divided."""
    verified.owner.execute("UPDATE users SET revision = revision + 1 WHERE id % 3 = 0")  # this moves rows into the last blocks
    verified.op("sync", "--once")
    report = verified("checksum", jobs=jobs)
    assert report.verdict == "identical", report
    assert len(report.ranges) == ranges == wanted_ranges(300, "checksum", jobs)
    of_each = [(p.blocks.start, p.blocks.of) if p else None for p in parts]
    assert Counter(of_each) == Counter(
        [(n, jobs) for n in range(jobs)] * ranges if ranges <= MAX_SHARED_RANGES else [None] * ranges
    )
    assert sum(r.origin_rows for r in report.ranges) == sum(r.target_rows for r in report.ranges) == 300
    assert (report.ranges[0].low, report.ranges[-1].high) == (None, None)
    assert report.tables[0].checksum == verified("checksum", jobs=1).tables[0].checksum


@pytest.mark.parametrize("jobs", [2, 4])
def test_a_shared_range_is_joined_in_several_ranges(verified: Verified, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No session joins the whole range alone, and together they join every row of it."""
    joined: list[RangeResult] = []

    def compare(*args: Any, **more: Any) -> RangeResult:
        joined.append(compare_range(*args, **more))
        return joined[-1]

    monkeypatch.setattr(snapshot_pass, "compare_range", compare)
    verified.owner.execute("DELETE FROM users_new WHERE id = -7; UPDATE users_new SET bio = 'wrong' WHERE id IN (120, 303)")
    report = verified("checksum", jobs=jobs)
    assert plain(report) == [
        (USERS, -7, "missing", ()), (USERS, 120, "different", ("bio",)), (USERS, 303, "different", ("bio",)),
    ]  # fmt: skip
    assert len(joined) >= 4
    assert sum(r.origin_rows for r in joined) == 300


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_part_that_was_left_out_is_noticed(verified: Verified, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: rows that are left out on both sides alike make no difference between the sums. The count of all rows shows them."""
    every = snapshot_pass.PassSettings.parts
    monkeypatch.setattr(
        snapshot_pass.PassSettings, "parts", lambda c: [p for p in every(c) if p is None or p.blocks.start != lost]
    )
    report = verified("checksum", jobs=4)
    assert report.verdict == "incomplete"
    assert "rows, the tables hold" in reason(report)


def test_a_part_that_failed_is_a_range_not_done(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: the range counts as not compared."""

    def digest(conn: Connection, part: HeapPart, **more: Any) -> RangeDigest:
        if part.blocks.start == 2:
            conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return digest_range(conn, part=part, **more)

    monkeypatch.setattr(snapshot_pass, "digest_range", digest)
    report = verified("checksum", jobs=4)
    assert report.verdict == "incomplete"
    assert "0 of 1 ranges" in reason(report)
    assert not report.ranges


@pytest.mark.parametrize("failing", [("worker 1",), ("worker 4",), tuple(f"worker {n}" for n in range(1, 5))])
def test_a_session_that_does_not_open(verified: Verified, failing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: the sessions open in parallel, and no session waits for one that fails to open."""
    connect = Target.connect

    def refuse(database: Target, purpose: str = "") -> Connection:
        if purpose in failing:
            raise UnreachableError("too many connections")
        return connect(database, purpose)

    monkeypatch.setattr(Target, "connect", refuse)
    report = verified("checksum", jobs=4)
    assert report.verdict == "incomplete"
    assert "a worker could not start: too many connections" in reason(report)


def test_every_part_of_a_range_is_of_one_snapshot(verified: Verified) -> None:
    """Given a snapshot that is given up after every range: a range that was begun is finished first."""
    report = verified("checksum", jobs=2, snapshot_max_s=0)
    assert report.verdict == "identical", report
    assert [r.snapshot for r in report.ranges] == [1, 2]
    assert sum(r.origin_rows for r in report.ranges) == 300
