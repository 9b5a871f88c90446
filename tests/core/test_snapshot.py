"""Snapshots (H8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swap.core.snapshot import Snapshot

ids = st.integers(3, 60)
snapshots = st.builds(lambda xmax, xip: Snapshot(xmax, tuple(sorted(x for x in xip if x < xmax))), ids, st.sets(ids))


@given(snapshots)
def test_a_snapshot_reads_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot
    assert snapshot.xmin <= snapshot.xmax
    assert all(snapshot.sees(x) for x in range(3, snapshot.xmin))


@given(snapshots, ids, ids)
def test_a_bounded_snapshot_sees_what_the_whole_one_sees_below_the_bound(snapshot: Snapshot, bound: int, xid: int) -> None:
    """H8: and sees nothing at the bound or above it. A transaction that was in progress stays invisible."""
    bounded = snapshot.bounded(bound)
    assert bounded.sees(xid) == (snapshot.sees(xid) and xid < bound)
    assert snapshot.bounded(snapshot.xmax + 1) == snapshot


def test_snapshots_in_the_servers_own_form() -> None:
    """PostgreSQL's documentation, "Snapshot Components"."""
    snapshot = Snapshot.parse("10:20:10,14,15")
    assert [x for x in range(8, 22) if snapshot.sees(x)] == [8, 9, 11, 12, 13, 16, 17, 18, 19]
    assert str(snapshot) == "10:20:10,14,15"
    assert str(Snapshot.parse("795:795:")) == "795:795:"
    assert Snapshot.parse("4294967300:4294967300:").xmax == 2**32 + 4
