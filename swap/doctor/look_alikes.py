"""Columns that look like references to the source and have no foreign key (H24): listed with evidence, never guessed.

Three kinds of evidence: the name (`user_id`, `created_by_user_id` for `users`), a polymorphic pair whose type
column names the source (`actor_type = 'User'`), and values (a column `author_id` whose sampled values are keys of
the source while no other table would explain the name). Samples are bounded in rows and in time, each and together.
What is inside arrays and documents is in `lookalikes_nested`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Finding, NotChecked, or_ok, qualified, read, read_values, scan, warning

T = TypeVar("T")
SAMPLE_MS = 2000
ALL_SAMPLES_S = 60.0
WHOLE_TABLE_ROWS = 100_000  # up to here a sample reads from the beginning; above, random pages
ENOUGH_VALUES = 5
IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman", "data": "datum"}


@dataclass(frozen=True)
class LookAlike:
    """A column that may hold keys of the source. `where` as `[[reference]]` wants it, for polymorphic pairs.

    `nested`: the keys are inside its values, so it cannot be a reference; `path`: under which keys of a document.
    """

    table: TableName
    column: str
    where: str | None
    evidence: str
    nested: bool = False
    path: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What `ignore` calls it: schema.table.column, and the path inside a document."""
        return ".".join([qualified(self.table, self.column), *map(quote, self.path)])

    @property
    def plain(self) -> str:
        """The label without quotes, which `ignore` takes too."""
        return ".".join([self.table.schema, self.table.name, self.column, *self.path])


@dataclass
class Samples:
    """Reads samples, each bounded by `SAMPLE_MS`, until the time for all of them is up."""

    until: float = field(default_factory=lambda: time.monotonic() + ALL_SAMPLES_S)

    def read(self, conn: Connection, cls: type[T], statement: sql.Composed) -> list[T] | NotChecked:
        """The rows, one `cls` each, or why there are none."""
        if time.monotonic() > self.until:
            return NotChecked(f"not checked: all samples together took longer than {ALL_SAMPLES_S:g} s")
        return scan(conn, cls, statement, SAMPLE_MS)


class Sample(NamedTuple):
    """How many distinct values a sample has, and how many of them are keys of the source."""

    sampled: int
    known: int

    @property
    def convincing(self) -> bool:
        """Whether enough of the values are keys to list a column whose name says nothing."""
        return self.sampled >= ENOUGH_VALUES and self.known >= 0.9 * self.sampled

    def evidence(self, source: TableName) -> str:
        """What a finding says of it."""
        return f"{self.known} of {self.sampled} sampled values are keys of {source}" if self.sampled else "no value in the sample"


class TypeValue(NamedTuple):
    """A value of the type column of a polymorphic pair."""

    value: str


class Candidate(NamedTuple):
    """A column that may hold keys. `type_column` is `x_type` beside `x_id`."""

    schema: str
    relation: str
    column: str
    type_column: str | None
    rows_estimate: int

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.relation)


def singular(name: str) -> str:
    """The English singular of a table's name, by its ending; a name that is none stays as it is."""
    head, _, last = name.rpartition("_")
    stem = _singular(last)
    return f"{head}_{stem}" if head else stem


def _singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("uses", "us")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def snake(name: str) -> str:
    """`createdByUserId` -> `created_by_user_id`."""
    out = ""
    for i, c in enumerate(name):
        new_word = c.isupper() and i and (name[i - 1].islower() or name[i + 1 : i + 2].islower()) and name[i - 1] != "_"
        out += ("_" if new_word else "") + c.lower()
    return out


def names_source(column: str, source: str, key: str) -> bool:
    """Whether the column is called after the source: `user_id`, `owner_user_id`, `userId`, `userid`."""
    name, table = snake(column), snake(source)
    for stem in {table, singular(table)}:
        for ending in {f"{stem}_{snake(key)}", f"{stem}_id", f"{stem}id"}:
            if name == ending or name.endswith("_" + ending):
                return True
    return False


def names_class(value: str, source: str) -> bool:
    """Whether a type column's value means the source: `User`, `users`, `App\\Models\\User`, `Admin::User`."""
    last = value.replace("::", "/").replace("\\", "/").replace(".", "/").rpartition("/")[2]
    table = snake(source)
    return snake(last) in {table, singular(table)}


def read_relations(conn: Connection) -> set[str]:
    """Names that a column may be called after."""
    return set(read_values(conn, "look_alikes_relations.sql"))


