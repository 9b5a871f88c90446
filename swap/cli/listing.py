"""Plans and dry runs for people and for scripts: the statements that run, from the same planners that run them."""

from __future__ import annotations

from typing import Any

from swap.core.names import quote
from swap.core.statement import Statement
from swap.plan.backfill_triggers import Touched


def as_json(statements: list[Statement]) -> list[dict[str, Any]]:
    return [
        {
            "sql": s.text,
            "lock": s.lock or None,
            "table": str(s.table) if s.table else None,
            "blocks": s.blocks,
            "transactional": s.transactional,
            "why": s.why,
        }
        for s in statements
    ]


def as_text(statements: list[Statement]) -> list[str]:
    """SQL that can be read and run, with the lock of each statement above it."""
    out = []
    for s in statements:
        lock = f"{s.lock} on {s.table}: blocks {s.blocks}" if s.lock else "no lock on an application table"
        out += [f"-- {s.why}; {lock}", f"{s.text};", ""]
    return out


def triggers_as_json(met: list[Touched]) -> list[dict[str, Any]]:
    """User triggers that the backfill's UPDATEs meet, and whether each fires."""
    return [
        {"table": str(m.table), "trigger": m.trigger.name, "function": m.trigger.function, "state": m.state, "fires": m.fires}
        for m in met
    ]


def triggers_as_text(met: list[Touched]) -> list[str]:
    """The same, with what is done about each."""
    fires = "FIRES for every row that the backfill fills: `prepare` asks for it in [accept] findings"
    quiet = {"O": "suppressed while the backfill runs (session_replication_role = replica)"}
    head = [f"  user triggers that the backfill's UPDATEs meet: {len(met) or 'none'}"]
    done = [fires if m.fires else quiet.get(m.trigger.enabled, "does not fire for the backfill's role") for m in met]
    what = [f"    {m.table}.{quote(m.trigger.name)} ({m.state}, {m.trigger.function})" for m in met]
    return [*head, *(f"{w}: {d}" for w, d in zip(what, done, strict=True))]
