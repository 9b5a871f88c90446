"""Primary keys and unique constraints of partitioned tables, over the uuid (H22, H23).

A partitioned table takes no constraint USING INDEX, and a plain one would be built under ACCESS EXCLUSIVE. But a partition
that holds rows takes it, over a unique index that was built beside its writers; a constraint `ON ONLY` the table above reads
nothing; and an index that is attached to the one above takes its constraint along, so the whole is made from below without a
scan, as pg_dump restores one. A unique constraint is made so before the exchange, beside the old one; of primary keys there is
one at a time, so it is made in the exchange, and on the way back from the spare indexes on the integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb, part
from swap.plan.model import IndexPlan, PartOf, ReferencePlan


def tree(ref: ReferencePlan, top: IndexPlan) -> list[IndexPlan]:
    """An index of a partitioned table with its parts, those above first."""
    out = [top]
    for i in ref.parts:
        if any(i.part_of == PartOf(x.table, x.build_name) for x in out):
            out.append(i)
    return out


def add_constraint(index: IndexPlan, name: str, using: str) -> Statement:
    """One table's part of it, which rests on the index `using` where the table holds rows. No scan."""
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
    """`above`: schema and name of the index that it becomes a part of."""
    text = sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(sql.Identifier(*above), sql.Identifier(part.table.schema, name))
    return Statement(text, f"part of {above[1]}", part.table, "SHARE UPDATE EXCLUSIVE", kind=Kind.INDEX)


def primary_key_statements(parts: Sequence[IndexPlan], using: Iterable[IndexPlan]) -> list[Statement]:
    """A partitioned table's primary key out of finished indexes: `parts` name it and say which belongs to which, `using` are
    the indexes, and, where a table is divided, the key's text."""
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