def whole_columns(
    conn: Connection, source: TableName, key: str, relations: set[str], samples: Samples, state_schema: str
) -> list[LookAlike]:
    """Every integer column that may hold keys of the source, views and partitions aside."""
    out = []
    for c in read(conn, Candidate, "look_alikes_columns.sql", state_schema=state_schema):
        if c.table == source and c.column == key:
            continue
        if names_source(c.column, source.name, key):
            out.append(_by_name(conn, c, source, key, samples))
        elif c.type_column is not None:
            out += _polymorphic(conn, c, source, samples)
        elif unexplained(c.column, relations):
            out += _by_value(conn, c, source, key, samples)
    return out


def _by_name(conn: Connection, c: Candidate, source: TableName, key: str, samples: Samples) -> LookAlike:
    rows = _sampled(conn, c, source, key, samples)
    said = f"its values were {rows.reason}" if isinstance(rows, NotChecked) else rows[0].evidence(source)
    return LookAlike(c.table, c.column, None, f"an integer without a foreign key, called after {source}; {said}")


def _polymorphic(conn: Connection, c: Candidate, source: TableName, samples: Samples) -> list[LookAlike]:
    assert c.type_column is not None
    statement = load_sql(PACKAGE, "look_alikes_types.sql").format(
        type=sql.Identifier(c.type_column), column=sql.Identifier(c.column), table=c.table.sql, sample=sample(c)
    )
    rows = samples.read(conn, TypeValue, statement)
    pair = f"{quote(c.type_column)} + {quote(c.column)}"
    if isinstance(rows, NotChecked):
        return [LookAlike(c.table, c.column, None, f"{pair} looks like a polymorphic pair; its types were {rows.reason}")]
    values = sorted(r.value for r in rows if names_class(r.value, source.name))
    if not values:
        return []
    literals = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
    where = f"{_sql_name(c.type_column)} = {literals}" if len(values) == 1 else f"{_sql_name(c.type_column)} IN ({literals})"
    return [LookAlike(c.table, c.column, where, f"{pair} is a polymorphic pair, and rows name {', '.join(values)}")]


def _sql_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if quote(name) != name else name


def unexplained(column: str, relations: set[str]) -> bool:
    """`author_id` or `created_by` where no table is called author(s)."""
    name = snake(column)
    if name.endswith("_by"):
        return True
    if not name.endswith("_id"):
        return False
    stem = name.removesuffix("_id")
    known = {s for r in relations for s in (snake(r), singular(snake(r)))}
    return not any(stem == k or stem.endswith("_" + k) for k in known)


def _by_value(conn: Connection, c: Candidate, source: TableName, key: str, samples: Samples) -> list[LookAlike]:
    rows = _sampled(conn, c, source, key, samples)
    if isinstance(rows, NotChecked):
        return [LookAlike(c.table, c.column, None, f"no table explains its name; its values were {rows.reason}")]
    (found,) = rows
    if not found.convincing:
        return []
    return [LookAlike(c.table, c.column, None, f"{found.evidence(source)}, and no table explains its name")]


def _sampled(conn: Connection, c: Candidate, source: TableName, key: str, samples: Samples) -> list[Sample] | NotChecked:
    statement = load_sql(PACKAGE, "look_alikes_values.sql").format(
        column=sql.Identifier(c.column),
        table=c.table.sql,
        key=sql.Identifier(key),
        source=source.sql,
        sample=sample(c),
    )
    return samples.read(conn, Sample, statement)


def sample(c: Candidate) -> sql.Composable:
    """All of a small table; random pages of a large one."""
    if c.rows_estimate <= WHOLE_TABLE_ROWS:
        return sql.SQL("")
    percent = max(100 * WHOLE_TABLE_ROWS / c.rows_estimate, 0.001)
    return sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(round(percent, 3)))


def check_look_alikes(found: Iterable[LookAlike], declared: set[tuple[TableName, str]], ignore: list[str]) -> list[Finding]:
    """A warning for each look-alike that is neither declared nor ignored."""
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
    return f"Declare it with [[reference]]{f' and the condition ({x.where})' if x.where else ''}, or list it in `ignore`."


def _ignored(x: LookAlike, ignore: list[str]) -> bool:
    """By its label, with or without quotes; a document also as a whole."""
    whole = LookAlike(x.table, x.column, None, "")
    return any(name in ignore for name in (x.label, x.plain, whole.label, whole.plain))
