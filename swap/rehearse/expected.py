"""What a rehearsal said, from the JSON of its report: for the question before a cutover, and beside what really happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

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


class _Phase(BaseModel):
    command: str = Field(pattern=r"^swap [a-z]")
    seconds: float
    low_s: float
    high_s: float


class _Bounds(BaseModel):
    low: float
    high: float


class _Prediction(BaseModel):
    phases: list[_Phase]
    locked_ms: _Bounds | None


class Document(BaseModel):
    """What is read of a rehearsal's JSON."""

    kind: Literal["rehearsal"]
    format: Literal[1]
    verdict: str
    source: str
    began_at: AwareDatetime
    pin: Pin
    prediction: _Prediction | None

    @property
    def age_s(self) -> float:
        """Seconds since the rehearsal began."""
        return (datetime.now(UTC) - self.began_at).total_seconds()


def read_expected(file: Path) -> Expected:
    """Raises UsageError for a file that is no rehearsal."""
    d = read_document(file)
    found = d.prediction.phases if d.prediction else []
    phases = {p.command.split()[1]: Phase(p.seconds, p.low_s, p.high_s) for p in reversed(found)}  # the first of a name
    locked = d.prediction.locked_ms if d.prediction else None
    return Expected(d.verdict, d.age_s, d.source, phases, (locked.low, locked.high) if locked else None)


def read_document(file: Path) -> Document:
    """The JSON of a rehearsal that came as far as its first cutover; of an HTML or a Markdown, the one beside it. Raises UsageError."""
    try:
        data = read_regular(file.with_suffix(".json") if file.suffix in (".html", ".md") else file, MAX_BYTES)
        return Document.model_validate_json(data)
    except ValidationError as e:
        why = _wrong(e)
    except OSError as e:
        why = e.strerror or str(e)
    except ValueError as e:
        why = str(e)
    raise UsageError(
        f"Cannot rely on the rehearsal {str(file)[:200]}: {why}.",
        hint="Name the report of `swap rehearse`: its .json, or the .html beside it.",
    )


def _wrong(e: ValidationError) -> str:
    """The first thing that is not as in a rehearsal's JSON."""
    where = e.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    if where == ("pin",):
        return "it is not the JSON of a rehearsal that came as far as its first cutover"
    if where == ("format",):
        return "it is of another format, which another version of swap wrote"
    return "it is not the JSON of a rehearsal" + (f" ({'.'.join(map(str, where))})" if where else "")
