"""The tables that refer to users: what names a row, how it is written, when its reference is right."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from psycopg import sql
from psycopg.types.json import Jsonb

from swap.demo.ledger import NOBODY, KeyPair
from swap.demo.shape import KeyColumns

# Per table of references: what names a row for good, what else it holds, and how the latter is read back.
CHILD_COLUMNS: Final[Mapping[str, tuple[str, str | None, sql.SQL]]] = {
    "sessions": ("token", "data", sql.SQL("c.data->>'note'")),
    "api_access_tokens": ("name", "digest", sql.SQL("c.digest")),
    "partner_applications": ("client_id", "name", sql.SQL("c.name")),
    "user_roles": ("role", None, sql.SQL("NULL::text")),
    "audit_logs": ("request_id", "action", sql.SQL("c.action")),
}


def refers_to(columns: KeyColumns, pair: KeyPair, wanted: KeyPair) -> bool:
    """Whether a reference holding `pair` refers to the user with the keys `wanted` (none: to nobody)."""
    if wanted == NOBODY:
        return pair == NOBODY
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
