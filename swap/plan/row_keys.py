"""The key of a row, as capture notes it, in Python and in SQL: of any number of columns and of any type that a key may have.

A key is an int where it is a single integer column, else a tuple of texts, as the types' output functions write them. Key columns
have types of pg_catalog (swap.plan.strategy), so `=` is an operator of pg_catalog. It is named with its schema: the conditions are
parts of statements that run under the application's search_path (swap.core.application_settings).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import sql

from swap.core.sql_text import verbatim
from swap.plan.direction import KeyColumn, TableMapping

Key = int | tuple[str, ...]
COMMA = sql.SQL(", ")


def selected(d: TableMapping, columns: Sequence[sql.Composable]) -> sql.Composable:
    """The select-list item that gives a key; `to_key` makes a `Key` of its value. `columns`: the expressions of its columns."""
    if d.integer_key:
        return columns[0]
    return sql.SQL("ARRAY[{}]").format(COMMA.join(sql.SQL("{}::text").format(c) for c in columns))


def to_key(value: Any) -> Key:
    """What the driver returns for `selected`, as a `Key`."""
    return tuple(value) if isinstance(value, list | tuple) else int(value)


def origin_columns(d: TableMapping, alias: str) -> list[sql.Identifier]:
    """The key's columns on the captured side."""
    return [sql.Identifier(alias, k.origin) for k in d.key]


def target_columns(d: TableMapping, alias: str) -> list[sql.Identifier]:
    """The key's columns on the maintained side."""
    return [sql.Identifier(alias, k.target) for k in d.key]


def arrays(key: Sequence[KeyColumn], keys: Iterable[Key]) -> list[sql.Composed]:
    """One typed array for each column of the key."""
    rows = [k if isinstance(k, tuple) else (str(k),) for k in keys]
    return [
        sql.SQL("{}::text[]::").format(sql.Literal([r[n] for r in rows])) + verbatim(f"{column.type}[]")
        for n, column in enumerate(key)
    ]


def among(d: TableMapping, columns: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composed:
    """The condition that the row with the key `columns` is one of `keys`. An index on the key serves it."""
    if d.integer_key:
        text = "{" + ",".join(map(str, keys)) + "}"
        return sql.SQL("{} OPERATOR(pg_catalog.=) ANY ({}::bigint[])").format(columns[0], sql.Literal(text))
    # unnest with several arrays is no function of pg_catalog: the grammar makes this of it.
    given = COMMA.join(sql.SQL("pg_catalog.unnest({})").format(a) for a in arrays(d.key, keys))
    names = [f"q{n}" for n in range(len(columns))]
    return sql.SQL("EXISTS (SELECT FROM ROWS FROM ({}) q ({}) WHERE {})").format(
        given, COMMA.join(map(sql.Identifier, names)), equal(columns, [sql.Identifier("q", n) for n in names])
    )


def equal(left: Sequence[sql.Composable], right: Sequence[sql.Composable]) -> sql.Composed:
    """The condition that two keys are equal, column by column."""
    return sql.SQL(" AND ").join(sql.SQL("{} OPERATOR(pg_catalog.=) {}").format(a, b) for a, b in zip(left, right, strict=True))


def number(d: TableMapping, columns: Sequence[sql.Composable]) -> sql.Composable:
    """A bigint that stands for the key: the integer itself, or a hash of all columns. Two keys may share a hash."""
    if d.integer_key:
        return columns[0]
    hashed = [part for column, k in zip(columns, d.key, strict=True) for part in _hashed(column, k.type)]
    return sql.SQL("hash_record_extended(ROW({})::record, 0)").format(COMMA.join(hashed))


def _hashed(column: sql.Composable, type_name: str) -> list[sql.Composable]:
    """The column, and what its type's hash function leaves out: the sign of a numeric; a bigint has the hash of the 32 bits that its
    halves make. (Seen: with -2.50 pending, the row 2.50 was not compared.)"""
    more = {"numeric": "{} OPERATOR(pg_catalog.<) 0::numeric", "bigint": "{} OPERATOR(pg_catalog.>>) 32"}
    text = more.get(type_name.partition("(")[0])
    return [column, sql.SQL(text).format(column)] if text else [column]
