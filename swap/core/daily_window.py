"""A time of day in which something may happen: `02:00-04:00`, over midnight too, by this machine's clock or in a named zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

FORM = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)(?: (\S+))?")
ALLOWED = 'must be like "02:00-04:00" or "22:30-05:00 Europe/Berlin"'


class Opening(NamedTuple):
    """One night's window: two moments."""

    begins: datetime
    ends: datetime

    def is_open(self, now: datetime) -> bool:
        return self.begins <= now < self.ends


@dataclass(frozen=True)
class DailyWindow:
    """`zone` None: the zone of the machine on which swap runs. Where `ends` is not later than `begins`, it is the next day's."""

    text: str
    begins: time
    ends: time
    zone: tzinfo | None

    @classmethod
    def parse(cls, text: str) -> DailyWindow:
        """Raises ValueError, with what is allowed."""
        found = FORM.fullmatch(text)
        if found is None:
            raise ValueError(ALLOWED)
        try:
            begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        except ValueError:
            raise ValueError(f"{ALLOWED}: an hour is 00 to 23, a minute 00 to 59") from None
        if begins == ends:
            raise ValueError(f"{ALLOWED}: it begins and ends at the same minute")
        return cls(text, begins, ends, _zone(found[5]) if found[5] else None)

    def next(self, now: datetime) -> Opening:
        """The opening that holds `now`, or else the next one. `now` has a zone; so have both moments (UTC).

        In the night in which the clock is put forward, a window inside the hour that does not exist is left out."""
        today = (now.astimezone(self.zone) if self.zone else now.astimezone()).date()
        for days in range(-1, 8):
            day = today + timedelta(days)
            opening = Opening(
                self._moment(datetime.combine(day, self.begins)),
                self._moment(datetime.combine(day + timedelta(self.ends < self.begins), self.ends)),
            )
            if opening.begins < opening.ends and now < opening.ends:
                return opening
        raise AssertionError("a day has one opening")

    def shown(self, moment: datetime) -> str:
        """The moment by the window's own clock."""
        there = moment.astimezone(self.zone) if self.zone else moment.astimezone()
        return f"{there:%Y-%m-%d %H:%M %Z}"

    def _moment(self, wall: datetime) -> datetime:
        return (wall.replace(tzinfo=self.zone) if self.zone else wall.astimezone()).astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{ALLOWED}: {name[:60]!r} is no time zone that this machine knows") from None


def window_text(value: str) -> str:
    """For a field of the configuration. Raises ValueError."""
    DailyWindow.parse(value)
    return value
