"""Rows are read by the names of their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
from psycopg import sql

from swap.core.rows import fetch, fetch_rows, fetch_values, from_row
from tests.support.servers import Connect, Database


@dataclass(frozen=True)
class Person:
    name: str
    tags: tuple[str, ...]
    age: int | None = None


class Pair(NamedTuple):
    left: int
    right: int


def test_columns_in_any_order_and_more_of_them(database: Database, connect: Connect) -> None:
    conn = connect(database.superuser)
    query = sql.SQL("SELECT 3 AS right, 'x' AS more, %(left)s::int AS left")
    assert fetch(conn, Pair, query, {"left": 2}) == [Pair(left=2, right=3)]
    people = sql.SQL("SELECT 7 AS age, ARRAY['a', 'b'] AS tags, 'Ann' AS name")
    assert fetch(conn, Person, people) == [Person("Ann", ("a", "b"), 7)]
    (row,) = fetch_rows(conn, people)
    assert row["age"] == 7
    assert fetch_values(conn, sql.SQL("SELECT n FROM generate_series(1, 3) n")) == [1, 2, 3]


def test_a_field_without_a_column_is_an_error_without_rows_too(database: Database, connect: Connect) -> None:
    """A default does not hide that a column has another name."""
    with pytest.raises(TypeError, match="no column for age of Person"):
        fetch(connect(database.superuser), Person, sql.SQL("SELECT 'x' AS name, '{}'::text[] AS tags, 1 AS years WHERE false"))


def test_what_the_query_does_not_say_is_given() -> None:
    assert from_row(Pair, {"left": 1}, right=2) == Pair(1, 2)
    assert from_row(Pair, {"left": 1, "right": 9}, right=2) == Pair(1, 2), "what is given goes first"
    with pytest.raises(TypeError, match="no column for right of Pair"):
        from_row(Pair, {"left": 1})
