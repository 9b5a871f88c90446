"""Keys inside values (H24): in arrays of integers, and under keys of JSON documents, to the third level.

Listed like other look-alikes, by name or by value, with the share of sampled values that are keys of the source. They
cannot become references: nothing converts them but the application.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, NotChecked, read
from swap.doctor.look_alikes import (
    Candidate,
    LookAlike,
    Sample,
    Samples,
    names_source,
    read_relations,
    sample,
    singular,
    unexplained,
    whole_columns,
)

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
    """Every look-alike in the database. Reads samples: ACCESS SHARE, 2 s at most each, a minute all together."""
    relations, samples = read_relations(conn), Samples()
    return [
        *whole_columns(conn, source, key, relations, samples, state_schema),
        *inside_values(conn, source, key, relations, samples, state_schema),
    ]


def inside_values(
    conn: Connection, source: TableName, key: str, relations: set[str], samples: Samples, state_schema: str
) -> list[LookAlike]:
    """Every array and every path in a document that may hold keys of the source."""
    out = []
    for nested in read(conn, Nested, "look_alikes_nested.sql", state_schema=state_schema):
        found = _document if nested.document else _array
        out += found(conn, nested.candidate, source, key, relations, samples)
    return out


def one_of(name: str) -> str:
    """The name of one element of what is called `name`: `user_ids` -> `user_id`, `watchers` -> `watcher_id`."""
    lower = name.lower()
    if lower.endswith("ids"):
        return name[:-1]
    return name if lower.endswith(("id", "_by")) else f"{singular(lower)}_id"


def _array(conn: Connection, c: Candidate, source: TableName, key: str, relations: set[str], samples: Samples) -> list[LookAlike]:
    element = one_of(c.column)
    named = names_source(element, source.name, key)
    if not named and not unexplained(element, relations):
        return []
    rows = _values(conn, Sample, "look_alikes_arrays.sql", c, source, key, samples)
    what = f"an array of integers called after {source}" if named else "an array of integers, and no table explains its name"
    if isinstance(rows, NotChecked):
        return [LookAlike(c.table, c.column, None, f"{what}; its values were {rows.reason}", nested=True)]
    (found,) = rows
    if not named and not found.convincing:
        return []
    return [LookAlike(c.table, c.column, None, f"{what}; {found.evidence(source)}", nested=True)]


def _document(
    conn: Connection, c: Candidate, source: TableName, key: str, relations: set[str], samples: Samples
) -> list[LookAlike]:
    rows = _values(conn, PathSample, "look_alikes_documents.sql", c, source, key, samples)
    if isinstance(rows, NotChecked):
        evidence = f"a document that may hold keys; its values were {rows.reason}"
        return [LookAlike(c.table, c.column, None, evidence, nested=True)]
    out = []
    for r in rows:
        element, found = one_of(r.path[-1]), Sample(r.sampled, r.known)
        named = names_source(element, source.name, key)
        if not named and not (unexplained(element, relations) and found.convincing):
            continue
        why = f"called after {source}" if named else "and no table explains its name"
        evidence = f"a value inside documents, {why}; {found.evidence(source)}"
        out.append(LookAlike(c.table, c.column, None, evidence, nested=True, path=r.path))
    return out


def _values(
    conn: Connection, cls: type[T], file: str, c: Candidate, source: TableName, key: str, samples: Samples
) -> list[T] | NotChecked:
    statement = load_sql(PACKAGE, file).format(
        column=sql.Identifier(c.column), table=c.table.sql, key=sql.Identifier(key), source=source.sql, sample=sample(c)
    )
    try:
        return samples.read(conn, cls, statement)
    except psycopg.DataError as e:  # json that is no jsonb: \u0000, numbers without end
        return NotChecked(f"not checked: {e.diag.message_primary}")
