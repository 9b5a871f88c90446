"""Which references may name no row of the source in a snapshot. Pure.

A foreign key that is validated and vouches for every row says that the row it names is there. Without one, a parent may commit
after its children, or go before them. Derived uuids are known for every integer, so before the cutover nothing is missing then.
In reverse a uuid that no row has, and that is no exception, may be anything: only a derived one tells its integer. And of two uuids
that told one integer, only one may do so in a primary key: a row that some session wrote past the foreign key
(session_replication_role = replica) waits there, and does not stop the others.
"""

from __future__ import annotations

from typing import NamedTuple

from swap.core.names import TableName
from swap.plan.direction import ColumnMapping, Direction, TableMapping
from swap.plan.key_columns import vouches
from swap.plan.model import Plan


class Uncertain(NamedTuple):
    """A column whose lookup may find nothing for a value. `required`: the maintained column may not be NULL."""

    mapped: ColumnMapping
    required: bool


def uncertain(plan: Plan, d: TableMapping) -> tuple[Uncertain, ...]:
    """The uncertain lookups of a table in a direction."""
    if d.direction is Direction.FORWARD and plan.derived:
        return ()
    table = plan.table_of(plan.swapped[d.number])
    out = []
    for m in d.lookups:
        integer = integer_column(d, m)
        if (d.in_key(m) and d.direction is Direction.REVERSE) or not certain(plan, table.name, integer):
            column = table.column(integer)
            out.append(Uncertain(m, required=column is not None and column.not_null))
    return tuple(out)


def integer_column(d: TableMapping, m: ColumnMapping) -> str:
    """What the column with the integer is called before the cutover."""
    return m.origin if d.direction is Direction.FORWARD else m.target


def certain(plan: Plan, table: TableName, column: str, seen: frozenset[tuple[TableName, str]] = frozenset()) -> bool:
    """Whether foreign keys make every value of the column name a row of the source, maybe by way of other tables."""
    if (table, column) in seen:
        return False
    for fk in plan.catalog.foreign_keys:
        if fk.holder != table or not fk.validated or column not in fk.columns or not vouches(fk, column, plan.catalog):
            continue
        target = fk.target_columns[fk.columns.index(column)]
        if (fk.target, target) == (plan.source, plan.key) or certain(plan, fk.target, target, seen | {(table, column)}):
            return True
    return False
