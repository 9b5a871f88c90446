"""Columns that look like references to the source and have no foreign key (H24). Each is listed with the evidence for it; none is
taken for a reference.

There are three kinds of evidence. The name: `user_id`, `created_by_user_id` for `users`. A polymorphic pair whose type column
names the source: `actor_type = 'User'`. The values: a column `author_id` whose sampled values are keys of the source, where no
other table explains its name. Each sample is limited in rows and in time, and all samples together in time.

Keys inside arrays and documents: swap.doctor.look_alikes_nested.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Finding, NotChecked, or_ok, qualified, read, read_values, scan, warning
from swap.doctor.look_alike_names import names_class, names_source, unexplained

T = TypeVar("T")
SAMPLE_MS = 2000
ALL_SAMPLES_S = 60.0
WHOLE_TABLE_ROWS = 100_000  # up to here a sample reads from the beginning; of a larger table it reads random pages
ENOUGH_VALUES = 5


@dataclass(frozen=True)
class LookAlike:
    """A column that may hold keys of the source. `where`: of a polymorphic pair, the condition for `[[reference]]`.

    `nested`: the keys are inside its values, so it cannot be a reference. `path`: the keys of the document that lead to them.
    `text`: the keys are texts.
    """

    table: TableName
    column: str
    where: str | None
    evidence: str
    nested: bool = False
    path: tuple[str, ...] = ()
    text: bool = False

    @property
    def label(self) -> str:
        """Its name in `ignore`: schema.table.column, and the path inside a document."""
        return ".".join([qualified(self.table, self.column), *map(quote, self.path)])

    @property
    def plain(self) -> str:
        """The label without quotes, which `ignore` accepts too."""
        return ".".join([self.table.schema, self.table.name, self.column, *self.path])


class Sample(NamedTuple):
    """How many distinct values a sample has, and how many of them are keys of the source."""

    sampled: int
    known: int

    @property
    def convincing(self) -> bool:
        """Whether enough of the values are keys to list a column whose name says nothing."""
        return self.sampled >= ENOUGH_VALUES and self.known >= 0.9 * self.sampled

    def evidence(self, source: TableName) -> str:
        """The sample in words, for a finding."""
        return f"{self.known} of {self.sampled} sampled values are keys of {source}" if self.sampled else "no value in the sample"


class TypeValue(NamedTuple):
    """A value of the type column of a polymorphic pair, and how many rows of the sample have it."""

    value: str
    rows: int


def count_types(found: Iterable[TypeValue], mine: Container[str]) -> str:
    """How many rows of the sample refer to the source, and how many to others."""
    rows = list(found)
    here = sum(r.rows for r in rows if r.value in mine)
    others = sum(r.rows for r in rows) - here
    of = "" if here + others < WHOLE_TABLE_ROWS else " of a sample"
    return f"{here:,} rows{of}, and {others:,} of other types"


class Candidate(NamedTuple):
    """A column that may hold keys. `type_column`: `x_type` beside `x_id`."""

    schema: str
    relation: str
    column: str
    type_column: str | None
    rows_estimate: int

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.relation)

    @property
    def sample(self) -> sql.Composable:
        """TABLESAMPLE, where the table is too large to be read from the beginning."""
        if self.rows_estimate <= WHOLE_TABLE_ROWS:
            return sql.SQL("")
        percent = max(100 * WHOLE_TABLE_ROWS / self.rows_estimate, 0.001)
        return sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(round(percent, 3)))


@dataclass
class Search:
    """What is looked for: keys (`key`) of `source`. `relations`: the names after which a column may be called."""

    conn: Connection
    source: TableName
    key: str
    state_schema: str
    relations: frozenset[str]
    until: float = field(default_factory=lambda: time.monotonic() + ALL_SAMPLES_S)

    @classmethod
    def begin(cls, conn: Connection, source: TableName, key: str, state_schema: str) -> Search:
        return cls(conn, source, key, state_schema, frozenset(read_values(conn, "look_alikes_relations.sql")))

    def read(self, cls: type[T], statement: sql.Composed) -> list[T] | NotChecked:
        """The rows of a sample, one `cls` each, or why it was not read."""
        if time.monotonic() > self.until:
            return NotChecked(f"not checked: all samples together took longer than {ALL_SAMPLES_S:g} s")
        return scan(self.conn, cls, statement, SAMPLE_MS)

    def names_source(self, column: str) -> bool:
        return names_source(column, self.source.name, self.key)

    def unexplained(self, column: str) -> bool:
        return unexplained(column, self.relations)

    def statement(self, file: str, c: Candidate) -> sql.Composed:
        """A query for values of the column that are keys of the source."""
        return load_sql(PACKAGE, file).format(
            column=sql.Identifier(c.column),
            table=c.table.sql,
            key=sql.Identifier(self.key),
            source=self.source.sql,
            sample=c.sample,
        )


def whole_columns(search: Search) -> list[LookAlike]:
    """Every integer column that may hold keys of the source, except those of views and partitions."""
    out = []
    for c in read(search.conn, Candidate, "look_alikes_columns.sql", state_schema=search.state_schema):
        if c.table == search.source and c.column == search.key:
            continue
        if search.names_source(c.column):
            out.append(_by_name(search, c))
        elif c.type_column is not None:
            out += _polymorphic(search, c, c.type_column)
        elif search.unexplained(c.column):
            out += _by_value(search, c)
    return out


def _by_name(search: Search, c: Candidate) -> LookAlike:
    rows = search.read(Sample, search.statement("look_alikes_values.sql", c))
    said = f"its values were {rows.reason}" if isinstance(rows, NotChecked) else rows[0].evidence(search.source)
    return LookAlike(c.table, c.column, None, f"an integer without a foreign key, called after {search.source}; {said}")


def _polymorphic(search: Search, c: Candidate, type_column: str) -> list[LookAlike]:
    statement = load_sql(PACKAGE, "look_alikes_types.sql").format(
        type=sql.Identifier(type_column), column=sql.Identifier(c.column), table=c.table.sql, sample=c.sample,
        limit=sql.Literal(WHOLE_TABLE_ROWS),
    )  # fmt: skip
    rows = search.read(TypeValue, statement)
    pair = f"{quote(type_column)} + {quote(c.column)}"
    if isinstance(rows, NotChecked):
        return [LookAlike(c.table, c.column, None, f"{pair} looks like a polymorphic pair; its types were {rows.reason}")]
    values = sorted(r.value for r in rows if names_class(r.value, search.source.name))
    if not values:
        return []
    literals = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
    where = f"{quote(type_column)} = {literals}" if len(values) == 1 else f"{quote(type_column)} IN ({literals})"
    return [
        LookAlike(
            c.table,
            c.column,
            where,
            f"{pair} is a polymorphic pair, and rows name {', '.join(values)}: {count_types(rows, values)}",
        )
    ]


def _by_value(search: Search, c: Candidate) -> list[LookAlike]:
    rows = search.read(Sample, search.statement("look_alikes_values.sql", c))
    if isinstance(rows, NotChecked):
        return [LookAlike(c.table, c.column, None, f"no table explains its name; its values were {rows.reason}")]
    (found,) = rows
    if not found.convincing:
        return []
    return [LookAlike(c.table, c.column, None, f"{found.evidence(search.source)}, and no table explains its name")]


def check_look_alikes(found: Iterable[LookAlike], declared: set[tuple[TableName, str]], ignore: list[str]) -> list[Finding]:
    """A warning for each look-alike that is neither declared as a reference nor in `ignore`."""
    left = [x for x in found if (x.table, x.column) not in declared and not _ignored(x, ignore)]
    rows = [
        warning(
            "look-alike", x.label, f"{x.evidence}. If it refers to the source, the migration would leave it behind",
            _remedy(x),
        )
        for x in left
    ]  # fmt: skip
    return or_ok(rows, "look-alike", "database", "no undeclared column looks like a reference")


def _remedy(x: LookAlike) -> str:
    if x.nested:
        return "Have the application convert it (`legacy_id` finds the uuid), and list it in `ignore`."
    how = f" and the condition ({x.where})" if x.where else ""
    how += ' and as = "text"' if x.text else ""
    return f"Declare it with [[reference]]{how}, or list it in `ignore`."


def _ignored(x: LookAlike, ignore: list[str]) -> bool:
    """Whether `ignore` has its label, with or without quotes; of a document also the column's alone."""
    whole = LookAlike(x.table, x.column, None, "")
    return any(name in ignore for name in (x.label, x.plain, whole.label, whole.plain))
