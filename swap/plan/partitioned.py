"""A partitioned source: its shadow is partitioned likewise, partition by partition. Pure.

Only the names of the key's two columns are others on the shadow until the exchange. So a table that is divided by other columns has
each row in the partition of the same name; one that is divided by the hash of its key has a row where its uuid's hash puts it.
"""

from __future__ import annotations

import re

from swap.catalog.model import Index, Table
from swap.core.config import Config
from swap.core.names import TableName, derive, quote
from swap.plan.index_plan import IndexPlan, PartOf
from swap.plan.indexes import Definitions, part_of_shadow, top_of_shadow
from swap.plan.model import RefColumns, Rename, SwappedPartition, SwappedTable
from swap.plan.table_names import retired_name, shadow_name

KEY = re.compile(r"^(RANGE|LIST|HASH) \((.*)\)$", re.DOTALL)
NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'


def divided_by(table: Table) -> tuple[str, tuple[str, ...]]:
    """How a table is divided, and by what: columns as the server prints them, or expressions."""
    found = KEY.match(table.partition_key)
    assert found is not None
    return found[1], tuple(found[2].split(", "))


def is_by_key(table: Table, key: str) -> bool:
    """Whether the column is in the partition key in any way."""
    return quote(key) in re.findall(NAME, table.partition_key)


def partition_key(table: Table, key: str, uuid: str) -> str:
    """What follows PARTITION BY on the shadow: the uuid's hash in place of the integer's."""
    how, by = divided_by(table)
    return f"{how} ({', '.join(quote(uuid) if b == quote(key) else b for b in by)})"


def partitioned_source(table: Table, config: Config, references: tuple[RefColumns, ...], rewritten: Definitions) -> SwappedTable:
    """The source with a shadow for each of its partitions."""
    key, uuid, name = config.source.key, config.identity.column, table.name
    shadows = {t.name: shadow_name(config, t.name) for t in (table, *table.partitions)}
    number = _Numbered(config, table, shadows, rewritten)
    tops = tuple(top_of_shadow(i, shadows[name], number.definition(table, i)) for i in table.indexes if i.valid)
    key_index = number.key_index(table, derive(f"{name.name}_{config.names.legacy_key}", "_idx"), None)
    return SwappedTable(
        number=0, name=name, shadow=shadows[name], retired=retired_name(config, name), key=(key,),
        references=tuple(r for r in references if r.table == name),
        key_index=key_index, indexes=tops, retired_indexes=retired_indexes(table),
        partition_key=partition_key(table, key, uuid),
        partitions=tuple(
            SwappedPartition(
                p.name, shadows[p.name], retired_name(config, p.name), shadows[p.parent or name],
                partition_key(p, key, uuid) if p.kind == "p" else "", retired_indexes(p),
            )
            for p in table.partitions
        ),
        parts=number.parts(tops, key_index),
    )  # fmt: skip


def retired_indexes(table: Table) -> tuple[Rename, ...]:
    return tuple(Rename(i.name, derive(i.name, "_old")) for i in table.indexes)


class _Numbered:
    """The indexes of the partitions' shadows. `shadows`: by the name of the table."""

    def __init__(self, config: Config, table: Table, shadows: dict[TableName, TableName], rewritten: Definitions) -> None:
        self.config, self.table, self.shadows, self.rewritten = config, table, shadows, rewritten

    def definition(self, table: Table, index: Index) -> str:
        """Of a table that is divided, and of its constraint, the constraint's own text."""
        text = self.rewritten.get((table.name, index.name))
        if text is not None:
            return text
        return index.constraint_definition if table.kind == "p" and index.constraint_definition else index.recipe

    def key_index(self, table: Table, name: str, part_of: PartOf | None) -> IndexPlan:
        """Over the integer alone, for replay: not unique, as no unique index of a table that is divided by another column is."""
        return IndexPlan(
            self.shadows[table.name], name, False, f"USING btree ({quote(self.config.source.key)})",
            on_only=table.kind == "p", part_of=part_of,
        )  # fmt: skip

    def parts(self, tops: tuple[IndexPlan, ...], key_index: IndexPlan) -> tuple[IndexPlan, ...]:
        """Those of the partitions, upper levels first."""
        above = {(self.table.name.schema, i.final_name): i for i in tops}
        keys, out = {self.table.name: key_index}, []
        for p in self.table.partitions:
            over = keys[p.parent or self.table.name]
            name = derive(f"{p.name.name}_{self.config.names.legacy_key}", "_idx")
            keys[p.name] = self.key_index(p, name, PartOf(over.table, over.build_name))
            out.append(keys[p.name])
            for i in p.indexes:
                parent = above.get((i.parent[0], i.parent[1])) if i.parent else None
                if parent is not None:
                    made = part_of_shadow(p, i, self.shadows[p.name], self.definition(p, i), parent)
                    above[p.name.schema, i.name] = made
                    out.append(made)
        return tuple(out)
