"""Numbers as the report writes them, in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

NONE: Final = "-"
LONGEST_CELL = 160


def seconds(value: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if value is None:
        return NONE
    if value < 10:
        return f"{value:.1f} s"
    s = round(value)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02d} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02d} min"


def size(value: float | None) -> str:
    """Bytes, in the largest unit that leaves a number of at least 1."""
    if value is None:
        return NONE
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(amount) < 1024:
            return f"{amount:,.0f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TB"


def ms(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def number(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def one_line(value: Any) -> str:
    return " ".join(str(value).split())


def shortened(value: Any) -> str:
    """On one line, and not longer than a cell can show."""
    text = one_line(value)
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "…"


def version(value: int) -> str:
    return f"{value // 10000}.{value % 10000}"


WORDS: dict[str, Callable[..., str]] = {
    "seconds": seconds, "size": size, "ms": ms, "number": number, "one_line": one_line, "version": version,
    "shortened": shortened,
}  # fmt: skip
