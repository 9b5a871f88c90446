"""Numbers as the report writes them, in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

NONE: Final = "-"
LONGEST_CELL = 160
SHOWN = 3  # reasons of a kind


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


def by_kind(reasons: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str], list[str]]]:
    """Each kind of reason with the texts that a first screen shows, and the rest."""
    found: dict[str, list[str]] = {}
    for reason in reasons:
        found.setdefault(reason["kind"], []).append(reason["text"])
    return [(kind, texts[:SHOWN], texts[SHOWN:]) for kind, texts in found.items()]


def agreed(d: Mapping[str, Any]) -> str:
    """What a go says: of what was there, and of nothing else."""
    load = d["load"] or {}
    said = (
        ("the commands", True),
        ("the schema", d["schema"]),
        ("the checks", d["checks"]),
        ("the statements", d["statements"]),
        ("the locks", d["locks"]),
    )
    found = [text for text, there in (*said, ("the ledger", load.get("kind") == "mix")) if there]
    return ", ".join(found[:-1]) + " and " + found[-1] if len(found) > 1 else found[0]


WORDS: dict[str, Callable[..., Any]] = {
    "seconds": seconds, "size": size, "ms": ms, "number": number, "one_line": one_line, "version": version,
    "shortened": shortened, "agreed": agreed, "by_kind": by_kind,
}  # fmt: skip
