"""`[accept] findings`: blockers that an operator takes on by name, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from swap.core.config import Config
from swap.core.errors import RefusedError
from swap.doctor.finding import Finding, warning

NOT_ACCEPTABLE = " This finding cannot be accepted."


def accept(findings: Iterable[Finding], labels: Sequence[str]) -> list[Finding]:
    """The findings; blockers that `labels` name are warnings, where a finding can be accepted at all. Idempotent."""
    return [_accepted(f) if f.status == "blocker" and f.label in labels else f for f in findings]


def _accepted(f: Finding) -> Finding:
    if f.acceptable:
        return replace(f, status="warning", detail=f"{f.detail} (accepted in [accept] findings)")
    return replace(f, hint=f"{f.hint.removesuffix(NOT_ACCEPTABLE)}{NOT_ACCEPTABLE}")


def with_accepted(findings: list[Finding], config: Config, *, tried: bool) -> list[Finding]:
    """The findings after [accept], and a warning for each label in it that no finding has. `tried`: a trial build was made."""
    ends = ("legacy:", "legacy-values:")
    later = ends if tried else (*ends, "trial:")  # findings of `finalize`, and those that only a trial build makes
    labels = [x for x in config.accept.findings if not x.startswith(later)]
    known = {f.label for f in findings}
    unused = [
        warning("accept", label, "[accept] names this finding, and there is none of that name", "Remove it.")
        for label in labels
        if label not in known
    ]
    return [*accept(findings, labels), *unused]


def refuse(findings: Sequence[Finding], config: Config) -> None:
    """Raises RefusedError (exit code 3) with the first blocker that is not accepted, and the names of all others."""
    blockers = [f for f in accept(findings, config.accept.findings) if f.status == "blocker"]
    if not blockers:
        return
    first, more = blockers[0], len(blockers) - 1
    others = f" And {more} more blocker{'s' if more > 1 else ''}: {', '.join(f.label for f in blockers[1:])}." if more else ""
    hint = f"{first.hint} `swap doctor` lists every finding with its remedy."
    raise RefusedError(f"{first.name}: {first.object}: {first.detail}.{others}", hint=hint.strip())
