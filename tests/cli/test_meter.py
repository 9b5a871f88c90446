"""Meters: the progress that a terminal shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swap.cli.progress import Meter
from swap.core.units import duration


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.one_of(st.none(), st.integers(0, 10**9)), st.floats(0, 10**6))
def test_a_meter_never_says_more_than_it_knows(first: int, more: int, total: int | None, elapsed: float) -> None:
    meter = Meter(0.0, first, first + more, total)
    percent, rate, eta = meter.percent(), meter.rate(elapsed), meter.eta_s(elapsed)
    assert percent is None or 0 <= percent <= 100
    assert (percent is None) == (not total)
    if elapsed < 1 or more == 0:
        assert rate is None
    assert eta is None or (eta > 0 and rate is not None and total is not None and first + more < total)
    line = meter.line("users", elapsed)
    assert line.startswith("users: ")
    assert ("left" in line) == (eta is not None)


def test_a_meter_counts_what_this_process_did() -> None:
    """Rows of a resumed part that an earlier process copied do not count for the rate."""
    meter = Meter(100.0, 5_000, 6_000, 10_000)
    assert meter.rate(110.0) == 100
    assert meter.eta_s(110.0) == 40
    assert meter.line("users", 110.0) == "users: 6,000 of ~10,000 rows (60 %), 100/s, about 40 s left"


def test_an_estimate_that_was_too_low_moves_with_the_rows() -> None:
    assert Meter(0.0, 0, 1_200, 1_000).line("users", 10.0) == "users: 1,200 rows (100 %), 120/s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90_061, "25 h 01 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
