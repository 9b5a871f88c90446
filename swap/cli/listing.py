"""Plans and dry runs for people and for scripts: the statements that run, from the same planners that run them."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from cutover.finalize import abort_steps, finalize_steps
from cutover.prepared_exchange import closing_statements, cutover_exchange, lock_statements, revert_exchange
from swap.core.names import quote
from swap.core.statement import Statement
from swap.ddl.compat import fill_compat
from swap.ddl.functions import plan_again
from swap.ddl.references import (
    analyze_reference,
    create_index,
    fill_identity,
    fill_reference,
    index_attributes,
    reference_indexes,
)
from swap.plan.backfill_triggers import Touched
from swap.plan.direction import forward
from swap.plan.model import Plan
from swap.prepare.run import Step, prepare_steps
from swap.sync.backfill import copy_statement
from swap.sync.build import (
    analyze,
    identity_steps,
    publishable,
    reference_steps,
    shadow_constraints,
    shadow_indexes,
    statistics_of,
    vacuum,
)
from swap.sync.follow_up import validations

Phase = tuple[str, list[Statement]]
LOW, HIGH = sql.SQL(":low"), sql.SQL(":high")


def _of(steps: list[Step]) -> list[Statement]:
    return [s for step in steps for s in step.statements]


def prepare_phase(plan: Plan) -> Phase:
    return "prepare", _of(prepare_steps(plan))


def phases(plan: Plan) -> list[Phase]:
    """Everything that will run, phase by phase, in order."""
    backfill: list[Statement] = []
    if plan.identity_added or identity_steps(plan):
        fill = fill_identity(plan, LOW, HIGH)
        backfill.append(
            Statement(fill, "per range of heap blocks: a uuid for each row without one", plan.source, "ROW EXCLUSIVE")
        )
    if plan.identity_index:
        backfill.append(create_index(plan.identity_index, concurrently=True))
    backfill += _of(identity_steps(plan))
    copy = copy_statement(forward(plan), LOW, HIGH)
    backfill.append(Statement(copy, "per key range, sized by time; no row is locked", plan.source, "ACCESS SHARE"))
    build = [create_index(plan.key_index, concurrently=False), *publishable(plan), vacuum(plan)]
    build += [create_index(i, concurrently=False) for i in shadow_indexes(plan)]
    build += [s for i in shadow_indexes(plan) for s in index_attributes(i)]
    build += shadow_constraints(plan)
    references: list[Statement] = []
    for ref in plan.references:
        for heap in plan.catalog.table(ref.table).heaps:
            fill = fill_reference(plan, ref, LOW, HIGH, heap.name)
            references.append(Statement(fill, "per range of heap blocks: rows without their uuid", heap.name, "ROW EXCLUSIVE"))
        if ref.columns.compat_column:
            second = fill_compat(ref.columns, LOW, HIGH)
            references.append(Statement(second, "per range of heap blocks: the uuid's second name", ref.table, "ROW EXCLUSIVE"))
        references += [create_index(i, concurrently=True) for i in reference_indexes(ref)]
        references += [s for i in reference_indexes(ref) for s in index_attributes(i)]
        references += [*_of(reference_steps(ref)), *statistics_of(plan, ref.table), analyze_reference(ref.table)]
    return [
        prepare_phase(plan),
        ("backfill", backfill),
        ("build", build),
        ("references", [*references, analyze(plan)]),
        ("cutover", exchange_statements(plan, "cutover")),
        ("validate", validations(plan)),
        ("revert", exchange_statements(plan, "revert")),
        ("finalize", _of(finalize_steps(plan, drop_legacy=False))),
        ("abort", _of(abort_steps(plan))),
    ]


def exchange_statements(plan: Plan, kind: str, slot: int = 0, generation: int = 1) -> list[Statement]:
    """The lock and the script of a cutover or a revert. Between them run: the drain, the comparison, the journal's rows."""
    what = cutover_exchange(plan) if kind == "cutover" else revert_exchange(plan)
    locks = sql.SQL("; ").join(lock_statements(plan, kind))
    lock = Statement(locks, "everything involved, at once", plan.source, "ACCESS EXCLUSIVE")
    return [lock, *what.statements, *closing_statements(plan, what, slot, generation), plan_again(plan)]


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
