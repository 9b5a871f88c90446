"""The parts of a table, as the server's catalog says. Immutable, serialisable (see model.py)."""

from __future__ import annotations

from dataclasses import dataclass

from swap.core.names import TableName


@dataclass(frozen=True)
class Meaning:
    """What a stored expression uses (swap.catalog.meaning). `path`: the schemas of operators that the printed text cannot name.
    `uses`: all its operators, as often as each is there, and its functions outside pg_catalog, without the types of arguments."""

    path: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


PLAIN = Meaning()


@dataclass(frozen=True)
class Column:
    """A column. `type`: the text of format_type. `generated`: '' | 's' | 'v'. `identity`: '' | 'a' | 'd'. `collation`, `storage`,
    `compression`, `statistics`: None where they are the type's defaults. `base_type`, `base_kind`: pg_type.typname and typtype, of a
    domain those of its base type. `deterministic`: its collation is."""

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
    meaning: Meaning = PLAIN


@dataclass(frozen=True)
class Label:
    """A security label of the table, or of one of its columns."""

    provider: str
    label: str
    column: str | None


@dataclass(frozen=True)
class Index:
    """An index.

    `definition`: its text from USING on, with the tablespace. `columns`: every column that it mentions. `key_columns`: in the order
    of the index. `valid`: built, and used. `constraint_type`: p | u | x. `parent`: of a part of a partitioned index, that index's
    schema and name. `constraint_definition`: of a primary key or unique constraint, without what DEFERRABLE says.
    """

    name: str
    unique: bool
    primary: bool
    valid: bool
    exclusion: bool
    definition: str
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
    parent: tuple[str, ...] = ()
    constraint_definition: str = ""
    meaning: Meaning = PLAIN

    @property
    def recipe(self) -> str:
        """The text that builds it again: of an exclusion constraint its definition, since no index can become one; else its own."""
        return self.exclusion_definition or self.definition

    @property
    def statistics(self) -> tuple[tuple[int, int], ...]:
        """Statistics targets: (number of the expression in the index, target)."""
        return tuple(zip(self.statistics_columns, self.statistics_targets, strict=True))


@dataclass(frozen=True)
class Check:
    name: str
    definition: str
    validated: bool
    comment: str
    meaning: Meaning = PLAIN


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key. `definition`: the text of pg_get_constraintdef, schema-qualified, without NOT VALID.

    `parts`: where the table is partitioned, the partitions that hold rows, each with the name of its part of the key.
    `root`: where the table is a partition and the key its own, the partitioned table at the top. The key is over that one's columns.
    """

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
        """The table whose reference it is. A partition has no columns of its own, so it is the partitioned table then."""
        return self.root or self.table

    @property
    def heaps(self) -> tuple[TableName, ...]:
        """The tables that hold its rows."""
        return tuple(table for table, _ in self.parts) or (self.table,)

    @property
    def enforced(self) -> bool:
        """False for NOT ENFORCED (PostgreSQL 18): the server never checks it."""
        return not self.definition.endswith(" NOT ENFORCED")


@dataclass(frozen=True)
class Trigger:
    """A user trigger. `enabled`: pg_trigger.tgenabled. `columns`: those that UPDATE OF and WHEN bind by number. `head` and `tail`: its
    definition before and after `ON table`. `constraint`: a constraint trigger; `other_oid`: its FROM table. `extensions`: those that
    it depends on (DEPENDS ON EXTENSION)."""

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
    meaning: Meaning = PLAIN

    @property
    def when(self) -> bool:
        """Whether it has a WHEN: the text before EXECUTE ends with its parenthesis."""
        return self.tail[: self.tail.rindex(" EXECUTE ")].endswith(")") if " EXECUTE " in self.tail else False


@dataclass(frozen=True)
class Policy:
    """A row security policy. `command`: pg_policy.polcmd. `roles`: `public` stands for all."""

    name: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    using: str | None
    check: str | None
    comment: str
    meaning: Meaning = PLAIN


@dataclass(frozen=True)
class BoundPolicy:
    """A policy of a table (`oid`, `table`) that reads the source or a reference's table. `reads`: the oids of those that it reads,
    other than its own. It is bound to them, not to their names."""

    oid: int
    table: TableName
    reads: tuple[int, ...]
    policy: Policy


@dataclass(frozen=True)
class Grant:
    """One entry of an ACL. `column`: None for the whole relation. `grantee`: None for PUBLIC."""

    column: str | None
    grantee: str | None
    grantor: str
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Sequence:
    """A sequence that a column owns. `identity`: GENERATED … AS IDENTITY made it; `kind`: a (ALWAYS) | d (BY DEFAULT), else ''."""

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
    """A publication of the table. `kind`: table (it lists the table) | schema | all. `columns`: its column list, empty for all columns.
    `filter_columns`: those that its row filter reads. `owned`: this role has its owner's rights."""

    name: str
    owner: str
    owned: bool
    kind: str
    columns: tuple[str, ...]
    filter: str | None
    filter_columns: tuple[str, ...]
