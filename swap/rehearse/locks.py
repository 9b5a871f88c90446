"""The locks that `plan` says beside those that were seen, table by table and command by command.

| verdict | |
|---|---|
| confirmed | the strongest mode that was seen is not stronger than the one that the plan says |
| mismatch | a stronger one was seen: a failure |
| seen only | the plan says none for this table and command, and one was seen that blocks more than a writer's own does |
| not seen | the plan says one; it was shorter than the interval of the looks, or there was nothing to do |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swap.core.statement import AX, BLOCKS
from swap.rehearse.sampler import Seen

STRENGTH = {mode: n for n, mode in enumerate(BLOCKS)}  # weakest first
WRITERS = STRENGTH["ROW EXCLUSIVE"]  # what every statement of an application takes too
PHASES = {
    "prepare": ("prepare",),
    "sync": ("prepare", "backfill", "build", "references", "validate"),
    "cutover": ("cutover", "validate", "references"),
    "revert": ("revert", "validate", "references"),
    "finalize": ("finalize",),
}
EXCHANGES = ("cutover", "revert")

Seens = Mapping[tuple[str, str, str], Seen]


def as_written(mode: str) -> str:
    """A mode of pg_locks in the words of LOCK TABLE: `AccessShareLock` is ACCESS SHARE."""
    words = "".join(f" {c}" if c.isupper() else c for c in mode.removesuffix("Lock"))
    return words.strip().upper()


def assess(phases: Sequence[Mapping[str, Any]], locked: Sequence[str], seen: Seens) -> list[dict[str, Any]]:
    """`phases`: of `plan --json`; `locked`: the tables that an exchange locks, by name."""
    said = _said(phases, locked)
    strongest: dict[tuple[str, str], tuple[str, Seen]] = {}
    for (command, table, mode), what in seen.items():
        written = as_written(mode)
        key = (command, table)
        if key not in strongest or STRENGTH.get(written, 0) > STRENGTH.get(strongest[key][0], 0):
            strongest[key] = (written, what)
    out = []
    for command, table in sorted({*said, *strongest}):
        predicted, (mode, held) = said.get((command, table)), strongest.get((command, table), ("", None))
        verdict = _verdict(predicted, mode)
        if verdict is not None:
            out.append(
                {
                    "command": command, "table": table, "predicted": predicted, "seen": mode or None,
                    "longest_ms": round(held.longest_ms, 1) if held else None, "waiting_max": held.waiting_max if held else None,
                    "verdict": verdict,
                }
            )  # fmt: skip
    return out


def holds_ms(seen: Seens) -> list[float]:
    """How long each lock that blocks writers was held, each time."""
    blocking = [s for (_, _, mode), s in seen.items() if STRENGTH.get(as_written(mode), 0) > STRENGTH["SHARE UPDATE EXCLUSIVE"]]
    return [round(ms, 1) for s in blocking for ms in s.holds_ms]


def _verdict(predicted: str | None, seen: str) -> str | None:
    strength = STRENGTH.get(seen, 0)
    if not seen:
        return "not seen"
    if predicted is None:
        return "seen only" if strength > WRITERS else None
    return "mismatch" if strength > max(STRENGTH[predicted], WRITERS) else "confirmed"


def _said(phases: Sequence[Mapping[str, Any]], locked: Sequence[str]) -> dict[tuple[str, str], str]:
    """The strongest lock that the plan says, of each command on each table. What a dry run prints as one LOCK TABLE is on all the
    tables of the exchange."""
    by_name = {p["name"]: p["statements"] for p in phases}
    out: dict[tuple[str, str], str] = {}
    for command, names in PHASES.items():
        for statement in (s for name in names for s in by_name.get(name, ())):
            if statement["lock"] and statement["table"]:
                key = (command, statement["table"])
                out[key] = max(out.get(key, ""), statement["lock"], key=lambda mode: STRENGTH[mode])
        if command in EXCHANGES:
            out |= {(command, table): AX for table in locked}
    return out
