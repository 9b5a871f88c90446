"""The plan: everything decided from the catalog and the configuration, as immutable data that is journalled.

Columns never move between tables. The shadow has the source's *old* column names, and the cutover renames them. The
reason: an expression (policy, check, generated column, index predicate) binds columns by number, so it goes on comparing
the integers that it always compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pydantic import TypeAdapter

from swap.catalog.model import BoundPolicy, Catalog, ForeignKey, Index, Table
from swap.core.application_settings import Settings
from swap.core.names import TableName, derive
from swap.plan.index_plan import PRIMARY, UNIQUE, BackedConstraint, IndexAttributes, IndexPlan, PartOf
from swap.plan.policies import NewPolicy
from swap.plan.texts import NewText

__all__ = [
    "PRIMARY",
    "UNIQUE",
    "BackedConstraint",
    "IndexAttributes",
    "IndexPlan",
    "PartOf",
    "Plan",
]

INTEGERS = ("smallint", "integer", "bigint")
UUIDV7_SINCE = 180000

TABLE, COLUMN = "table", "column"
"""What happens to a table with a reference: it is rebuilt beside (a swapped table), or gets a uuid column in place."""

ADOPTED, DERIVED, ADDED = "adopted", "derived", "column"
"""Where a row's uuid comes from: a column of the application's, a keyed function of the integer, a column that swap adds."""


@dataclass(frozen=True)
class Rename:
    """A column's name before the cutover and after it."""

    before: str
    after: str


class ColumnPair(NamedTuple):
    """Two columns of one table that exchange their roles, by their names before the cutover.

    After it the uuid has the integer's name, and the integer is called `legacy`. `type`: of the uuid's column.
    """

    integer: str
    uuid: str
    legacy: str
    type: str = "uuid"

    @property
    def renames(self) -> tuple[Rename, Rename]:
        """The renames in an order in which they can run: the name that is used again becomes free first."""
        return Rename(self.integer, self.legacy), Rename(self.uuid, self.integer)


@dataclass(frozen=True)
class RefColumns:
    """One reference: a table and its columns, by their names before the cutover.

    `own`: the reference is in the source itself. `strategy`: of its table, TABLE or COLUMN. With TABLE, and in the source, the
    uuid is in the shadow only, and is looked up when a row is copied.
    `adopted`: the application has the uuid column. `declared`: no foreign key vouches for every row, so a row may refer to no
    row of the source. `not_null`: each row has a key. It is False where only some rows (`where`) are references at all.
    `companion`: the column holds keys of other types too, so it stays as it is, and the uuid stands beside it under its own name.
    `types`: the columns that `where` looks at. `uuid_type`: of the uuid's column. It is a text where the column goes on holding
    keys of other types (`text`).
    """

    number: int
    table: TableName
    oid: int
    column: str
    uuid_column: str
    legacy_column: str
    adopted: bool
    declared: bool
    own: bool
    not_null: bool
    where: str | None
    compat_column: str | None = None  # takes the name of `uuid_column` in the cutover, with `[names] compat`
    strategy: str = COLUMN
    companion: bool = False
    types: tuple[str, ...] = ()
    uuid_type: str = "uuid"

    @property
    def pair(self) -> ColumnPair:
        return ColumnPair(self.column, self.uuid_column, self.legacy_column, self.uuid_type)

    @property
    def text(self) -> bool:
        """Whether the column after the cutover is a text: a uuid's where `where` holds, the value itself elsewhere."""
        return self.uuid_type != "uuid"

    @property
    def uuid_after(self) -> str:
        """What the uuid column is called after the cutover."""
        return self.uuid_column if self.companion else self.column


@dataclass(frozen=True)
class ReferencePlan:
    """A reference of another table than the source, and its indexes.

    `parts`: the indexes of partitions, upper levels first. `spare_primary` and its `spare_parts`: over the integers, for the
    way back of a primary key.
    """

    columns: RefColumns
    indexes: tuple[IndexPlan, ...] = ()
    spare_primary: IndexPlan | None = None
    not_null_name: str | None = None
    compat_indexes: tuple[IndexPlan, ...] = ()
    parts: tuple[IndexPlan, ...] = ()
    spare_parts: tuple[IndexPlan, ...] = ()

    @property
    def spares(self) -> tuple[IndexPlan, ...]:
        """The spare indexes that are built. A revert makes the old primary key out of them."""
        return tuple(i for i in (self.spare_primary, *self.spare_parts) if i is not None and not i.on_only)

    @property
    def table(self) -> TableName:
        return self.columns.table

    def top_of(self, index: IndexPlan) -> IndexPlan:
        """The index of the partitioned table that an index is a part of, on any level; of any other index itself."""
        by_name = {(i.table, i.build_name): i for i in (*self.indexes, *self.parts, *self.compat_indexes)}
        while index.part_of is not None:
            index = by_name[index.part_of.table, index.part_of.index]
        return index

    def is_part(self, index: IndexPlan, top: IndexPlan) -> bool:
        """Whether an index is `top`, or a part of it on any level."""
        return self.top_of(index) == top

    @staticmethod
    def second_key_name(index: IndexPlan) -> str:
        """What the second unique index over the uuids of a primary key is called (swap.plan.compat_indexes)."""
        return derive(index.final_name or index.build_name, "_uuid_compat")

    @property
    def second_keys(self) -> list[IndexPlan]:
        """Of `compat_indexes` those over the uuids of a primary key."""
        names = {self.second_key_name(i) for i in self.indexes if i.is_primary}
        return [i for i in self.compat_indexes if i.build_name in names]

    @property
    def check_name(self) -> str:
        return derive(f"swap_{self.columns.number}_{self.columns.uuid_column}", "_present")


