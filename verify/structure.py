"""The structure of both sides: the same columns, types and NOT NULLs after the known renames, and nothing new.

Pure: two loaded tables in, a check out. Without it a column added after planning would simply not be compared.
"""

from __future__ import annotations

from swap.catalog.model import Column, Table
from swap.plan.direction import Direction, TableMapping, forward
from swap.plan.model import Plan
from verify.checks import check
from verify.report import CheckResult


def structure(plan: Plan, d: TableMapping, origin: Table, target: Table) -> tuple[CheckResult, list[str]]:
    """The check, and what makes a comparison impossible (a column missing on either side, or of another type)."""
    impossible, problems = [], []
    for m in d.columns:
        a, b = origin.column(m.origin), target.column(m.target)
        if a is None:
            impossible.append(f"{origin.name} has no column {m.origin}")
        if b is None:
            impossible.append(f"{target.name} has no column {m.target}")
        if a is None or b is None:
            continue
        if m.lookup:
            a = origin.column(d.origin_uuid) or a
        else:
            problems += _unlike(plan, origin, a, target, b)
        if a.type != b.type:
            impossible.append(f"{origin.name}.{a.name} is {a.type}, {target.name}.{b.name} is {b.type}")
    for table, known in ((origin, _origin_columns(plan, d)), (target, {m.target for m in d.columns})):
        new = [c.name for c in table.columns if c.name not in known]
        problems += [f"{table.name} has a column that is not in the plan: {name}" for name in new]
    good = f"{len(d.columns)} columns are alike on {origin.name} and {target.name}"
    return check("structure", [*impossible, *problems], good), impossible


def _origin_columns(plan: Plan, d: TableMapping) -> set[str]:
    """Every column the captured table may have; a uuid column of an own reference that the application itself
    keeps is known too, though the maintained one is looked up."""
    known = {m.origin for m in d.columns}
    if d.direction is Direction.FORWARD:
        return known | {r.uuid_column for r in plan.own_references}
    after = {r.before: r.after for r in plan.renames}
    return known | {after.get(m.target, m.target) for m in forward(plan).columns}


def _unlike(plan: Plan, origin: Table, a: Column, target: Table, b: Column) -> list[str]:
    out = []
    for what, x, y in (
        ("collation", a.collation, b.collation),
        ("generated", a.generated, b.generated),
        ("NOT NULL", _not_null(plan, a), _not_null(plan, b)),
    ):
        if x != y:
            out.append(f"{what} of {origin.name}.{a.name} is {x}, of {target.name}.{b.name} {y}")
    return out


def _not_null(plan: Plan, c: Column) -> bool:
    """Both keys are NOT NULL where they are the primary key, and may not be where they are kept beside it."""
    return c.not_null or c.name in (plan.key, plan.legacy_key, plan.identity)
