"""Runs this package's queries. Their columns are read by name: they are called as the fields that they fill.

A query for parts of objects calls the oid of the object `of_oid`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import Row, fetch_rows, from_row
from swap.core.sql_text import load_sql

PACKAGE = "swap.catalog"
T = TypeVar("T")


class Relation(NamedTuple):
    """`kind`: pg_class.relkind."""

    oid: int
    kind: str


def find_relation(conn: Connection, name: TableName) -> Relation | None:
    """The relation of this name; None when there is none. Takes no lock."""
    return find_relations(conn, [name]).get(name)


def find_relations(conn: Connection, names: Iterable[TableName]) -> dict[TableName, Relation]:
    """The relations of these names, in their order, without those that do not exist. One round trip. Takes no lock."""
    wanted = list(dict.fromkeys(names))
    rows = query(conn, "resolve.sql", schemas=[n.schema for n in wanted], names=[n.name for n in wanted])
    found = {TableName(r["schema"], r["name"]): from_row(Relation, r) for r in rows}
    return {n: found[n] for n in wanted if n in found}


def query(conn: Connection, file: str, **params: object) -> list[Row]:
    """The rows of one of this package's `.sql` files."""
    return fetch_rows(conn, load_sql(PACKAGE, file), params)


def query_grouped(conn: Connection, file: str, oids: list[int]) -> dict[int, list[Row]]:
    """The rows of a query for parts, by the object that they are parts of."""
    out: dict[int, list[Row]] = defaultdict(list)
    for row in query(conn, file, oids=oids):
        out[row["of_oid"]].append(row)
    return out


def query_parts(conn: Connection, cls: type[T], file: str, oids: list[int], **more: object) -> dict[int, tuple[T, ...]]:
    """The parts, one `cls` each, by the object that they are parts of; an empty tuple for an object without any. `more`: fields that
    are no columns of the query."""
    rows = query_grouped(conn, file, oids)
    return defaultdict(tuple, {oid: tuple(from_row(cls, r, **more) for r in found) for oid, found in rows.items()})