@dataclass(frozen=True)
class SwappedPartition:
    """A partition of the source, whichever level it is of: it has a shadow too, and exchanges names with it. `parent`: the shadow of the
    table above. `key`: what follows PARTITION BY, of one that is divided again."""

    name: TableName
    shadow: TableName
    retired: TableName
    parent: TableName
    key: str
    retired_indexes: tuple[Rename, ...]


@dataclass(frozen=True)
class SwappedTable:
    """A table that gets a shadow, is captured and replayed, and exchanges names with its shadow: the source, which is number 0,
    and each table whose references have the strategy TABLE.

    `key`: the columns that identify a row, by their names before the cutover: the integer key of the source, the primary key of
    another table. `key_index` is unique over them on the shadow, and serves replay. `references`: those of this table.
    `pair_index`: of a source that was planned with logical capture, over both keys. After the cutover it is the replica identity,
    so a DELETE brings both.
    `partition_key`: of a partitioned source, what follows PARTITION BY on its shadow; its `partitions`, upper levels first; their
    indexes are `parts` of `indexes` and of `key_index`, upper levels first.
    """

    number: int
    name: TableName
    shadow: TableName
    retired: TableName
    key: tuple[str, ...]
    references: tuple[RefColumns, ...]
    key_index: IndexPlan
    indexes: tuple[IndexPlan, ...]
    retired_indexes: tuple[Rename, ...]
    pair_index: IndexPlan | None = None
    partition_key: str = ""
    partitions: tuple[SwappedPartition, ...] = ()
    parts: tuple[IndexPlan, ...] = ()

    @property
    def partitioned(self) -> bool:
        return bool(self.partition_key)

    @property
    def all_retired(self) -> tuple[TableName, ...]:
        """What it and its partitions are called after the cutover."""
        return (self.retired, *(p.retired for p in self.partitions))

    @property
    def made(self) -> tuple[TableName, ...]:
        """Every table of swap's: the shadows, and what the tables are called after the cutover."""
        return (self.shadow, *(p.shadow for p in self.partitions), *self.all_retired)

    @property
    def is_source(self) -> bool:
        return self.number == 0

    @property
    def part(self) -> str:
        """The name of the journal's rows for the copy of the table. The source's has no schema: so older runs go on."""
        return self.name.name if self.is_source else str(self.name)


