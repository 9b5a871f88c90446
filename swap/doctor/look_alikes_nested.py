"""Keys inside values (H24): in arrays of integers, and under keys of JSON documents, to the third level.

Listed like other look-alikes, by name or by value, with the share of sampled values that are keys of the source. They
cannot become references: nothing converts them but the application.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Rows, read
from swap.doctor.look_alikes import (
    Candidate,
    LookAlike,
    Samples,
    convincing,
    names_source,
    read_relations,
    sample,
    shown,
    singular,
    unexplained,
    whole_columns,
)


class Nested(NamedTuple):
    """One row of lookalikes_nested.sql. `document`: json or jsonb; else an array of integers."""

    oid: int
    schema: str
    relation: str
    column: str
    document: bool
    rows_estimate: int

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.oid, self.schema, self.relation, self.column, None, self.rows_estimate)


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
    for row in read(conn, "look_alikes_nested.sql", state_schema=state_schema):
        nested = Nested(*row)
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
    rows = _values(conn, "look_alikes_arrays.sql", c, source, key, samples)
    what = f"an array of integers called after {source}" if named else "an array of integers, and no table explains its name"
    if isinstance(rows, str):
        return [LookAlike(c.table, c.column, None, f"{what}; its values were {rows}", nested=True)]
    values, known = rows[0]
    if not named and not convincing(values, known):
        return []
    return [LookAlike(c.table, c.column, None, f"{what}; {shown(values, known, source)}", nested=True)]


def _document(
    conn: Connection, c: Candidate, source: TableName, key: str, relations: set[str], samples: Samples
) -> list[LookAlike]:
    rows = _values(conn, "look_alikes_documents.sql", c, source, key, samples)
    if isinstance(rows, str):
        return [LookAlike(c.table, c.column, None, f"a document that may hold keys; its values were {rows}", nested=True)]
    out = []
    for path, values, known in rows:
        element = one_of(path[-1])
        named = names_source(element, source.name, key)
        if not named and not (unexplained(element, relations) and convincing(values, known)):
            continue
        why = f"called after {source}" if named else "and no table explains its name"
        evidence = f"a value inside documents, {why}; {shown(values, known, source)}"
        out.append(LookAlike(c.table, c.column, None, evidence, nested=True, path=tuple(path)))
    return out


def _values(conn: Connection, file: str, c: Candidate, source: TableName, key: str, samples: Samples) -> Rows | str:
    statement = load_sql(PACKAGE, file).format(
        column=sql.Identifier(c.column), table=c.table.sql, key=sql.Identifier(key), source=source.sql, sample=sample(c)
    )
    try:
        return samples.read(conn, statement)
    except psycopg.DataError as e:  # json that is no jsonb: \u0000, numbers without end
        return f"not checked: {e.diag.message_primary}"
