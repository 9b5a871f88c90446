"""What the server's catalog says about the source, its references and their dependents. Immutable, serialisable.

A run's journal holds this as JSON, with the names of the fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from swap.catalog.parts import (
    PLAIN,
    BoundPolicy,
    Check,
    Column,
    ForeignKey,
    Grant,
    Index,
    Label,
    Meaning,
    Policy,
    Publication,
    Sequence,
    Trigger,
)
from swap.core.names import TableName

__all__ = [
    "BoundPolicy",
    "Catalog",
    "Check",
    "Column",
    "Dependent",
    "ForeignKey",
    "Function",
    "Grant",
    "Index",
    "Label",
    "Meaning",
    "NamedFunction",
    "Policy",
    "Publication",
    "Sequence",
    "Statistics",
    "Table",
    "Trigger",
    "UnclaimedDependency",
    "View",
    "ViewPart",
]


@dataclass(frozen=True)
class Table:
    """A table, a partitioned table or a partition. `kind`, `persistence`, `replident`: as pg_class has them (relkind,
    relpersistence, relreplident). `rows_estimate`: as of the last ANALYZE. Sizes: of a partitioned table with all its partitions.

    `partitions`: of every level, those above first; one with kind p is divided again. `partition_key`: the text after PARTITION
    BY. `parent` and `bound`: of a partition, the table that it is a part of, and the text after its name there.
    """

    oid: int
    name: TableName
    owner: str
    kind: str
    persistence: str
    rls: bool
    force_rls: bool
    options: tuple[str, ...]
    toast_options: tuple[str, ...]
    comment: str | None
    rows_estimate: int
    heap_bytes: int
    total_bytes: int
    replident: str
    has_children: bool
    is_child: bool
    has_rules: bool
    tablespace: str
    access_method: str
    of_type: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    checks: tuple[Check, ...]
    triggers: tuple[Trigger, ...]
    policies: tuple[Policy, ...]
    grants: tuple[Grant, ...]
    sequences: tuple[Sequence, ...]
    publications: tuple[Publication, ...]
    labels: tuple[Label, ...] = ()
    partitions: tuple[Table, ...] = ()
    partition_key: str = ""
    parent: TableName | None = None
    bound: str = ""

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    @property
    def heaps(self) -> tuple[Table, ...]:
        """The tables that hold its rows: the table itself, or its partitions without those that are divided again."""
        return tuple(p for p in self.partitions if p.kind == "r") if self.kind == "p" else (self,)

    @property
    def primary_key(self) -> Index | None:
        return next((i for i in self.indexes if i.primary), None)


@dataclass(frozen=True)
class ViewPart:
    """A part of a view. `kind`: column (`text`: its default), statistics, storage, compression or options of a column, index
    (`more`: its tablespace), index statistics, cluster, replica identity, trigger, rule. `number`: of the column."""

    kind: str
    name: str
    text: str
    more: str
    number: int
    comment: str


@dataclass(frozen=True)
class View:
    """A view (kind v) or materialized view (m). The cutover sets it aside and creates it again by its own text.

    `rank`: its place in the order of creation, among views and functions. `owner_privileges`: those that the owner still has;
    None: all of them. `reads_bytes`: the size of the tables under a materialized view, which a refresh has to read. `unfilled`:
    a materialized view that is not populated: this one, or one under it; empty where there is none.
    """

    oid: int
    name: TableName
    owner: str
    kind: str
    definition: str
    options: tuple[str, ...]
    comment: str
    owner_privileges: tuple[str, ...] | None
    persistence: str
    extension: str
    tablespace: str
    access_method: str
    toast_options: tuple[str, ...]
    populated: bool
    replident: str
    reads_bytes: int
    unfilled: str
    parts: tuple[ViewPart, ...]
    grants: tuple[Grant, ...]
    rank: int
    meaning: Meaning = PLAIN

    def of(self, *kinds: str) -> tuple[ViewPart, ...]:
        return tuple(p for p in self.parts if p.kind in kinds)


@dataclass(frozen=True)
class Function:
    """A function that is bound to a changing type or column by its signature or its SQL-standard body. The cutover sets it
    aside and creates it again by its own text.

    `kind`: pg_proc.prokind (f, p, w, a). `restricted`: its ACL is not the default one; `grants` are the ACL then.
    `returns`: the oid of the relation whose row type it returns, else 0. `lists_columns`: its SQL-standard body names every column
    of that relation. `owned`, `creatable`: this role may act for its owner; both may create it in its schema. `rank`: as of a view.
    """

    oid: int
    name: TableName
    arguments: str
    kind: str
    definition: str
    owner: str
    comment: str
    restricted: bool
    owner_executes: bool
    extension: str
    superuser_only: bool
    lists_columns: bool
    returns: int
    owned: bool
    creatable: bool
    grants: tuple[Grant, ...]
    rank: int
    meaning: Meaning = PLAIN

    @property
    def signature(self) -> str:
        return f"{self.name}({self.arguments})"

    @property
    def heading(self) -> str:
        """The name and the parameters as CREATE says them, defaults included: what `[accept]` calls it. The name
        alone where a default has parentheses of its own, the signature of an aggregate."""
        if not self.definition:
            return self.signature
        before, _, rest = self.definition.partition("(")
        parameters, closed, _ = rest.partition(")")
        name = before.removeprefix("CREATE ").removeprefix("OR REPLACE ").partition(" ")[2]
        return f"{name}({parameters})" if closed and name and "(" not in parameters else str(self.name)


@dataclass(frozen=True)
class NamedFunction:
    """A function that [[function]] names, by the `text` that is there."""

    text: str
    function: Function


@dataclass(frozen=True)
class UnclaimedDependency:
    """An object that depends on a view or function that is built again, and that no rule carries over. `on`: that view or function.
    `catalog`: the object's own catalog, or `cycle` or `recursion`."""

    description: str
    on: str
    catalog: str


