"""The locks that `plan` says beside those that were seen: statement by statement, and for each table how long a command held them.

| verdict | |
|---|---|
| confirmed | the mode that the plan says was seen, and no stronger one |
| weaker | a weaker one was seen: the plan is on the safe side |
| held already | its transaction holds as strong a lock on the table already |
| mismatch | a stronger one was seen: a failure |
| seen only | the plan says none for this table, and one was seen that blocks more than a writer's own does |
| not seen | the plan says one; the statement did not run by itself, or was shorter than the interval of the looks |

A statement is either tried (swap.rehearse.lock_trial) or seen in the real run, where it is a message of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from swap.core.statement import AX, Statement
from swap.rehearse.lock_trial import STRENGTH, WRITERS, Tried, as_written
from swap.rehearse.sampler import LONGEST_QUERY, Seen, SeenKey
from swap.rehearse.words import one_line

PHASES = {
    "prepare": ("prepare",),
    "sync": ("prepare", "backfill", "build", "references", "validate"),
    "cutover": ("cutover", "validate", "references"),
    "revert": ("revert", "validate", "references"),
    "finalize": ("finalize",),
}
LONGEST_SQL = 300
CONFIRMED, WEAKER, HELD, MISMATCH, SEEN_ONLY, NOT_SEEN = (
    "confirmed",
    "weaker",
    "held already",
    "mismatch",
    "seen only",
    "not seen",
)

Seens = Mapping[SeenKey, Seen]
Phases = Sequence[tuple[str, Sequence[Statement]]]
Locked = Mapping[str, Sequence[str]]  # by command
Row = dict[str, Any]


def assess_statements(tried: Iterable[Tried], locked: Locked, seen: Seens, state_schema: str = "swap") -> list[Row]:
    """Every statement of the plan that says a lock, or that took one. `locked`: the tables that each exchange locks first, by name, and
    those that go with `finalize`. For what is in the state schema no session of the application waits."""
    tried = [replace(t, others=tuple(x for x in t.others if not x[1].startswith(f"{state_schema}."))) for t in tried]
    in_phase: dict[str, dict[str, str]] = {}
    for t in tried:
        if t.statement.table is not None and t.statement.lock:
            _strengthen(in_phase.setdefault(t.phase, {}), str(t.statement.table), t.statement.lock)
    for phase, tables in locked.items():
        in_phase.setdefault(phase, {}).update(dict.fromkeys(tables, AX))
    alone = _by_query(seen)
    rows = (_statement_row(t, in_phase.get(t.phase, {}), alone.get(_beginning(t.statement), ())) for t in tried)
    return [r for r in rows if r["said"] or r["seen"] or r["others"]]


def _statement_row(t: Tried, said_in_phase: Mapping[str, str], alone: Sequence[tuple[SeenKey, Seen]]) -> Row:
    s = t.statement
    mode, held, waiting, ms = t.seen, t.held, None, t.ms
    if t.error is not None and alone:
        mine = [(as_written(key.mode), what) for key, what in alone if key.table == str(s.table)]
        mode = max((m for m, _ in mine), key=_strength, default="")
        waiting = max((what.waiting_max for _, what in mine), default=None)
        ms = max((what.longest_ms for _, what in mine), default=None)
    others = [(m, name) for m, name in t.others if _strength(m) > max(WRITERS, _strength(said_in_phase.get(name, "")))]
    return {
        "phase": t.phase, "sql": one_line(s.text)[:LONGEST_SQL], "table": str(s.table) if s.table else None, "said": s.lock or None,
        "seen": mode or None, "how": "tried" if t.error is None else "sampled" if alone else None, "ms": ms if ms is None else round(ms, 1),
        "waiting_max": waiting, "others": [f"{m} on {name}" for m, name in others], "note": t.error if t.error and not alone else None,
        "verdict": _statement_verdict(s, mode, held, others),
    }  # fmt: skip


def _statement_verdict(s: Statement, mode: str, held: str, others: Sequence[tuple[str, str]]) -> str:
    if s.table is not None and _strength(mode) > max(_strength(s.lock), WRITERS):
        return MISMATCH
    if others:
        return SEEN_ONLY
    if not mode:
        return HELD if held and _strength(held) >= _strength(s.lock) else NOT_SEEN
    return CONFIRMED if _strength(mode) >= _strength(s.lock) else HELD if _strength(held) >= _strength(s.lock) else WEAKER


def assess(phases: Phases, locked: Locked, seen: Seens, rows: Iterable[Row] = ()) -> list[Row]:
    """Command by command and table by table. `rows`: of `assess_statements`, which saw locks too short for the looks."""
    said = _said(phases, locked)
    strongest: dict[tuple[str, str], tuple[str, Seen | None]] = {}
    for key, what in seen.items():
        _stronger(strongest, (key.command, key.table), as_written(key.mode), what)
    tried = {(r["phase"], r["table"], r["seen"]) for r in rows}
    out = []
    for command, table in sorted({*said, *strongest}):
        predicted, (mode, held) = said.get((command, table)), strongest.get((command, table), ("", None))
        proved = predicted is not None and any((phase, table, predicted) in tried for phase in PHASES.get(command, ()))
        verdict = _verdict(predicted, mode, proved=proved)
        if verdict is not None:
            out.append(
                {
                    "command": command, "table": table, "predicted": predicted, "seen": (predicted if proved and verdict == CONFIRMED else mode) or None,
                    "longest_ms": round(held.longest_ms, 1) if held else None, "waiting_max": held.waiting_max if held else None,
                    "verdict": verdict,
                }
            )  # fmt: skip
    return out


def holds_ms(seen: Seens) -> list[float]:
    """How long each lock that blocks writers was held, each time."""
    blocking = [s for key, s in seen.items() if _strength(as_written(key.mode)) > STRENGTH["SHARE UPDATE EXCLUSIVE"]]
    return [round(ms, 1) for s in blocking for ms in s.holds_ms]


def _verdict(predicted: str | None, seen: str, *, proved: bool) -> str | None:
    strength = _strength(seen)
    if predicted is None:
        return SEEN_ONLY if strength > WRITERS else None
    if strength > max(_strength(predicted), WRITERS):
        return MISMATCH
    if proved or strength >= _strength(predicted):
        return CONFIRMED
    return NOT_SEEN


def _said(phases: Phases, locked: Locked) -> dict[tuple[str, str], str]:
    """The strongest lock that the plan says, of each command on each table. What a dry run prints as one LOCK TABLE is on all the
    tables of the exchange."""
    by_name = dict(phases)
    out: dict[tuple[str, str], str] = {}
    for command, names in PHASES.items():
        for statement in (s for name in names for s in by_name.get(name, ())):
            if statement.lock and statement.table:
                key = (command, str(statement.table))
                out[key] = max(out.get(key, ""), statement.lock, key=_strength)
        out |= {(command, table): AX for table in locked.get(command, ())}
    return out


def _by_query(seen: Seens) -> dict[str, list[tuple[SeenKey, Seen]]]:
    found: dict[str, list[tuple[SeenKey, Seen]]] = {}
    for key, what in seen.items():
        if key.query:
            found.setdefault(key.query, []).append((key, what))
    return found


def _beginning(statement: Statement) -> str:
    """As pg_stat_activity shows the message that does the work."""
    return statement.sql.as_string(None)[:LONGEST_QUERY]


def _stronger(into: dict[tuple[str, str], tuple[str, Seen | None]], key: tuple[str, str], mode: str, what: Seen) -> None:
    known = into.get(key)
    if known is None or _strength(mode) > _strength(known[0]):
        into[key] = (mode, what)


def _strengthen(into: dict[str, str], table: str, mode: str) -> None:
    into[table] = max(into.get(table, ""), mode, key=_strength)


def _strength(mode: str) -> int:
    return STRENGTH.get(mode, 0)
