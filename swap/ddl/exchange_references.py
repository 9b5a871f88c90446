"""The exchange of the references: guards, NOT NULL, primary keys, names of columns and indexes, marks of indexes."""

from __future__ import annotations

from swap.core.statement import Statement
from swap.ddl.columns import exchange_column, rename_column
from swap.ddl.compat import compat_triggers
from swap.ddl.guards import reference_guards, turned_guards
from swap.ddl.index_exchange import (
    comment_before,
    drop_primary_key,
    exchange_index,
    exchange_marks,
    exchange_part,
    index_comments,
)
from swap.ddl.not_null import integer_not_required, uuid_required
from swap.plan.direction import Direction
from swap.plan.model import Plan


def exchange_references(plan: Plan) -> list[Statement]:
    """Exchange all references, phase by phase: old primary keys, NOT NULL, column names, indexes, guards.

    The order is by phase and not by reference, because one primary key may contain several references. The way back may drop
    a column's NOT NULL only after that key is gone.
    """
    refs = plan.references
    keys = [(r, i, r.spare_primary) for r in refs for i in r.indexes if i.is_primary and r.spare_primary]
    marked = [i for r in refs for i in (*r.indexes, *r.parts) if i.attributes.marked]
    renamed = [r for r in refs if not r.columns.companion]
    new = [r for r in refs if plan.catalog.table(r.table).kind == "p"]  # the server copies a trigger to each partition
    compat = [(r.table, r.columns.compat_column, r.columns.uuid_column) for r in refs]
    return [
        *(s.reversed() for s in reversed(compat_triggers(plan, Direction.FORWARD, source=False))),
        *(s.reversed() for r in new for s in reversed(reference_guards(plan, r.columns, r.table, Direction.FORWARD))),
        *(s for i in marked for s in exchange_marks(i, off=True)),
        *(drop_primary_key(r, index, spare) for r, index, spare in keys),
        *(s for r in refs for s in integer_not_required(plan, r)),
        *(s for r in refs for s in uuid_required(plan, r)),
        *(rename_column(r.table, n.before, n.after) for r in renamed for n in r.columns.pair.renames),
        *(rename_column(table, before, name) for table, before, name in compat if before),
        *(s for r in refs for s in exchange_column(plan, r.columns)),
        *(s for r in refs for i in r.indexes if i.final_name for s in exchange_index(r, i)),
        *(s for r in refs for i in r.indexes if i.final_name for s in index_comments(i, comment_before(plan, i))),
        *(s for r in refs for i in r.parts if i.final_name for s in (*exchange_part(i), *index_comments(i, None))),
        *(s for i in marked for s in exchange_marks(i, off=False)),
        *(turned_guards(plan, r.columns, r.table) for r in refs if r not in new),
        *(s for r in new for s in reference_guards(plan, r.columns, r.table, Direction.REVERSE)),
        *compat_triggers(plan, Direction.REVERSE, source=False),
    ]
