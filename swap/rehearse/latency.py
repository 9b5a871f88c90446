"""Writers' latency as the load saw it: percentiles of each command, and points for the plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swap.rehearse.record import Step

MOST_POINTS = 1500
AROUND_S = 1.0  # beside an exchange
Latencies = Sequence[tuple[float, float, str]]  # began (since the beginning), milliseconds, kind


def percentile(sorted_ms: Sequence[float], share: float) -> float | None:
    """The value below which that share lies: the nearest rank."""
    if not sorted_ms:
        return None
    return round(sorted_ms[min(len(sorted_ms) - 1, int(share * len(sorted_ms)))], 1)


def around(steps: Sequence[Step], latencies: Latencies) -> list[dict[str, Any]]:
    """Of each exchange, and of the time before `prepare`'s end and the rest: count, p50, p99 and max, of writes alone."""
    out = []
    for s in steps:
        if "locked_ms" in s.facts:
            low, high = s.began_s - AROUND_S, s.began_s + s.seconds + AROUND_S
            out.append(_row(f"{s.command.split(' ')[0]} (step {s.number})", [x for x in latencies if low <= x[0] <= high]))
    exchanges = [(s.began_s - AROUND_S, s.began_s + s.seconds + AROUND_S) for s in steps if "locked_ms" in s.facts]
    rest = [x for x in latencies if not any(low <= x[0] <= high for low, high in exchanges)]
    return [*out, _row("the rest of the time", rest)]


def _row(name: str, latencies: Latencies) -> dict[str, Any]:
    ms = sorted(x[1] for x in latencies if x[2] != "read")
    return {
        "when": name, "writes": len(ms), "p50_ms": percentile(ms, 0.5), "p99_ms": percentile(ms, 0.99),
        "max_ms": round(ms[-1], 1) if ms else None,
    }  # fmt: skip


def points(latencies: Latencies) -> list[tuple[float, float]]:
    """(seconds, milliseconds) of writes: the slowest of each of MOST_POINTS equal stretches of time, so no peak is lost."""
    writes = [(began, ms) for began, ms, kind in latencies if kind != "read"]
    if len(writes) <= MOST_POINTS:
        return [(round(t, 3), round(ms, 2)) for t, ms in writes]
    first, last = writes[0][0], writes[-1][0]
    width = (last - first) / MOST_POINTS or 1.0
    slowest: dict[int, tuple[float, float]] = {}
    for t, ms in writes:
        stretch = int((t - first) / width)
        if stretch not in slowest or ms > slowest[stretch][1]:
            slowest[stretch] = (round(t, 3), round(ms, 2))
    return [slowest[n] for n in sorted(slowest)]
