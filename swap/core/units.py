"""Numbers for people: counts with their plural, bytes, times."""

from __future__ import annotations


def counted(n: int, what: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def size(count: float) -> str:
    """Bytes in a unit that leaves few digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"


def about(seconds: float) -> str:
    """An estimate of a time, as precise as it is: `an instant`, `about 40 s`, `about 4 min`, `about 3 h`."""
    if seconds < 1:
        return "an instant"
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {round(seconds / 3600)} h"


def duration(seconds: float) -> str:
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02d} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02d} min"
