"""Capture, guards and fence are what was recorded when they were made: there, enabled ALWAYS, and unaltered.

Which triggers there are is in the recorded structure, what a function does in a digest that was put into its comment
in the statement that made it (swap.prepare.objects.function). So another version of this tool, whose functions would
read otherwise, does not call those of a run that is under way altered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from psycopg import sql

from swap.core.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName, parse_table
from swap.core.plan import Plan
from swap.core.statement import Statement
from swap.core.text import load_sql
from swap.prepare import objects
from verify.findings import Check
from verify.published import published

RECORDED = re.compile(r'^trigger CREATE (?:CONSTRAINT )?TRIGGER ("(?:[^"]|"")+"|\S+) ')
OWN = re.compile(r"^(0swap_complete_|~swap_(guard|twin)_|!swap_compat_|swap_(capture|truncate|fence)(_|$))")
Named = tuple[TableName, str]


def capture_installed(
    conn: Connection, plan: Plan, mode: str, direction: str, tables: Iterable[Table], baseline: list[tuple[str, str]]
) -> Check:
    rows = conn.execute(load_sql("verify", "triggers.sql"), {"oids": [t.oid for t in tables]})
    found = {(r[0], r[1]): r[2:] for r in rows}
    oids = {t.name: t.oid for t in tables}
    bodies = known_bodies(plan, mode, direction)
    expected = sorted({*recorded(baseline, oids.keys()), *bodies})
    problems = []
    for table, name in expected:
        enabled, body, digest, comment = found.get((oids.get(table, 0), name), (None, None, None, None))
        if enabled is None:
            problems.append(f"{table}: trigger {name} is missing")
        elif enabled != "A":
            problems.append(f"{table}: trigger {name} is not ENABLE ALWAYS")
        elif (comment or "").startswith(objects.DIGEST):
            altered = comment != objects.DIGEST + digest
            problems += [f"{table}: the function of trigger {name} was altered"] if altered else []
        elif not any(sql.Literal(body).as_string(None) in b.text for b in bodies.get((table, name), ())):
            problems.append(f"{table}: the function of trigger {name} was altered, or is another version's")
    problems += published(conn, plan, direction) if mode == "logical" else []
    if problems:
        return Check("capture_installed", "failed", "; ".join(problems))
    return Check("capture_installed", "ok", f"{len(expected)} triggers are enabled and unaltered")


def recorded(baseline: list[tuple[str, str]], tables: Iterable[TableName]) -> set[Named]:
    """The triggers of this tool that the recorded structure has on `tables`."""
    followed, out = set(tables), set[Named]()
    for table, line in baseline:
        match = RECORDED.match(line)
        if match is None:
            continue
        name = match.group(1)
        name = name[1:-1].replace('""', '"') if name.startswith('"') else name
        if OWN.match(name) and parse_table(table) in followed:
            out.add((parse_table(table), name))
    return out


def known_bodies(plan: Plan, mode: str, direction: str) -> dict[Named, list[Statement]]:
    """The triggers without which nothing would be captured or guarded, and their functions as this version makes them:
    what those are held against that were made before digests were recorded."""
    live, out = plan.source, dict[Named, list[Statement]]()
    if mode == "trigger":
        put, gone = zip(*(objects.capture_functions(plan, direction, slot) for slot in (0, 1)), strict=True)
        out[live, objects.CAPTURE] = list(put)
        out |= {(live, name): list(gone) for name in (objects.DELETED, objects.MOVED)}
        out[live, objects.TRUNCATE] = [objects.truncate_function(plan)]
    guard = [objects.source_guard_function(plan, direction)]
    out |= {(live, f"{objects.GUARD}_{event}"): guard for event in ("insert", "update")}
    refs = [r.columns for r in plan.references]
    refs += plan.own_references if direction == "reverse" else ()
    for ref in refs:
        body = [objects.reference_guard_function(plan, ref, direction)]
        out |= {(ref.table, f"{objects.GUARD}_{ref.number}_{event}"): body for event in ("insert", "update")}
    return out
