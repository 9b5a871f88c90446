"""The structure of both sides of each swapped table: the same columns, types and NOT NULLs after the known renames, and no new column.

Pure: two loaded tables in, one check out. Without this check a column that was added after planning would not be compared, and
no message would tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swap.catalog.model import Column, Table
from swap.plan.direction import ColumnMapping, Direction, TableMapping, forward
from swap.plan.model import Plan
from verify.checks import check
from verify.report import CheckResult


@dataclass(frozen=True)
class Structure:
    """Of one swapped table: `incomparable`, the reasons why the rows cannot be compared (a column is missing on a side, or has
    another type); other `problems`; `good`, what was checked."""

    incomparable: tuple[str, ...]
    problems: tuple[str, ...]
    good: str


def structure_check(parts: Sequence[Structure], more: Sequence[str] = ()) -> CheckResult:
    """One check over all swapped tables. `more`: what else is not as it should be."""
    problems = [*(line for p in parts for line in (*p.incomparable, *p.problems)), *more]
    return check("structure", problems, "; ".join(p.good for p in parts))


def structure(plan: Plan, mapping: TableMapping, origin: Table, target: Table) -> Structure:
    """Compare the columns of both sides of a swapped table."""
    incomparable, problems = [], []
    for mapped in mapping.columns:
        a, b = origin.column(mapped.origin), target.column(mapped.target)
        if a is None:
            incomparable.append(f"{origin.name} has no column {mapped.origin}")
        if b is None:
            incomparable.append(f"{target.name} has no column {mapped.target}")
        if a is None or b is None:
            continue
        if not mapped.lookup:
            problems += _column_differences(plan, mapping, (origin, a), (target, b))
        if _type(mapping, mapped, a) != b.type:
            incomparable.append(f"{origin.name}.{a.name} is {_type(mapping, mapped, a)}, {target.name}.{b.name} is {b.type}")
    for table, known in ((origin, _origin_columns(plan, mapping)), (target, {m.target for m in mapping.columns})):
        new = [c.name for c in table.columns if c.name not in known]
        problems += [f"{table.name} has a column that is not in the plan: {name}" for name in new]
    good = f"{len(mapping.columns)} columns are alike on {origin.name} and {target.name}"
    return Structure(incomparable=tuple(incomparable), problems=tuple(problems), good=good)


def _type(mapping: TableMapping, mapped: ColumnMapping, origin: Column) -> str:
    """The type of a value: what is looked up is a uuid before the cutover, and the integer of its column after it."""
    if not mapped.lookup:
        return origin.type
    return "uuid" if mapping.lookups_in.to_uuid or mapped.column is None else mapped.column.type


def _origin_columns(plan: Plan, mapping: TableMapping) -> set[str]:
    """Every column that the captured table may have. They include a uuid column of an own reference that the application
    itself keeps, although the maintained column is looked up."""
    known = {m.origin for m in mapping.columns}
    t = plan.swapped[mapping.number]
    if mapping.direction is Direction.FORWARD:
        return known | {r.uuid_column for r in t.references}
    after = {r.before: r.after for r in plan.renames_of(t)}
    return known | {after.get(m.target, m.target) for m in forward(plan, t).columns}


def _column_differences(
    plan: Plan, mapping: TableMapping, origin: tuple[Table, Column], target: tuple[Table, Column]
) -> list[str]:
    (origin_table, a), (target_table, b) = origin, target
    compared = (
        ("collation", a.collation, b.collation),
        ("generated", a.generated, b.generated),
        ("NOT NULL", _not_null(plan, mapping, a), _not_null(plan, mapping, b)),
    )
    return [
        f"{property_} of {origin_table.name}.{a.name} is {x}, of {target_table.name}.{b.name} {y}"
        for property_, x, y in compared
        if x != y
    ]


def _not_null(plan: Plan, mapping: TableMapping, column: Column) -> bool:
    """The key columns count as NOT NULL on both sides: a key is NOT NULL where it is the primary key, and it may be nullable
    where it is kept beside the primary key. So does the integer of a reference: the new table need not have it."""
    if mapping.is_source:
        return column.not_null or column.name in (plan.key, plan.legacy_key, plan.identity)
    integers = {n for r in plan.swapped[mapping.number].references for n in (r.column, r.legacy_column)}
    return column.not_null or column.name in integers
