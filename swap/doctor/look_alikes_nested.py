"""Keys inside values (H24): in arrays of integers, and under keys of JSON documents down to the third level.

They are listed as other look-alikes are, by name or by value, with the share of sampled values that are keys of the source. They
cannot become references: only the application can convert them.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import psycopg

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.doctor.finding import NotChecked, read
from swap.doctor.look_alike_names import singular
from swap.doctor.look_alikes import Candidate, LookAlike, Sample, Search, whole_columns
from swap.doctor.look_alikes_texts import text_columns

T = TypeVar("T")


class Nested(NamedTuple):
    """A column that may hold keys inside its values. `document`: json or jsonb; else an array of integers."""

    schema: str
    relation: str
    column: str
    document: bool
    rows_estimate: int

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.schema, self.relation, self.column, None, self.rows_estimate)


class PathSample(NamedTuple):
    """A sample of the values under one path of a document."""

    path: tuple[str, ...]
    sampled: int
    known: int


def look_alikes(conn: Connection, source: TableName, key: str, state_schema: str = "swap") -> list[LookAlike]:
    """Every look-alike in the database. Reads samples: each holds ACCESS SHARE for 2 s at most, all of them take a minute."""
    search = Search.begin(conn, source, key, state_schema)
    return [*whole_columns(search), *text_columns(search), *inside_values(search)]


def inside_values(search: Search) -> list[LookAlike]:
    """Every array, and every path in a document, that may hold keys of the source."""
    out = []
    for nested in read(search.conn, Nested, "look_alikes_nested.sql", state_schema=search.state_schema):
        out += (_document if nested.document else _array)(search, nested.candidate)
    return out


def one_of(name: str) -> str:
    """The name of one element of what is called `name`: `user_ids` -> `user_id`, `watchers` -> `watcher_id`."""
    lower = name.lower()
    if lower.endswith("ids"):
        return name[:-1]
    return name if lower.endswith(("id", "_by")) else f"{singular(lower)}_id"


def _array(search: Search, c: Candidate) -> list[LookAlike]:
    element = one_of(c.column)
    named = search.names_source(element)
    if not named and not search.unexplained(element):
        return []
    rows = _values(search, Sample, "look_alikes_arrays.sql", c)
    what = (
        f"an array of integers called after {search.source}" if named else "an array of integers, and no table explains its name"
    )
    if isinstance(rows, NotChecked):
        return [LookAlike(c.table, c.column, None, f"{what}; its values were {rows.reason}", nested=True)]
    (found,) = rows
    if not named and not found.convincing:
        return []
    return [LookAlike(c.table, c.column, None, f"{what}; {found.evidence(search.source)}", nested=True)]


def _document(search: Search, c: Candidate) -> list[LookAlike]:
    rows = _values(search, PathSample, "look_alikes_documents.sql", c)
    if isinstance(rows, NotChecked):
        evidence = f"a document that may hold keys; its values were {rows.reason}"
        return [LookAlike(c.table, c.column, None, evidence, nested=True)]
    out = []
    for r in rows:
        element, found = one_of(r.path[-1] if r.path else c.column), Sample(r.sampled, r.known)
        named = search.names_source(element)
        if not named and not (search.unexplained(element) and found.convincing):
            continue
        why = f"called after {search.source}" if named else "and no table explains its name"
        evidence = f"a value inside documents, {why}; {found.evidence(search.source)}"
        out.append(LookAlike(c.table, c.column, None, evidence, nested=True, path=r.path))
    return out


def _values(search: Search, cls: type[T], file: str, c: Candidate) -> list[T] | NotChecked:
    try:
        return search.read(cls, search.statement(file, c))
    except psycopg.DataError as e:  # json that jsonb does not hold: \u0000, numbers without end
        return NotChecked(f"not checked: {e.diag.message_primary}")
