"""Primary keys and unique constraints of partitioned tables, over the uuid (H22, H23).

A partitioned table takes no constraint USING INDEX, and ADD CONSTRAINT would build the index under ACCESS EXCLUSIVE. So
swap makes the constraint from below, without a scan, as pg_dump restores one:
1. A partition that holds rows takes the constraint over a unique index that was built beside its writers.
2. A constraint `ON ONLY` the table above reads nothing.
3. ATTACH of the partition's index to the one above takes the constraint along.

A unique constraint is made so before the exchange, beside the old one. A table has one primary key at a time, so the
exchange makes the new one, and the way back makes the old one out of the spare indexes on the integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.plan.model import IndexPlan, PartOf, ReferencePlan


def tree(ref: ReferencePlan, top: IndexPlan) -> list[IndexPlan]:
    """An index of a partitioned table and its parts, upper levels first."""
    out = [top]
    for i in ref.parts:
        if any(i.part_of == PartOf(x.table, x.build_name) for x in out):
            out.append(i)
    return out


def add_constraint(index: IndexPlan, name: str, using: str) -> Statement:
    """Add one table's part of the constraint. Where the table holds rows, it uses the index `using`. No scan."""
    on = verbatim("ONLY " if index.on_only else "")
    add = sql.SQL("ALTER TABLE {}{} ADD CONSTRAINT {} ").format(on, index.table.sql, sql.Identifier(name))
    if index.on_only:
        add += verbatim(index.definition)
    else:
        kind = "PRIMARY KEY" if index.is_primary else "UNIQUE"
        add += verbatim(kind) + sql.SQL(" USING INDEX {}").format(sql.Identifier(using))
    drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(index.table.sql, sql.Identifier(name))
    add += verbatim(index.constraint.timing if index.constraint else "")
    why = "a partition's part of the constraint; no scan"
    return Statement(add, why, index.table, AX, drop, kind=Kind.CONSTRAINT, verb=Verb.CREATE, object=part(index.table, name))


def attach(above: tuple[str, str], part: IndexPlan, name: str) -> Statement:
    """Attach a partition's index to the one above it. `above`: schema and name of that index."""
    text = sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(sql.Identifier(*above), sql.Identifier(part.table.schema, name))
    return Statement(text, f"part of {above[1]}", part.table, "SHARE UPDATE EXCLUSIVE", kind=Kind.INDEX)


def primary_key_statements(parts: Sequence[IndexPlan], using: Iterable[IndexPlan]) -> list[Statement]:
    """Make a partitioned table's primary key out of finished indexes.

    `parts`: what the key is called in each table, and which part belongs to which. `using`: the indexes, and the text of the
    key where a table is itself partitioned.
    """
    by_table = {i.table: i for i in using}
    names = {(i.table, i.build_name): (i.table.schema, i.final_name or "") for i in parts}
    out = []
    for i in reversed(parts):
        made = by_table[i.table]
        assert i.final_name is not None
        out.append(add_constraint(made, i.final_name, made.build_name))
    for i in reversed(parts):
        if i.part_of and i.final_name:
            out.append(attach(names[i.part_of.table, i.part_of.index], i, i.final_name))
    return out
