"""What the server's catalog says about the source, its references and what follows them. Immutable, serialisable."""

from __future__ import annotations

from dataclasses import dataclass

from swap.catalog.parts import (
    BoundPolicy,
    Check,
    Column,
    ForeignKey,
    Grant,
    Index,
    Label,
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
    partitions: tuple[Table, ...] = ()  # of every level, those above first; `kind` p: divided again
    partition_key: str = ""  # what stands after PARTITION BY
    parent: TableName | None = None  # of a partition: the table that it is a part of, for the rows of `bound`
    bound: str = ""

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    @property
    def heaps(self) -> tuple[Table, ...]:
        """The tables that hold its rows: itself, or its partitions."""
        return tuple(p for p in self.partitions if p.kind == "r") if self.kind == "p" else (self,)

    @property
    def primary_key(self) -> Index | None:
        return next((i for i in self.indexes if i.primary), None)


@dataclass(frozen=True)
class ViewPart:
    """What is attached to a view: kind column (text: its default) | statistics | storage | compression | options (of a
    column) | index (more: its tablespace) | index statistics | cluster | replica identity | trigger | rule."""

    kind: str
    name: str
    text: str
    more: str
    number: int
    comment: str


@dataclass(frozen=True)
class View:
    """A view (kind v) or materialized view (m) that is set aside at the cutover and created again by its own text.

    `rank` orders creation among views and functions. `owner_privileges`: what is left to the owner, None: everything.
    `reads_bytes`: the size of the tables under a materialized view, which filling it has to read; `unfilled`: one that is not populated, itself or under it.
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

    def of(self, *kinds: str) -> tuple[ViewPart, ...]:
        return tuple(p for p in self.parts if p.kind in kinds)


@dataclass(frozen=True)
class Function:
    """A function bound to a changing type or column by its signature or its SQL-standard body: set aside, and created
    again by its own text. kind: f | p | w | a. `returns`: the relation whose row type it returns, and `lists_columns`: its
    SQL-standard body names every column of that one. `restricted`: its ACL is not the default, `grants` say what it is."""

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
class UnclaimedDependency:
    """Something that depends on a view or function that has to be built again, and is not carried over itself."""

    description: str
    on: str
    catalog: str


@dataclass(frozen=True)
class Statistics:
    """An extended statistics object. `kinds` empty: of one expression; `body` is what stands after ON."""

    table: TableName
    name: TableName
    owner: str
    owned: bool
    kinds: tuple[str, ...]
    body: str
    target: int | None
    comment: str | None
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Dependent:
    """Something attached that no other query claims: refused by name (invariant 10)."""

    table: TableName
    description: str
    catalog: str
    column: str


@dataclass(frozen=True)
class Catalog:
    """Everything read in one snapshot. `foreign_keys`: every one into or out of the listed tables."""

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
    unfollowed: tuple[UnclaimedDependency, ...] = ()
    statistics: tuple[Statistics, ...] = ()

    def table(self, name: TableName) -> Table:
        """The table, or the partition, of that name."""
        return next(t for listed in self.tables for t in (listed, *listed.partitions) if t.name == name)

    @property
    def incoming(self) -> tuple[ForeignKey, ...]:
        return tuple(f for f in self.foreign_keys if f.target == self.source.name)

    @property
    def outgoing(self) -> tuple[ForeignKey, ...]:
        me = self.source.name
        return tuple(f for f in self.foreign_keys if f.table == me and f.target != me)
