"""What a rehearsal has seen, as frozen data. The report (JSON, Markdown, HTML) is made of it, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from swap.rehearse.schema_dump import SchemaComparison

GO, NO_GO = "go", "no-go"
FORMAT = 1  # of the JSON


@dataclass(frozen=True)
class Step:
    """One command of the cycle. `began_s`: since the beginning; `wal_bytes`: what the server wrote meanwhile, `size_bytes`: the
    database after it. `facts`: what the report shows of its document; `error`: message, state and hint. `work_s`: seconds of it that
    were work on rows, by table ("": it is not known which), and `work_wal_bytes`: the WAL meanwhile."""

    number: int
    command: str
    code: int
    began_s: float
    seconds: float
    wal_bytes: int | None
    size_bytes: int | None
    facts: Mapping[str, Any]
    error: Mapping[str, Any] | None = None
    work_s: Mapping[str, float] = field(default_factory=dict)
    work_wal_bytes: float = 0.0


@dataclass(frozen=True)
class CheckRun:
    """One of the operator's own checks (`--check`) in one state. `errors`: what the server logged meanwhile, by SQLSTATE."""

    check: str
    state: str
    code: int
    seconds: float
    output: str
    errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why it is no-go. `kind`: refused | command | schema | check | load | lock | statement | clone."""

    kind: str
    text: str


@dataclass(frozen=True)
class Pin:
    """What was rehearsed, so that another plan, structure or version is not taken for it. Each part has a digest of its own."""

    plan: Mapping[str, str]
    structure: Mapping[str, str]
    tool: str
    server_version: int


@dataclass(frozen=True)
class Rehearsal:
    """Everything. Times are seconds since `began_at`, an ISO 8601 timestamp."""

    source: str
    mode: str
    began_at: str
    seconds: float
    clone: Mapping[str, Any]
    server_version: int
    tool_version: str
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    states: Mapping[str, float] | None = None
    steps: tuple[Step, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()
    schema: SchemaComparison | None = None
    checks: tuple[CheckRun, ...] = ()
    load: Mapping[str, Any] | None = None
    locks: tuple[Mapping[str, Any], ...] = ()
    lock_statements: tuple[Mapping[str, Any], ...] = ()
    lock_waits: Sequence[Mapping[str, Any]] | None = None
    statements: tuple[Mapping[str, Any], ...] = ()
    samples: Mapping[str, Any] | None = None
    prediction: Mapping[str, Any] | None = None
    pin: Pin | None = None
    events: tuple[Mapping[str, Any], ...] = ()

    @property
    def verdict(self) -> str:
        return NO_GO if self.reasons else GO

    @property
    def refused(self) -> bool:
        """Whether a preflight check or a gate refused, and nothing else is wrong."""
        return any(r.kind == "refused" for r in self.reasons) and {r.kind for r in self.reasons} <= {"refused"}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "rehearsal", "format": FORMAT, "verdict": self.verdict, **asdict(self)}