@dataclass(frozen=True)
class Plan:
    """The whole migration of one source. It is stored in the run's row; `catalog` is as it was at `prepare`.

    `swapped`: the tables that are rebuilt beside, the source first. `references`: those that get a uuid column in place.
    `existing`: where a row's uuid comes from, ADOPTED, DERIVED or ADDED.
    """

    catalog: Catalog
    state_schema: str
    swapped: tuple[SwappedTable, ...]
    key: str
    legacy_key: str
    identity: str
    existing: str
    generate: str
    references: tuple[ReferencePlan, ...]
    identity_index: IndexPlan | None
    new_policies: tuple[NewPolicy, ...] = ()
    compat_column: str | None = None  # in the shadow: takes the name of the identity in the cutover
    mode: str = "trigger"
    legacy_overflow: str = "refuse"
    resolver_roles: tuple[str, ...] = ()
    texts: tuple[NewText, ...] = ()
    whens: tuple[tuple[TableName, str], ...] = ()  # triggers, by table and name, whose WHEN stays over the integers
    settings: Settings = ()  # of the application's sessions, at `prepare` (swap.core.application_settings)

    def state(self, suffix: str) -> TableName:
        """A name in the state schema that belongs to this source alone: several sources share the schema."""
        return TableName(self.state_schema, derive(f"{self.source.name}_{self.tag}", f"_{suffix}"))

    def change_table(self, table_no: int, number: int) -> TableName:
        """The name of change table `table_no`, 0 or 1, of the swapped table `number`."""
        return self.state(f"changes_{table_no}" if number == 0 else f"changes_{number}_{table_no}")

    @property
    def tag(self) -> int:
        """The source's OID at `prepare`. The names of this run's objects and its row of the fence contain it."""
        return self.catalog.source.oid

    @property
    def exceptions(self) -> TableName:
        """The table (key, uuid) of the rows whose uuid no live row and no derivation tells. It outlives `abort`."""
        return TableName(self.state_schema, f"exceptions_{self.tag}")

    @property
    def source(self) -> TableName:
        return self.swapped[0].name

    @property
    def shadow(self) -> TableName:
        """The source's shadow."""
        return self.swapped[0].shadow

    @property
    def retired(self) -> TableName:
        """What the source is called after the cutover."""
        return self.swapped[0].retired

    @property
    def own_references(self) -> tuple[RefColumns, ...]:
        """The references in the source itself."""
        return self.swapped[0].references

    @property
    def identity_added(self) -> bool:
        """Whether `prepare` adds the identity column to the source."""
        return self.existing == ADDED

    @property
    def derived(self) -> bool:
        """Whether the uuids are computed: then the source has no identity column."""
        return self.existing == DERIVED

    def swapped_table(self, name: TableName) -> SwappedTable | None:
        """The swapped table of that name, or None."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[TableName, SwappedTable]:
        return {t.name: t for t in self.swapped}

    def table_of(self, t: SwappedTable) -> Table:
        """The swapped table as the catalog has it."""
        return self.catalog.source if t.is_source else self.catalog.table(t.name)

    def renames_of(self, t: SwappedTable) -> tuple[Rename, ...]:
        """The column renames of a shadow at the cutover, in an order in which they can run."""
        compat = self._compat_renames if t.is_source else ()
        return (*(r for pair in self.pairs_of(t.name) for r in pair.renames), *compat)

    @property
    def renames(self) -> tuple[Rename, ...]:
        """Those of the source's shadow."""
        return self.renames_of(self.swapped[0])

    def pairs_of(self, table: TableName) -> tuple[ColumnPair, ...]:
        """The exchanged columns of a swapped table (of the source its key first), or of a table with references."""
        key = (ColumnPair(self.key, self.identity, self.legacy_key),) if table == self.source else ()
        return (*key, *(r.pair for r in self.references_of(table) if not r.companion))

    def references_of(self, table: TableName) -> tuple[RefColumns, ...]:
        """The references in a table, whatever their strategy is."""
        swapped = self.swapped_table(table)
        return swapped.references if swapped else tuple(r.columns for r in self.references if r.table == table)

    @property
    def all_references(self) -> tuple[RefColumns, ...]:
        """Every reference: those in place first, then those of the swapped tables."""
        return (*(r.columns for r in self.references), *(r for t in self.swapped for r in t.references))

    @property
    def _compat_renames(self) -> tuple[Rename, ...]:
        """These come last, when the old names are free."""
        pairs = [(self.compat_column, self.identity), *((r.compat_column, r.uuid_column) for r in self.own_references)]
        return tuple(Rename(compat, name) for compat, name in pairs if compat)

    @property
    def locked_tables(self) -> tuple[TableName, ...]:
        """Every table on which the cutover takes ACCESS EXCLUSIVE, by its name before the cutover."""
        fks = {t for f in self.catalog.foreign_keys if self.touches(f) for t in (f.holder, f.target)}
        tables = {*(t.name for t in self.swapped), *(r.table for r in self.references)}
        policies = {p.table for p in self.bound_policies} | {p.table for p in self.new_policies}
        return tuple(sorted({*tables, *fks, *policies}))

    @property
    def bound_policies(self) -> tuple[BoundPolicy, ...]:
        """The policies of other tables that read a swapped table: the exchange creates them again."""
        oids = {self.table_of(t).oid: t.name for t in self.swapped}
        return tuple(p for p in self.catalog.policies if p.table not in oids.values() and not oids.keys().isdisjoint(p.reads))

    def text_of(self, oid: int) -> NewText | None:
        """The text of after the cutover of a view or function, where the configuration gives one."""
        return next((t for t in self.texts if t.oid == oid), None) if oid else None

    def text_on(self, kind: str, table: TableName, name: str) -> NewText | None:
        """The text of after the cutover of a default, trigger or index of a table."""
        return next((t for t in self.texts if (t.kind, t.table, t.name) == (kind, table, name)), None)

    @property
    def fingerprint(self) -> str:
        """A digest of the plan. Two plans with the same digest do the same."""
        return hashlib.sha256(PLAN.dump_json(self)).hexdigest()[:16]

    def touches(self, fk: ForeignKey) -> bool:
        """Whether the exchange adds the foreign key anew: it goes into or out of a swapped table, or to a reference (a chain)."""
        if self.swapped_table(fk.table) or self.swapped_table(fk.target):
            return True
        refs = {r.columns.column for r in self.references if r.table == fk.target and not r.columns.companion}
        return not refs.isdisjoint(fk.target_columns)

    @property
    def source_table(self) -> Table:
        return self.catalog.source


PLAN = TypeAdapter(Plan)


def unique_index_of(table: Table, column: str) -> Index | None:
    """The index that makes a column unique by itself, at once: the primary key, or another one where that has more columns."""
    primary = table.primary_key
    if primary is not None and primary.key_columns == (column,):
        return primary
    alone = (i for i in table.indexes if i.valid and is_identity_index(i, column) and not i.deferrable and not i.exclusion)
    return next(alone, None)


def is_identity_index(index: Index, identity: str) -> bool:
    """A plain unique index on just the identity column: after the cutover the primary key serves for it."""
    return index.unique and not index.partial and not index.expressions and index.key_columns == (identity,)
