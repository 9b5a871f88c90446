"""Rows of a query become dataclasses and NamedTuples by the names of their columns, never by position.

A column that is added in the middle of a query changes nothing. A column that is missing, or has another name than the field
that it is for, is an error at once, with no row at all too; it does not put a value into the wrong field.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

import psycopg
from psycopg.rows import dict_row, scalar_row

from swap.core.connection import Connection
from swap.core.sql_text import Query

T = TypeVar("T")
Row = Mapping[str, Any]
Params = Mapping[str, object] | None


def fetch(conn: Connection, cls: type[T], query: Query, params: Params = None) -> list[T]:
    """The rows of `query`, one `cls` each (`from_row`). Raises psycopg's errors, and TypeError for a field without a column."""

    def row_factory(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], T]:
        names = [column.name for column in cursor.description or ()]
        if names:
            _refuse_missing(cls, names)
        return lambda values: from_row(cls, dict(zip(names, values, strict=True)))

    return conn.cursor(row_factory=row_factory).execute(query, params).fetchall()


def fetch_rows(conn: Connection, query: Query, params: Params = None) -> list[Row]:
    """The rows of `query`, each a mapping from the names of its columns. Raises psycopg's errors."""
    return cast("list[Row]", conn.cursor(row_factory=dict_row).execute(query, params).fetchall())


def fetch_values(conn: Connection, query: Query, params: Params = None) -> list[Any]:
    """The values of a query of one column. Raises psycopg's errors."""
    return conn.cursor(row_factory=scalar_row).execute(query, params).fetchall()


def from_row(cls: type[T], row: Row, **more: object) -> T:
    """A dataclass or NamedTuple whose fields are the columns of the same names, or are in `more`. Arrays become tuples.

    Columns that are no field are left out. Raises TypeError when a field is neither a column nor in `more`: a default does not
    stand in for a column of another name.
    """
    _refuse_missing(cls, row.keys() | more.keys())
    names = _field_names(cast("Hashable", cls))
    values = {n: tuple(v) if isinstance(v, list) else v for n, v in row.items() if n in names}
    return cls(**(values | more))


def _refuse_missing(cls: type[Any], columns: Collection[str]) -> None:
    if missing := _field_names(cast("Hashable", cls)).difference(columns):
        raise TypeError(f"no column for {', '.join(sorted(missing))} of {cls.__name__}")


@cache
def _field_names(cls: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(cls)) if is_dataclass(cls) else frozenset(cls._fields)
