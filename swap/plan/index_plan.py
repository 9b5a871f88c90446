"""The plan of an index: what is built, under which names, and what becomes of it in the exchange."""

from __future__ import annotations

from dataclasses import dataclass

from swap.core.names import TableName

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
