"""A time of day: over midnight, in a zone, on the nights in which the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from swap.core.daily_window import DailyWindow


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("window", "now", "begins", "ends"),
    [
        ("02:00-04:00 UTC", "2026-05-01T01:00Z", "2026-05-01T02:00Z", "2026-05-01T04:00Z"),
        ("02:00-04:00 UTC", "2026-05-01T02:00Z", "2026-05-01T02:00Z", "2026-05-01T04:00Z"),
        ("02:00-04:00 UTC", "2026-05-01T04:00Z", "2026-05-02T02:00Z", "2026-05-02T04:00Z"),
        ("22:30-05:00 UTC", "2026-05-01T04:59Z", "2026-04-30T22:30Z", "2026-05-01T05:00Z"),
        ("22:30-05:00 UTC", "2026-05-01T23:00Z", "2026-05-01T22:30Z", "2026-05-02T05:00Z"),
        ("22:30-05:00 UTC", "2026-05-01T12:00Z", "2026-05-01T22:30Z", "2026-05-02T05:00Z"),
        ("02:00-04:00 America/New_York", "2026-05-01T01:00Z", "2026-05-01T06:00Z", "2026-05-01T08:00Z"),
        # The clock goes back at 03:00: the hour from 02:00 comes twice, and the window holds both.
        ("01:00-04:00 Europe/Berlin", "2026-10-25T00:30Z", "2026-10-24T23:00Z", "2026-10-25T03:00Z"),
        # It goes forward at 02:00: there is no time between 02:00 and 03:00.
        ("01:30-03:30 Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T00:30Z", "2026-03-29T01:30Z"),
        ("02:00-03:00 Europe/Berlin", "2026-03-29T00:00Z", "2026-03-30T00:00Z", "2026-03-30T01:00Z"),
    ],
)
def test_the_next_opening(window: str, now: str, begins: str, ends: str) -> None:
    opening = DailyWindow.parse(window).next(at(now))
    assert opening == (at(begins), at(ends))
    assert opening.is_open(at(now)) is (at(begins) <= at(now))


def test_without_a_zone_this_machines_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        window = DailyWindow.parse("02:00-04:00")
        opening = window.next(at("2026-05-01T01:00Z"))
        assert opening.begins == at("2026-05-01T06:00Z")
        assert window.shown(opening.begins) == "2026-05-01 02:00 EDT"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "2:00-4:00", "02:00", "02:00-02:00", "24:00-02:00", "02:60-03:00", "02:00-04:00 Mars/Olympus", "02:00-04:00 ../etc/passwd",
     "02:00-04:00 Europe", "02:00 - 04:00", "02:00-04:00 UTC more"],
)  # fmt: skip
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="must be like"):
        DailyWindow.parse(text)


def test_every_minute_of_a_year_has_an_opening() -> None:
    """Whatever the clock does, the next opening is later than now, and no more than two days away."""
    window = DailyWindow.parse("02:15-02:45 Europe/Berlin")
    now = at("2026-01-01T00:00Z")
    while now.year == 2026:
        opening = window.next(now)
        assert now < opening.ends
        assert opening.begins < opening.ends
        assert opening.begins - now < timedelta(days=2)
        now += timedelta(minutes=137)
