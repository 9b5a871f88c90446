"""The structure of both sides: the same columns, types and NOT NULLs after the known renames, and no new column.

Pure: two loaded tables in, one check out. Without this check a column that was added after planning would not be compared, and
no message would tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from swap.catalog.model import Column, Table
from swap.plan.direction import Direction, TableMapping, forward
from swap.plan.model import Plan
from verify.checks import check
from verify.report import CheckResult


def structure(
    plan: Plan, mapping: TableMapping, origin: Table, target: Table, more: Sequence[str] = ()
) -> tuple[CheckResult, list[str]]:
    """The check, and the reasons why the rows cannot be compared (a column is missing on a side, or has another type). `more`: what
    else is not as it should be."""
    incomparable, problems = [], list(more)
    for mapped in mapping.columns:
        a, b = origin.column(mapped.origin), target.column(mapped.target)
        if a is None:
            incomparable.append(f"{origin.name} has no column {mapped.origin}")
        if b is None:
            incomparable.append(f"{target.name} has no column {mapped.target}")
        if a is None or b is None:
            continue
        if mapped.lookup:
            a = origin.column(mapping.origin_uuid) or a
        else:
            problems += _column_differences(plan, (origin, a), (target, b))
        if a.type != b.type:
            incomparable.append(f"{origin.name}.{a.name} is {a.type}, {target.name}.{b.name} is {b.type}")
    for table, known in ((origin, _origin_columns(plan, mapping)), (target, {m.target for m in mapping.columns})):
        new = [c.name for c in table.columns if c.name not in known]
        problems += [f"{table.name} has a column that is not in the plan: {name}" for name in new]
    good = f"{len(mapping.columns)} columns are alike on {origin.name} and {target.name}"
    return check("structure", [*incomparable, *problems], good), incomparable


def _origin_columns(plan: Plan, mapping: TableMapping) -> set[str]:
    """Every column that the captured table may have. They include a uuid column of an own reference that the application
    itself keeps, although the maintained column is looked up."""
    known = {m.origin for m in mapping.columns}
    if mapping.direction is Direction.FORWARD:
        return known | {r.uuid_column for r in plan.own_references}
    after = {r.before: r.after for r in plan.renames}
    return known | {after.get(m.target, m.target) for m in forward(plan).columns}


def _column_differences(plan: Plan, origin: tuple[Table, Column], target: tuple[Table, Column]) -> list[str]:
    (origin_table, a), (target_table, b) = origin, target
    compared = (
        ("collation", a.collation, b.collation),
        ("generated", a.generated, b.generated),
        ("NOT NULL", _not_null(plan, a), _not_null(plan, b)),
    )
    return [
        f"{property_} of {origin_table.name}.{a.name} is {x}, of {target_table.name}.{b.name} {y}"
        for property_, x, y in compared
        if x != y
    ]


def _not_null(plan: Plan, column: Column) -> bool:
    """The key columns count as NOT NULL on both sides: a key is NOT NULL where it is the primary key, and it may be nullable
    where it is kept beside the primary key."""
    return column.not_null or column.name in (plan.key, plan.legacy_key, plan.identity)
