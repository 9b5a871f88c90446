"""What a rehearsal said, from the JSON of its report: for the question before a cutover, and beside what really happens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swap.core.errors import UsageError
from swap.core.files import read_regular
from swap.core.units import duration
from swap.rehearse.record import Pin
from swap.rehearse.words import ms, seconds

MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Phase:
    """What one command will take, in seconds, with the bounds of its interval."""

    seconds: float
    low_s: float
    high_s: float

    def __str__(self) -> str:
        return f"{seconds(self.seconds)} expected ({seconds(self.low_s)} to {seconds(self.high_s)})"


@dataclass(frozen=True)
class Expected:
    """`verdict`: go or no-go. `phases`: by command. `locked_ms`: the shortest and the longest time for which writers were held; None
    where the rehearsal came to no exchange."""

    verdict: str
    age_s: float
    source: str
    phases: Mapping[str, Phase]
    locked_ms: tuple[float, float] | None

    def held(self) -> str:
        """For how long writers were held, in words."""
        return f"{ms(self.locked_ms[0])} to {ms(self.locked_ms[1])}" if self.locked_ms else "not known"

    def lines(self) -> Iterator[str]:
        """For a person who is asked whether to cut over."""
        yield f"{self.verdict}, {duration(self.age_s)} ago; writers were held {self.held()}"
        told = [f"{name} {seconds(p.seconds)}" for name in ("cutover", "revert") if (p := self.phases.get(name))]
        if told:
            yield f"expected: {', '.join(told)}"


def read_expected(file: Path) -> Expected:
    """Raises UsageError for a file that is no rehearsal."""
    document = read_pinned(file)
    prediction = document.get("prediction") or {}
    phases = {p["command"].split()[1]: Phase(p["seconds"], p["low_s"], p["high_s"]) for p in prediction.get("phases", ())}
    locked = prediction.get("locked_ms")
    bounds = (locked["low"], locked["high"]) if locked else None
    return Expected(document["verdict"], age_of(document), document["source"], phases, bounds)


def age_of(document: Mapping[str, Any]) -> float:
    """Seconds since the rehearsal began."""
    return (datetime.now(UTC) - datetime.fromisoformat(document["began_at"])).total_seconds()


def read_pinned(file: Path) -> dict[str, Any]:
    """The JSON of a rehearsal that came as far as its first cutover; of an HTML or a Markdown, the one beside it. Raises UsageError."""
    try:
        document = json.loads(read_regular(file.with_suffix(".json") if file.suffix in (".html", ".md") else file, MAX_BYTES))
        if document["kind"] != "rehearsal" or not document["pin"]:
            raise ValueError("it is not the JSON of a rehearsal that came as far as its first cutover")
        Pin(**document["pin"])
        datetime.fromisoformat(document["began_at"])
        _ = document["verdict"], document["source"]
        return dict(document)
    except (OSError, ValueError, KeyError, TypeError) as e:
        why = getattr(e, "strerror", None) or (str(e) if type(e) is ValueError else "it is not the JSON of a rehearsal")
        raise UsageError(
            f"Cannot rely on the rehearsal {str(file)[:200]}: {why}.",
            hint="Name the report of `swap rehearse`: its .json, or the .html beside it.",
        ) from None
