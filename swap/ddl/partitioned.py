"""The partitions of a partitioned source: their shadows, the indexes made of theirs, and their names in the exchange.

An index of a partitioned table is made as for a partitioned reference (swap.ddl.partitions): one on each partition, one ON ONLY the
table above, and ATTACH. So the partitions' indexes have the names that the plan gives them, and are built side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from psycopg import sql

from swap.catalog.model import Table
from swap.core.names import TableName
from swap.core.sql_text import Query, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.columns import parameters
from swap.ddl.grants import grants
from swap.ddl.indexes import create_index, rename_index
from swap.ddl.partitions import add_constraint, attach
from swap.ddl.rename import rename_table
from swap.plan.direction import Direction
from swap.plan.model import IndexPlan, PartOf, Plan, SwappedPartition, SwappedTable

WHY = "a partition of the shadow"


def create_partitions(plan: Plan, t: SwappedTable) -> list[Statement]:
    """Create the shadow's partitions, upper levels first. They go with the shadow."""
    return [s for p in t.partitions for s in _create_partition(plan, p)]


def _create_partition(plan: Plan, p: SwappedPartition) -> list[Statement]:
    table, name = plan.catalog.table(p.name), p.shadow.sql
    create = sql.SQL("CREATE TABLE {} PARTITION OF {} ").format(name, p.parent.sql) + verbatim(table.bound)
    if p.key:
        create += verbatim(f" PARTITION BY {p.key}")
    elif table.access_method not in ("", "heap"):
        create += sql.SQL(" USING {}").format(sql.Identifier(table.access_method))
    if options := (*table.options, *(f"toast.{o}" for o in table.toast_options)):
        create += sql.SQL(" WITH ({})").format(parameters(options))
    if table.tablespace:
        create += sql.SQL(" TABLESPACE {}").format(sql.Identifier(table.tablespace))
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(name)
    out = [Statement(create, WHY, p.shadow, "", drop, kind=Kind.TABLE, verb=Verb.CREATE)]
    alter = sql.SQL("ALTER TABLE {} ").format(name)
    more: list[Query] = (
        [] if table.owner == plan.catalog.role else [alter + sql.SQL("OWNER TO {}").format(sql.Identifier(table.owner))]
    )
    if table.comment:
        more.append(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(table.comment)))
    out += [Statement(s, WHY, p.shadow, kind=Kind.TABLE) for s in more]
    why = "no grant before the cutover, whatever the default privileges say"
    return [*out, Statement(bare_acl(p.shadow), why, p.shadow, kind=Kind.GRANT)]


def heap_indexes(t: SwappedTable, *, of_key: bool) -> list[IndexPlan]:
    """The indexes to build on the partitions that hold rows: those of the key's index, or all others."""
    keys = _tree(t, t.key_index)
    return [i for i in t.parts if not i.on_only and (i in keys) == of_key]


def joined_indexes(t: SwappedTable, *, of_key: bool) -> list[Statement]:
    """Make indexes and constraints of those of the partitions, lower levels first: an index is valid as soon as all its parts are."""
    tops = [t.key_index] if of_key else [*t.indexes]
    out = []
    for top in tops:
        tree = _tree(t, top)
        for above in reversed([i for i in tree if i.on_only]):
            name = above.build_name
            constraint = above.is_primary or above.is_unique_constraint
            out.append(add_constraint(above, name, name) if constraint else create_index(above, concurrently=False))
            for i in tree:
                if i.part_of == PartOf(above.table, above.build_name):
                    if constraint and not i.on_only:
                        out.append(add_constraint(i, i.build_name, i.build_name))
                    out.append(attach((above.table.schema, above.build_name), i, i.build_name))
    return out


def _tree(t: SwappedTable, top: IndexPlan) -> list[IndexPlan]:
    out, names = [top], {PartOf(top.table, top.build_name)}
    for i in t.parts:
        if i.part_of in names:
            out.append(i)
            names.add(PartOf(i.table, i.build_name))
    return out


def exchange_partitions(t: SwappedTable) -> list[Statement]:
    """Each partition gets its retired name, and its shadow the application's. The names of their indexes follow (`index_names`)."""
    return [s for p in t.partitions for s in (rename_table(p.name, p.retired), rename_table(p.shadow, p.name))]


class IndexName(NamedTuple):
    """A name that follows an exchange. `table`: the partition, as it is called by then."""

    table: TableName
    before: str
    after: str

    @property
    def statement(self) -> Statement:
        return rename_index(self.table.schema, self.before, self.after)


def index_names(t: SwappedTable, after: Direction) -> list[IndexName]:
    """The names of the partitions' indexes, after an exchange to that direction: those of the side that has become the maintained one
    go first.

    No statement names an index of a partition, but for ON CONFLICT ON CONSTRAINT in an INSERT into that partition. With two hundred
    partitions their names would be a third of the time under the exchange's lock."""
    made = {i.build_name: i for i in t.parts if i.final_name}
    by_shadow = {p.shadow: p for p in t.partitions}
    old = [(p, r.before, r.after) for p in t.partitions for r in p.retired_indexes]
    new = [(by_shadow[i.table], i.build_name, i.final_name) for i in made.values() if i.final_name]
    if after is Direction.REVERSE:
        first = [IndexName(p.retired, mine, retired) for p, mine, retired in old]
        return [*first, *(IndexName(p.name, built, mine) for p, built, mine in new)]
    first = [IndexName(p.shadow, mine, built) for p, built, mine in new]
    return [*first, *(IndexName(p.name, retired, mine) for p, mine, retired in old)]


def partition_grants(plan: Plan, t: SwappedTable) -> list[Statement]:
    """What roles may do with a partition by its own name."""
    return [s for p in _tables(plan, t) for s in grants(p.name, p.grants, p.owner)]


def _tables(plan: Plan, t: SwappedTable) -> Iterable[Table]:
    return (plan.catalog.table(p.name) for p in t.partitions)
