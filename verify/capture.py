"""Capture, guards and fence are as they were recorded when they were made: present, enabled ALWAYS, and unaltered.

The recorded structure lists the triggers. The comment of a function holds a digest of what it does, from the statement that
made the function (swap.ddl.capture.function). So another version of this tool, whose functions read otherwise, does not call the
functions of a run under way altered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, parse_table
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.core.statement import Statement
from swap.ddl.capture import CAPTURE, DELETED, MOVED, TRUNCATE, capture_functions, truncate_functions
from swap.ddl.fence import FENCE
from swap.ddl.guards import GUARD, reference_guard_function, source_guard_function
from swap.ddl.own_triggers import DIGEST
from swap.plan.direction import Direction
from swap.plan.model import Plan, RefColumns
from swap.state.journal import Journal, Run
from verify.published import publication_faults
from verify.table_files import table_files

RECORDED = re.compile(r'^trigger CREATE (?:CONSTRAINT )?TRIGGER ("(?:[^"]|"")+"|\S+) ')
OWN = re.compile(r"^(0swap_complete_|~swap_(guard|twin)_|!swap_compat_|swap_(capture|truncate|fence)(_|$))")
TableTrigger = tuple[TableName, str]


class CaptureFault(NamedTuple):
    """A trigger, a function or a publication that is not as it was made. `table`: the table whose writes it affects."""

    table: TableName
    detail: str


class _TriggerRow(NamedTuple):
    table_oid: int
    name: str
    enabled: str
    body: str
    digest: str | None
    comment: str | None


def find_faults(
    conn: Connection, plan: Plan, direction: Direction, oids: Mapping[TableName, int], baseline: list[tuple[str, str]]
) -> list[CaptureFault]:
    """Compare the triggers and their functions with the recorded structure, `baseline`, and with their digests.

    `oids`: of the live tables and of those with references in place."""
    rows = fetch(conn, _TriggerRow, load_sql("verify", "triggers.sql"), {"oids": list(oids.values())})
    found = {(row.table_oid, row.name): row for row in rows}
    needed = needed_triggers(plan, direction)
    undated = any(not (row.comment or "").startswith(DIGEST) for row in found.values() if OWN.match(row.name))
    bodies = known_bodies(plan, direction) if undated else {}
    faults = []
    for table, name in sorted({*recorded(baseline, oids.keys()), *needed}):
        detail = _fault(name, found.get((oids.get(table, 0), name)), bodies.get((table, name), ()))
        faults += [CaptureFault(table, f"{table}: {detail}")] if detail else []
    if plan.mode == "logical":
        faults += [CaptureFault(f.table, f.detail) for f in publication_faults(conn, plan, direction)]
    return faults


def _fault(name: str, trigger: _TriggerRow | None, bodies: Iterable[Statement]) -> str | None:
    """What is wrong with the trigger `name`, or None. `bodies`: the functions that this version would give it."""
    if trigger is None:
        return f"trigger {name} is missing"
    if trigger.enabled != "A":
        return f"trigger {name} is not ENABLE ALWAYS"
    if (trigger.comment or "").startswith(DIGEST):
        unaltered = trigger.comment == f"{DIGEST}{trigger.digest}"
        return None if unaltered else f"the function of trigger {name} was altered"
    if any(sql.Literal(trigger.body).as_string(None) in b.text for b in bodies):
        return None
    return f"the function of trigger {name} was altered, or is another version's"


def captured_tables(plan: Plan) -> list[TableName]:
    """The live tables and those with references in place, partitions too."""
    referring = [plan.catalog.table(t) for t in dict.fromkeys(r.table for r in plan.references)]
    swapped = (name for t in plan.swapped for name in (t.name, *(p.name for p in t.partitions)))
    return [*swapped, *(x.name for t in referring for x in (t, *t.partitions))]


def current_faults(journal: Journal, run: Run) -> list[CaptureFault]:
    """The faults of a run's capture and guards at this moment."""
    baseline = journal.baseline(run.id) or []
    oids = {name: file.oid for name, file in table_files(journal.conn, captured_tables(run.plan)).items()}
    return find_faults(journal.conn, run.plan, run.direction, oids, baseline)


def recorded(baseline: list[tuple[str, str]], tables: Iterable[TableName]) -> set[TableTrigger]:
    """The triggers of this tool that the recorded structure has on `tables`."""
    wanted = set(tables)
    # The structure has lines of views and functions too. Their names are no names of tables, so parse only with a trigger.
    found = ((table, own_trigger(line)) for table, line in baseline)
    return {(parse_table(table), name) for table, name in found if name and parse_table(table) in wanted}


def own_trigger(line: str) -> str | None:
    """The name of the trigger in this line of a recorded structure, if it is a trigger of this tool."""
    match = RECORDED.match(line)
    if match is None:
        return None
    name = match.group(1)
    name = name[1:-1].replace('""', '"') if name.startswith('"') else name
    return name if OWN.match(name) else None


def needed_triggers(plan: Plan, direction: Direction) -> set[TableTrigger]:
    """The triggers without which nothing would be captured or guarded."""
    out = set[TableTrigger]()
    if plan.mode == "trigger":
        out |= {(t.name, name) for t in plan.swapped for name in (CAPTURE, DELETED, MOVED, TRUNCATE)}
        out |= {(p.name, name) for t in plan.swapped for p in t.partitions for name in (TRUNCATE, FENCE)}
    guards = [(plan.source, GUARD)] if _source_guarded(plan, direction) else []
    guards += [(ref.table, f"{GUARD}_{ref.number}") for ref in _guarded(plan, direction)]
    return out | {(table, f"{guard}_{event}") for table, guard in guards for event in ("insert", "update")}


def _source_guarded(plan: Plan, direction: Direction) -> bool:
    return not (plan.derived and direction is Direction.FORWARD)  # then the source has no second key to guard


def _guarded(plan: Plan, direction: Direction) -> list[RefColumns]:
    """The references with a guard."""
    swapped = (r for t in plan.swapped for r in t.references) if direction is Direction.REVERSE else ()
    return [*(r.columns for r in plan.references), *swapped]


def known_bodies(plan: Plan, direction: Direction) -> dict[TableTrigger, list[Statement]]:
    """`needed_triggers` with their functions as this version makes them. A function that was made before digests were recorded is
    compared with these."""
    out = dict[TableTrigger, list[Statement]]()
    if plan.mode == "trigger":
        out |= _capture_bodies(plan, direction)
    if _source_guarded(plan, direction):
        guard = [source_guard_function(plan, direction)]
        out |= {(plan.source, f"{GUARD}_{event}"): guard for event in ("insert", "update")}
    for ref in _guarded(plan, direction):
        body = [reference_guard_function(plan, ref, direction)]
        out |= {(ref.table, f"{GUARD}_{ref.number}_{event}"): body for event in ("insert", "update")}
    return out


def _capture_bodies(plan: Plan, direction: Direction) -> dict[TableTrigger, list[Statement]]:
    """Of each table the function of written rows and the one of rows that are gone, for both change tables."""
    bodies = [capture_functions(plan, direction, n) for n in (0, 1)]
    written, gone = ([*zip(*(b[first::2] for b in bodies), strict=True)] for first in (0, 1))
    out = dict[TableTrigger, list[Statement]]()
    for n, (t, truncate) in enumerate(zip(plan.swapped, truncate_functions(plan), strict=True)):
        out[t.name, CAPTURE] = list(written[n])
        out |= {(t.name, name): list(gone[n]) for name in (DELETED, MOVED)}
        out[t.name, TRUNCATE] = [truncate]
    return out
