"""The tables that refer to users: their columns, how a row is written, and when its reference is right."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from psycopg import sql
from psycopg.types.json import Jsonb

from swap.demo.ledger import NO_USER, KeyPair
from swap.demo.shape import KeyColumns


class ChildColumns(NamedTuple):
    """The columns of a table that refers to users. `token`: names a row, and never changes. `content`: another column that is
    written. `read`: an expression that reads it back."""

    token: str
    content: str | None
    read: sql.SQL


CHILD_COLUMNS: Final[Mapping[str, ChildColumns]] = {
    "sessions": ChildColumns("token", "data", sql.SQL("c.data->>'note'")),
    "api_access_tokens": ChildColumns("name", "digest", sql.SQL("c.digest")),
    "partner_applications": ChildColumns("client_id", "name", sql.SQL("c.name")),
    "user_roles": ChildColumns("role", None, sql.SQL("NULL::text")),
    "audit_logs": ChildColumns("request_id", "action", sql.SQL("c.action")),
}


def refers_to(columns: KeyColumns, pair: KeyPair, wanted: KeyPair) -> bool:
    """Whether a reference that holds `pair` refers to the user with the keys `wanted`; NO_USER: to none."""
    if wanted == NO_USER:
        return pair == NO_USER
    base = pair.uuid if columns.is_uuid else pair.integer
    return base is not None and pair.agrees(wanted)


def child_content(table: str, content: str | None) -> Any:
    """The value to write into a row's content column."""
    return Jsonb({"note": content}) if table == "sessions" else content


def identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def placeholders(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(placeholder(name) for name in names)


def placeholder(name: str) -> sql.Composable:
    return sql.SQL("%s::public.user_status") if name == "status" else sql.SQL("%s")


def assignments(columns: Mapping[str, sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in columns.items())


def equals(column: str, type_name: sql.SQL) -> sql.Composed:
    return sql.SQL("{} = %s::{}").format(sql.Identifier(column), type_name)
