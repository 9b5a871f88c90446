"""The application's statements, planned on both shapes: the top of pg_stat_statements in production, or those of a file.

Nothing is executed: EXPLAIN (GENERIC_PLAN) plans a statement with its parameters open, from PostgreSQL 16 on. On 15 a statement with
parameters is prepared, and explained with NULLs and plan_cache_mode = force_generic_plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from swap.core.sql_text import verbatim

TOP = 50  # of production's statements
GENERIC_SINCE = 160000
WORSE = 2.0  # times the cost of before
COST_FLOOR = 10.0  # below it a plan costs nothing that anybody notices
PARAMETER = re.compile(r"\$(\d+)")


@dataclass(frozen=True)
class Planned:
    """A statement's plan: its cost and node types, top first; or the error. `scans`: relations read whole."""

    cost: float | None
    nodes: tuple[str, ...]
    error: str | None = None


def from_file(text: str) -> list[str]:
    """Statements that end with a semicolon at the end of a line."""
    return [s for part in re.split(r";[ \t]*(?:\n|$)", text) if (s := part.strip())]


def explain(conninfo: str, statements: Iterable[str]) -> dict[str, Planned]:
    """Each statement as the server plans it now, in a session with the role's own settings. Everything is rolled back."""
    with psycopg.connect(conninfo, autocommit=True, application_name="rehearsal statements", prepare_threshold=None) as conn:
        return {text: _explain(conn, text) for text in statements}


def _explain(conn: psycopg.Connection[Any], text: str) -> Planned:
    try:
        with conn.transaction(force_rollback=True):
            row = conn.execute(_explaining(conn, text)).fetchone()
    except psycopg.Error as e:
        return Planned(None, (), f"{e.sqlstate}: {e.diag.message_primary}")
    assert row is not None
    top = row[0][0]["Plan"]
    return Planned(float(top["Total Cost"]), tuple(_nodes(top)))


def _explaining(conn: psycopg.Connection[Any], text: str) -> sql.SQL:
    if not (numbers := [int(n) for n in PARAMETER.findall(text)]):
        return verbatim(f"EXPLAIN (FORMAT JSON) {text}")
    if conn.info.server_version >= GENERIC_SINCE:
        return verbatim(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}")
    conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    conn.execute("DEALLOCATE ALL")
    conn.execute(verbatim(f"PREPARE rehearsed AS {text}"))
    return verbatim(f"EXPLAIN (FORMAT JSON) EXECUTE rehearsed({', '.join(['NULL'] * max(numbers))})")


def _nodes(node: dict[str, Any]) -> Iterator[str]:
    where = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    yield f"{node['Node Type']}{where}"
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def compare(text: str, before: Planned, after: Planned, key: str) -> dict[str, Any]:
    """One row of the report. `verdict`: same, changed, worse, fails, or not comparable (it failed before too)."""
    return {
        "sql": text, "verdict": _verdict(before, after), "flags": flags(text, key),
        "before": {"cost": before.cost, "nodes": list(before.nodes), "error": before.error},
        "after": {"cost": after.cost, "nodes": list(after.nodes), "error": after.error},
    }  # fmt: skip


def _verdict(before: Planned, after: Planned) -> str:
    if before.cost is None:
        return "not comparable"
    if after.cost is None:
        return "fails"
    if after.cost > max(before.cost * WORSE, COST_FLOOR):
        return "worse"
    return "same" if before.nodes == after.nodes else "changed"


def flags(text: str, key: str) -> list[str]:
    """What means something else with a uuid, as far as the text shows it."""
    name = rf'"?\b{re.escape(key)}\b"?'
    found = {
        f"ORDER BY {key}: uuids have no order of birth": rf"\border\s+by\s+(?:[\w\".]+\s*,\s*)*?(?:\w+\.)?{name}",
        f"max or min of {key}: no newest or oldest row": rf"\b(?:max|min)\s*\(\s*(?:\w+\.)?{name}\s*\)",
        f"a page after a {key}: the order is not that of the integers": rf"(?:\w+\.)?{name}\s*[<>]=?\s*(?:\$\d+|\d+|%s)",
        f"an integer literal against {key}": rf"(?:\w+\.)?{name}\s*(?:=|<>|in\s*\()\s*\d+",
    }
    return [said for said, pattern in found.items() if re.search(pattern, text, re.IGNORECASE)]
