"""What executors say while they work. They never print: the command line decides how (bars, lines, JSON)."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives facts; every method may be called from any thread."""

    def note(self, message: str) -> None:
        """Something happened that an operator wants to see once."""

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        """`done` of about `total` (None: not known) in `part` so far."""

    def waiting(self, reason: str) -> None:
        """Why nothing moves right now; an empty reason ends the wait."""

    def working(self, what: str) -> None:
        """What the server is at, while nothing else is told of it; `waiting` with an empty reason ends it too."""


class Silent:
    """A reporter that says nothing."""

    def note(self, message: str) -> None: ...

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None: ...

    def waiting(self, reason: str) -> None: ...

    def working(self, what: str) -> None: ...
