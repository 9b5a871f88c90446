"""The results of the measurements, and the Markdown table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Kind = Literal["at most", "below", "at least"]


@dataclass(frozen=True)
class Target:
    """The limit of a measured value."""

    kind: Kind
    limit: float

    def holds(self, value: float) -> bool:
        if self.kind == "at least":
            return value >= self.limit
        return value < self.limit if self.kind == "below" else value <= self.limit


@dataclass(frozen=True)
class Row:
    """One line of the table. `raw`: the numbers behind the value. Without `target` it is for information."""

    letter: str
    what: str
    value: float
    raw: str
    target: Target | None = None
    unit: str = ""
    digits: int = 2

    @property
    def measured(self) -> str:
        return f"{self.value:,.{self.digits}f}{self.unit}"

    @property
    def wanted(self) -> str:
        return f"{self.target.kind} {self.target.limit:g}{self.unit}" if self.target else ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "holds" if self.target.holds(self.value) else "MISSED"

    def line(self) -> str:
        """For a terminal."""
        judged = f"  (target: {self.wanted}: {self.verdict})" if self.target else ""
        return f"({self.letter}) {self.what}: {self.measured}{judged}\n      {self.raw}"


def series(values: Sequence[float], unit: str = "", digits: int = 2) -> str:
    """The median, and then every value in the order of measurement."""
    if not values:
        return "none"
    return f"{median(values):,.{digits}f}{unit} [{', '.join(f'{v:,.{digits}f}' for v in values)}]"


def pairwise_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios of neighbouring repetitions: a drift of the machine's speed cancels out."""
    return median([a / b if b else float("nan") for a, b in zip(over, under, strict=True)])


def markdown(title: Sequence[str], rows: Sequence[Row]) -> str:
    """The report: how it was measured, the table, and the raw numbers."""
    head = ["", "| | what | measured | target | |", "|---|---|---:|---:|---|"]
    table = [f"| {r.letter} | {r.what} | {r.measured} | {r.wanted} | {r.verdict} |" for r in rows]
    raw = ["", "Medians first, then every repetition in order:", "", *(f"- ({r.letter}) {r.what}: {r.raw}" for r in rows)]
    return "\n".join([*title, *head, *table, *raw]) + "\n"
