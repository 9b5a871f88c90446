"""The plan: everything decided from the catalog and the configuration, as immutable data that is journalled.

Columns never move between tables. The shadow has the source's *old* column names, and the cutover renames them. The
reason: an expression (policy, check, generated column, index predicate) binds columns by number, so it goes on comparing
the integers that it always compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import TypeAdapter

from swap.catalog.model import Catalog, ForeignKey, Index, Table
from swap.core.application_settings import Settings
from swap.core.names import TableName, derive
from swap.plan.policies import NewPolicy

INTEGERS = ("smallint", "integer", "bigint")
UUIDV7_SINCE = 180000


@dataclass(frozen=True)
class Rename:
    """A column's name before the cutover and after it."""

    before: str
    after: str


class ColumnPair(NamedTuple):
    """Two columns of one table that exchange their roles, by their names before the cutover.

    After it the uuid has the integer's name, and the integer is called `legacy`.
    """

    integer: str
    uuid: str
    legacy: str

    @property
    def renames(self) -> tuple[Rename, Rename]:
        """The renames in an order in which they can run: the name that is used again becomes free first."""
        return Rename(self.integer, self.legacy), Rename(self.uuid, self.integer)


@dataclass(frozen=True)
class RefColumns:
    """One reference: a table and its columns, by their names before the cutover.

    `own`: the reference is in the source itself, so its uuid is in the shadow only and is looked up when a row is copied.
    `adopted`: the application has the uuid column. `declared`: no foreign key vouches for every row, so a row may refer to no
    row of the source. `not_null`: each row has a key. It is False where only some rows (`where`) are references at all.
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
    deferrable: bool
    where: str | None
    compat_column: str | None = None  # takes the name of `uuid_column` in the cutover, with `[names] compat`

    @property
    def pair(self) -> ColumnPair:
        return ColumnPair(self.column, self.uuid_column, self.legacy_column)


PRIMARY, UNIQUE = "p", "u"  # pg_constraint.contype


@dataclass(frozen=True)
class BackedConstraint:
    """The constraint that an index backs. `type`: pg_constraint.contype, p | u | x."""

    type: str
    deferrable: bool = False
    deferred: bool = False
    comment: str = ""

    @property
    def timing(self) -> str:
        """The end of ADD CONSTRAINT, with a space in front."""
        return (" DEFERRABLE" if self.deferrable else "") + (" INITIALLY DEFERRED" if self.deferred else "")


@dataclass(frozen=True)
class IndexAttributes:
    """What CREATE INDEX does not say. `clustered` and `replica_identity` are marks that a table has on one index.

    `statistics`: targets of expressions, by their number in the index.
    """

    comment: str = ""
    tablespace: str = ""
    statistics: tuple[tuple[int, int], ...] = ()
    clustered: bool = False
    replica_identity: bool = False

    @property
    def marked(self) -> bool:
        return self.clustered or self.replica_identity


@dataclass(frozen=True)
class PartOf:
    """The index of a partitioned table that a partition's index is attached to, by its name before the cutover."""

    table: TableName
    index: str


@dataclass(frozen=True)
class IndexPlan:
    """An index to build. `definition` is its text from USING on.

    With `as_constraint` it is the text of the constraint, which builds its own index.

    The index is called `build_name` until the cutover. Then it takes `final_name`, the application's name, and the index that
    had this name is called `retired_name`. `final_name` None: an index that only swap needs (legacy key, spare of a primary
    key). `adopted`: the application built it. `on_only`: the index of a partitioned table, which is empty; the indexes of its
    partitions are attached to it. `path`: as of a statement.
    """

    table: TableName
    build_name: str
    unique: bool
    definition: str
    final_name: str | None = None
    retired_name: str | None = None
    constraint: BackedConstraint | None = None
    as_constraint: bool = False
    attributes: IndexAttributes = IndexAttributes()
    adopted: bool = False
    on_only: bool = False
    part_of: PartOf | None = None
    path: tuple[str, ...] = ()

    @property
    def is_primary(self) -> bool:
        return self.constraint is not None and self.constraint.type == PRIMARY

    @property
    def is_unique_constraint(self) -> bool:
        return self.constraint is not None and self.constraint.type == UNIQUE

    @property
    def deferrable(self) -> bool:
        return self.constraint is not None and self.constraint.deferrable

    @property
    def names(self) -> tuple[str, str]:
        """`final_name` and `retired_name` of an index that replaces one of the application's."""
        assert self.final_name is not None
        assert self.retired_name is not None
        return self.final_name, self.retired_name


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

    @property
    def check_name(self) -> str:
        return derive(f"swap_{self.columns.number}_{self.columns.uuid_column}", "_present")


