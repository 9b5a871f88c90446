"""The tasks of `sync`'s build, as data: what is done, and the statements that do it. `swap.ddl.phases` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from swap.core.names import TableName
from swap.core.statement import Statement, Step
from swap.ddl.indexes import create_index
from swap.plan.model import IndexPlan, ReferencePlan


@dataclass(frozen=True)
class CopyRows:
    """Copy the rows of the swapped table `number` into its shadow, range by range: of its key where that is an integer, else of
    its heap blocks (`by_blocks`)."""

    name: str
    number: int
    by_blocks: bool
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class DropQueued:
    """After a copy by heap blocks: delete the rows of queued keys from the shadow. A row that moved was copied twice or not at all,
    and its key is in the queue, so replay writes it once. `until`: the journal's row that says that the key's index is built."""

    number: int
    until: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class FillIdentity:
    """Fill the source's own uuid column, range by range of heap blocks."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class FillReference:
    """Fill the uuid column of a reference in one heap of its table, range by range of heap blocks."""

    reference: ReferencePlan
    heap: TableName
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class FillCompat:
    """Fill the compat column of a reference, range by range of heap blocks of `heap`, one of its tables with rows."""

    reference: ReferencePlan
    heap: TableName
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class BuildIndexes:
    """Build indexes, then set `attributes`: what CREATE INDEX does not say. `parallel`: several at a time, on the shadow.

    `name`: the journal's row for all of them. None: swap looks in the catalog whether each is there. `until`: the journal's
    row that says that nothing of this is left to do.
    """

    name: str | None
    indexes: tuple[IndexPlan, ...]
    attributes: tuple[Statement, ...]
    concurrently: bool = False
    parallel: bool = False
    until: str | None = None

    @property
    def statements(self) -> tuple[Statement, ...]:
        return (*(create_index(i, concurrently=self.concurrently) for i in self.indexes), *self.attributes)


@dataclass(frozen=True)
class Drain:
    """Replay until one snapshot holds nothing more: in it the shadow equals the source."""

    until: str | None = None

    @property
    def statements(self) -> tuple[Statement, ...]:
        return ()


@dataclass(frozen=True)
class Maintain:
    """VACUUM or ANALYZE. `name`: its journal row, where it has one."""

    statements: tuple[Statement, ...]
    name: str | None = None
    until: str | None = None


Task = Step | CopyRows | DropQueued | FillIdentity | FillReference | FillCompat | BuildIndexes | Drain | Maintain


def statements_of(tasks: Iterable[Task]) -> Iterator[Statement]:
    """The statements that the tasks run, in order."""
    return (s for task in tasks for s in task.statements)
