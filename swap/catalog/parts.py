"""What a table is made of, and what hangs on it, as the server's catalog says. Immutable, serialisable."""

from __future__ import annotations

from dataclasses import dataclass

from swap.core.names import TableName


@dataclass(frozen=True)
class Column:
    """One live column. `type` is format_type's text; `generated` is '' | 's' | 'v'; `identity` is '' | 'a' | 'd'."""

    name: str
    attnum: int
    type: str
    not_null: bool
    default: str | None
    identity: str
    generated: str
    collation: str | None
    storage: str | None
    compression: str | None
    statistics: int | None
    options: tuple[str, ...]
    comment: str | None
    not_null_name: str | None
    base_type: str
    base_kind: str
    deterministic: bool
    not_null_comment: str = ""
    not_null_inherited: bool = True


@dataclass(frozen=True)
class Label:
    """A security label: of the table, or of one of its columns."""

    provider: str
    label: str
    column: str | None


@dataclass(frozen=True)
class Index:
    """`tail` is the definition from USING on, tablespace included; `columns` every column it mentions; `key_columns` in index order."""

    name: str
    unique: bool
    primary: bool
    valid: bool
    exclusion: bool
    tail: str
    constraint: str | None
    constraint_type: str | None
    deferrable: bool
    deferred: bool
    columns: tuple[str, ...]
    key_columns: tuple[str, ...]
    partial: bool
    expressions: bool
    comment: str
    constraint_comment: str
    clustered: bool
    replident: bool
    size_bytes: int
    exclusion_definition: str
    tablespace: str
    statistics_columns: tuple[int, ...]
    statistics_targets: tuple[int, ...]
    parent: tuple[str, ...] = ()  # schema and name of the partitioned index that it is a part of
    constraint_definition: str = ""  # of a primary key or unique constraint, without what DEFERRABLE says

    @property
    def recipe(self) -> str:
        """What makes it again: an exclusion constraint's own text (no index can become one), else the index's tail."""
        return self.exclusion_definition or self.tail

    @property
    def statistics(self) -> tuple[tuple[int, int], ...]:
        """Statistics targets of expressions, by their number in the index."""
        return tuple(zip(self.statistics_columns, self.statistics_targets, strict=True))


@dataclass(frozen=True)
class Check:
    name: str
    definition: str
    validated: bool
    comment: str


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key; `definition` is pg_get_constraintdef's text (schema-qualified, without NOT VALID).

    `parts`: of a partitioned table's: the partitions that hold rows, each with the name of its own part of the key.
    `root`: of a partition's own: the partitioned table at the top, whose columns it is over."""

    table: TableName
    name: str
    definition: str
    validated: bool
    deferrable: bool
    target: TableName
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    comment: str
    inherited: bool
    parts: tuple[tuple[TableName, str], ...] = ()
    root: TableName | None = None

    @property
    def holder(self) -> TableName:
        """The table whose reference it is: a partition has no columns of its own."""
        return self.root or self.table

    @property
    def heaps(self) -> tuple[TableName, ...]:
        """The tables that hold the rows which it is about."""
        return tuple(table for table, _ in self.parts) or (self.table,)

    @property
    def enforced(self) -> bool:
        """False for NOT ENFORCED (18): it is never checked."""
        return not self.definition.endswith(" NOT ENFORCED")


@dataclass(frozen=True)
class Trigger:
    """`columns`: what UPDATE OF and WHEN bind, by number; `head` and `tail`: its definition before and after `ON table`;
    `other_oid`: FROM table of a constraint trigger; `extensions`: what it DEPENDS ON."""

    name: str
    definition: str
    enabled: str
    row: bool
    before: bool
    on_insert: bool
    on_delete: bool
    on_update: bool
    function: str
    comment: str
    constraint: bool
    columns: tuple[str, ...]
    update_of: tuple[str, ...]
    head: str
    tail: str
    other_oid: int
    extensions: tuple[str, ...]
    constraint_comment: str


@dataclass(frozen=True)
class Policy:
    name: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    using: str | None
    check: str | None
    comment: str


@dataclass(frozen=True)
class BoundPolicy:
    """A policy of another table that reads the source or a reference's table. `reads_source`: it is bound to the source's
    oid, not to its name."""

    oid: int
    table: TableName
    reads_source: bool
    policy: Policy


@dataclass(frozen=True)
class Grant:
    """One ACL entry. `column` None: the whole relation; `grantee` None: PUBLIC."""

    column: str | None
    grantee: str | None
    grantor: str
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Sequence:
    """A sequence that a column owns. `identity`: it is the column's own, made by GENERATED (`kind`: a | d) AS IDENTITY."""

    column: str
    name: TableName
    identity: bool
    kind: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    persistence: str
    comment: str | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class Publication:
    """One that publishes a table. `kind`: table (listed by name) | schema | all; `columns` empty: all of them."""

    name: str
    owner: str
    owned: bool
    kind: str
    columns: tuple[str, ...]
    filter: str | None
    filter_columns: tuple[str, ...]