@dataclass(frozen=True)
class Plan:
    """The whole migration of one source. It is stored in the run's row; `catalog` is as it was at `prepare`."""

    catalog: Catalog
    state_schema: str
    source: TableName
    shadow: TableName
    retired: TableName
    key: str
    legacy_key: str
    identity: str
    identity_added: bool
    generate: str
    references: tuple[ReferencePlan, ...]
    own_references: tuple[RefColumns, ...]
    key_index: IndexPlan
    identity_index: IndexPlan | None
    indexes: tuple[IndexPlan, ...]
    retired_indexes: tuple[Rename, ...]
    new_policies: tuple[NewPolicy, ...] = ()
    compat_column: str | None = None  # in the shadow: takes the name of the identity in the cutover
    mode: str = "trigger"
    legacy_overflow: str = "refuse"
    settings: Settings = ()  # of the application's sessions, at `prepare` (swap.core.application_settings)

    def state(self, suffix: str) -> TableName:
        """A name in the state schema that belongs to this source alone: several sources share the schema."""
        return TableName(self.state_schema, derive(f"{self.source.name}_{self.tag}", f"_{suffix}"))

    @property
    def tag(self) -> int:
        """The source's OID at `prepare`. The names of this run's objects and its row of the fence contain it."""
        return self.catalog.source.oid

    @property
    def renames(self) -> tuple[Rename, ...]:
        """The shadow's column renames at the cutover, in an order in which they can run."""
        return (*(r for pair in self.pairs_of(self.source) for r in pair.renames), *self._compat_renames)

    def pairs_of(self, table: TableName) -> tuple[ColumnPair, ...]:
        """The exchanged columns of the source, its key first, or of a table with references."""
        if table == self.source:
            key = ColumnPair(self.key, self.identity, self.legacy_key)
            return (key, *(r.pair for r in self.own_references))
        return tuple(r.columns.pair for r in self.references if r.table == table)

    @property
    def _compat_renames(self) -> tuple[Rename, ...]:
        """These come last, when the old names are free."""
        pairs = [(self.compat_column, self.identity), *((r.compat_column, r.uuid_column) for r in self.own_references)]
        return tuple(Rename(compat, name) for compat, name in pairs if compat)

    @property
    def locked_tables(self) -> tuple[TableName, ...]:
        """Every table on which the cutover takes ACCESS EXCLUSIVE, by its name before the cutover."""
        fks = {t for f in self.catalog.foreign_keys if self.touches(f) for t in (f.holder, f.target)}
        refs = {r.table for r in self.references}
        policies = {p.table for p in self.catalog.policies if p.reads_source} | {p.table for p in self.new_policies}
        return tuple(sorted({self.source, *fks, *refs, *policies}))

    @property
    def fingerprint(self) -> str:
        """A digest of the plan. Two plans with the same digest do the same."""
        return hashlib.sha256(PLAN.dump_json(self)).hexdigest()[:16]

    def touches(self, fk: ForeignKey) -> bool:
        """Whether the exchange adds the foreign key anew: it goes into or out of the source, or to a reference (a chain)."""
        if self.source in (fk.table, fk.target):
            return True
        refs = {r.columns.column for r in self.references if r.table == fk.target}
        return not refs.isdisjoint(fk.target_columns)

    @property
    def source_table(self) -> Table:
        return self.catalog.source


PLAN = TypeAdapter(Plan)


def is_identity_index(index: Index, identity: str) -> bool:
    """A plain unique index on just the identity column: after the cutover the primary key serves for it."""
    return index.unique and not index.partial and not index.expressions and index.key_columns == (identity,)
