"""Capture, guards and fence are what was recorded when they were made: there, enabled ALWAYS, and unaltered.

Which triggers there are is in the recorded structure, what a function does in a digest that was put into its comment
in the statement that made it (swap.ddl.capture.function). So another version of this tool, whose functions would
read otherwise, does not call those of a run that is under way altered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, parse_table
from swap.core.sql_text import load_sql
from swap.core.statement import Statement
from swap.ddl import capture as objects
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.state.journal import Journal, Run
from verify.published import published
from verify.table_files import table_files

RECORDED = re.compile(r'^trigger CREATE (?:CONSTRAINT )?TRIGGER ("(?:[^"]|"")+"|\S+) ')
OWN = re.compile(r"^(0swap_complete_|~swap_(guard|twin)_|!swap_compat_|swap_(capture|truncate|fence)(_|$))")
Named = tuple[TableName, str]


class CaptureFault(NamedTuple):
    """Something that captures or guards and is not as it was made; `table`: whose writes that concerns."""

    table: TableName
    detail: str


def faults(
    conn: Connection, plan: Plan, mode: str, direction: Direction, oids: Mapping[TableName, int], baseline: list[tuple[str, str]]
) -> list[CaptureFault]:
    """`oids`: of the live table and of those with references."""
    rows = conn.execute(load_sql("verify", "triggers.sql"), {"oids": list(oids.values())})
    found = {(r[0], r[1]): r[2:] for r in rows}
    bodies = known_bodies(plan, mode, direction)
    problems = []
    for table, name in sorted({*recorded(baseline, oids.keys()), *bodies}):
        enabled, body, digest, comment = found.get((oids.get(table, 0), name), (None, None, None, None))
        if enabled is None:
            problems.append(CaptureFault(table, f"{table}: trigger {name} is missing"))
        elif enabled != "A":
            problems.append(CaptureFault(table, f"{table}: trigger {name} is not ENABLE ALWAYS"))
        elif (comment or "").startswith(objects.DIGEST):
            altered = CaptureFault(table, f"{table}: the function of trigger {name} was altered")
            problems += [altered] if comment != objects.DIGEST + digest else []
        elif not any(sql.Literal(body).as_string(None) in b.text for b in bodies.get((table, name), ())):
            problems.append(CaptureFault(table, f"{table}: the function of trigger {name} was altered, or is another version's"))
    if mode == "logical":
        problems += [CaptureFault(plan.source, detail) for detail in published(conn, plan, direction)]
    return problems


def followed(plan: Plan) -> list[TableName]:
    """The live table and those with references, partitions too."""
    referring = [plan.catalog.table(t) for t in dict.fromkeys(r.table for r in plan.references)]
    return [plan.source, *(x.name for t in referring for x in (t, *t.partitions))]


def faults_now(conn: Connection, journal: Journal, run: Run) -> list[CaptureFault]:
    """What of a run's capture and guards is not as it was made, at this moment."""
    plan, baseline = run.plan, journal.baseline(run.id) or []
    oids = {name: oid for name, (oid, _) in table_files(conn, followed(plan)).items()}
    return faults(conn, plan, run.mode, run.direction, oids, baseline)


def recorded(baseline: list[tuple[str, str]], tables: Iterable[TableName]) -> set[Named]:
    """The triggers of this tool that the recorded structure has on `tables`."""
    followed = set(tables)
    found = ((table, own_trigger(line)) for table, line in baseline)  # of views and functions too, which are no table's name
    return {(parse_table(table), name) for table, name in found if name and parse_table(table) in followed}


def own_trigger(line: str) -> str | None:
    """The name of the trigger that this line of a recorded structure is about, if it is one of this tool."""
    match = RECORDED.match(line)
    if match is None:
        return None
    name = match.group(1)
    name = name[1:-1].replace('""', '"') if name.startswith('"') else name
    return name if OWN.match(name) else None


def known_bodies(plan: Plan, mode: str, direction: Direction) -> dict[Named, list[Statement]]:
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
    refs += plan.own_references if direction is Direction.REVERSE else ()
    for ref in refs:
        body = [objects.reference_guard_function(plan, ref, direction)]
        out |= {(ref.table, f"{objects.GUARD}_{ref.number}_{event}"): body for event in ("insert", "update")}
    return out
