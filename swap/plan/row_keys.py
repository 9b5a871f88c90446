"""The key of a row, as capture notes it, in Python and in SQL: of any number of columns and of any type that a key may have.

A key is an int where it is a single integer column, else a tuple of texts, as the types' output functions write them. Key columns
have types of pg_catalog (swap.plan.strategy), so `=` is an operator of pg_catalog. It is named with its schema: the conditions are
parts of statements that run under the application's search_path (swap.core.application_settings).

The key of a row is its key on the captured side, also where a reference is in it: then the maintained row has another one, of which
that part is looked up. `origin_columns` and `target_columns` give the same values of a pair of rows, `among_origin` and
`among_target` find the rows on either side by an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import sql

from swap.catalog.model import Column
from swap.core.sql_text import verbatim
from swap.plan.direction import UUID, KeyColumn, TableMapping

Key = int | tuple[str, ...]
COMMA = sql.SQL(", ")
UUID_LENGTH = 36  # of its text; no integer has more than 20 characters


def selected(d: TableMapping, columns: Sequence[sql.Composable]) -> sql.Composable:
    """The select-list item that gives a key; `to_key` makes a `Key` of its value. `columns`: the expressions of its columns."""
    if d.integer_key:
        return columns[0]
    return sql.SQL("ARRAY[{}]").format(COMMA.join(sql.SQL("{}::text").format(c) for c in columns))


def to_key(value: Any) -> Key:
    """What the driver returns for `selected`, as a `Key`."""
    return tuple(value) if isinstance(value, list | tuple) else int(value)


def origin_columns(d: TableMapping, alias: str) -> list[sql.Composable]:
    """The key of the captured row `alias`, column by column."""
    columns = [sql.Identifier(alias, k.origin) for k in d.key]
    return [_text(c) if k.exchanged else c for c, k in zip(columns, d.key, strict=True)]


def target_columns(d: TableMapping, alias: str) -> list[sql.Composable]:
    """The key of the maintained row `alias`, column by column: the one that the captured row has. Of a row whose reference tells none,
    its own value: no captured row has that."""
    return [_captured(d, k, alias) if k.exchanged else sql.Identifier(alias, k.target) for k in d.key]


def _captured(d: TableMapping, k: KeyColumn, alias: str) -> sql.Composable:
    column = sql.Identifier(alias, k.target)
    found = sql.Identifier(alias, k.beside) if k.beside else d.key_lookups.back.value(column, None)
    return sql.SQL("coalesce({}, {})").format(_text(sql.SQL("({})").format(found)), _text(column))


def _text(value: sql.Composable) -> sql.Composed:
    return sql.SQL("{}::pg_catalog.text").format(value)


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


def among_origin(d: TableMapping, alias: str, keys: Sequence[Key]) -> sql.Composed:
    """The condition that the captured row `alias` is one of `keys`. An index on the key serves it."""
    if not d.exchanged_key:
        return among(d, origin_columns(d, alias), keys)
    return _among(d, [sql.Identifier(alias, k.origin) for k in d.key], _typed(d), keys)


def among_target(d: TableMapping, alias: str, keys: Sequence[Key], *, before: bool = False) -> sql.Composed:
    """The condition that the maintained row `alias` is one of `keys`. An index on its key serves it. `before`: as it was when it was
    written last."""
    if not d.exchanged_key:
        return among(d, target_columns(d, alias), keys)
    found = maintained_key(d, _typed(d), before=before)
    values = [
        sql.SQL("coalesce({}, {}::").format(value, _of_form(q, uuid=not _is_uuid(k))) + verbatim(f"{_target_type(d, k)})")
        if k.exchanged
        else value
        for value, q, k in zip(found, _given(d), d.key, strict=True)
    ]
    return _among(d, [sql.Identifier(alias, k.target) for k in d.key], values, keys)


def maintained_key(d: TableMapping, given: Sequence[sql.Composable], *, before: bool = False) -> list[sql.Composable]:
    """The maintained side's key, for the values of the captured side's key columns."""
    out = list[sql.Composable]()
    for value, k in zip(given, d.key, strict=True):
        if not k.exchanged:
            out.append(value)
            continue
        column = _target_column(d, k)
        found = d.key_lookups.before.value(value, column) if before else d.key_value(value, column)
        out.append(sql.SQL("({})").format(found))
    return out


def _target_column(d: TableMapping, k: KeyColumn) -> Column | None:
    return next(m.column for m in d.columns if m.target == k.target)


def _target_type(d: TableMapping, k: KeyColumn) -> str:
    column = _target_column(d, k)
    return UUID if column is None or not _is_uuid(k) else column.type


def _typed(d: TableMapping) -> list[sql.Composable]:
    """The given keys q with the types of the captured side's columns. NULL for one of a row that only the maintained side has."""
    return [
        sql.SQL("{}::").format(_of_form(q, uuid=_is_uuid(k))) + verbatim(k.origin_type) if k.exchanged else q
        for q, k in zip(_given(d), d.key, strict=True)
    ]


def _is_uuid(k: KeyColumn) -> bool:
    """Whether the captured side has the uuid of a reference in its key, not the integer."""
    return k.origin_type == UUID


def _of_form(text: sql.Composable, *, uuid: bool) -> sql.Composed:
    form = sql.SQL("=" if uuid else "<")
    return sql.SQL("(CASE WHEN pg_catalog.length({}) OPERATOR(pg_catalog.{}) {} THEN {} END)").format(
        text, form, sql.Literal(UUID_LENGTH), text
    )


def _given(d: TableMapping) -> list[sql.Identifier]:
    return [sql.Identifier("q", f"q{n}") for n in range(len(d.key))]


def _among(
    d: TableMapping, columns: Sequence[sql.Composable], values: Sequence[sql.Composable], keys: Sequence[Key]
) -> sql.Composed:
    """`values`: what `columns` should be, over the given keys q (q0, q1, …). They are computed once for each key (OFFSET 0)."""
    given = COMMA.join(sql.SQL("pg_catalog.unnest({})").format(a) for a in arrays(d.key, keys))
    names = COMMA.join(sql.Identifier(f"q{n}") for n in range(len(columns)))
    return sql.SQL(
        "EXISTS (SELECT FROM (SELECT {values} FROM ROWS FROM ({given}) q ({names}) OFFSET 0) q ({names}) WHERE {equal})"
    ).format(values=COMMA.join(values), given=given, names=names, equal=equal(columns, _given(d)))


def same_row(d: TableMapping, captured: str, maintained: str) -> sql.Composed:
    """The condition that the row `maintained` is the one of the captured row. An index on the maintained side's key serves it."""
    columns = [sql.Identifier(maintained, k.target) for k in d.key]
    return equal(columns, maintained_key(d, [sql.Identifier(captured, k.origin) for k in d.key]))


def same_row_now(d: TableMapping, captured: str, maintained: str) -> sql.Composed:
    """The same condition, which an index on the captured side's key serves."""
    values = [
        sql.SQL("({})").format(d.key_lookups.back_now.value(column, None)) if k.exchanged else column
        for k, column in ((k, sql.Identifier(maintained, k.target)) for k in d.key)
    ]
    return equal([sql.Identifier(captured, k.origin) for k in d.key], values)


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