@dataclass(frozen=True)
class Statistics:
    """An extended statistics object. `kinds`: empty for one over a single expression. `body`: the list after ON. `columns`: every
    column in it. `owned`: this role has the owner's rights."""

    table: TableName
    name: TableName
    owner: str
    owned: bool
    kinds: tuple[str, ...]
    body: str
    target: int | None
    comment: str | None
    columns: tuple[str, ...]
    meaning: Meaning = PLAIN


@dataclass(frozen=True)
class Dependent:
    """An object that depends on a table and that no other query reads. `doctor` refuses it by name (invariant 10)."""

    table: TableName
    description: str
    catalog: str
    column: str


@dataclass(frozen=True)
class Catalog:
    """What was read in one snapshot. `tables`: the source and every table with a reference to it. `foreign_keys`: every one into or
    out of these tables. `policies`: of other tables, that read one of these. `unclaimed`: dependencies that no rule carries. `named`:
    functions that [[function]] names."""

    server_version: int
    database: str
    role: str
    source: Table
    tables: tuple[Table, ...]
    foreign_keys: tuple[ForeignKey, ...]
    views: tuple[View, ...]
    dependents: tuple[Dependent, ...]
    policies: tuple[BoundPolicy, ...] = ()
    functions: tuple[Function, ...] = ()
    unclaimed: tuple[UnclaimedDependency, ...] = ()
    statistics: tuple[Statistics, ...] = ()
    named: tuple[NamedFunction, ...] = ()

    def table(self, name: TableName) -> Table:
        """The table, or the partition, of that name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[TableName, Table]:
        return {t.name: t for listed in reversed(self.tables) for t in (*reversed(listed.partitions), listed)}

    @property
    def incoming(self) -> tuple[ForeignKey, ...]:
        """Foreign keys to the source, its own to itself too."""
        return tuple(f for f in self.foreign_keys if f.target == self.source.name)

    @property
    def outgoing(self) -> tuple[ForeignKey, ...]:
        """Foreign keys of the source to other tables."""
        me = self.source.name
        return tuple(f for f in self.foreign_keys if f.table == me and f.target != me)
