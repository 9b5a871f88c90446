"""What executors report while they work. They never print: the command line decides how (bars, lines, JSON)."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives facts; every method may be called from any thread."""

    def note(self, message: str) -> None:
        """An event that an operator wants to see once."""

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None:
        """`part` has done `done` of about `total` (None: not known)."""

    def waiting(self, reason: str) -> None:
        """Why nothing moves now. An empty reason ends the wait."""

    def working(self, what: str) -> None:
        """What the server does in a statement that reports no progress of its own. `waiting` with an empty reason ends it too."""


class Silent:
    """A reporter that says nothing."""

    def note(self, message: str) -> None: ...

    def progress(self, part: str, done: int, total: int | None, unit: str = "rows") -> None: ...

    def waiting(self, reason: str) -> None: ...

    def working(self, what: str) -> None: ...
