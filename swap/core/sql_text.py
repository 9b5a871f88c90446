"""SQL text: the `.sql` files beside the modules that use them, and text that is run as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

from psycopg import sql

Query = sql.SQL | sql.Composed


@cache
def load_sql(package: str, name: str) -> sql.SQL:
    """The file `name` of `package` as composable SQL. Read once. The files belong to the package, so their text is trusted."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return sql.SQL(text)


def anonymous(body: sql.Composable) -> sql.Composed:
    """DO with `body` as a literal. With a dollar-quoted body, a name in it could close the quote."""
    return sql.SQL("DO {}").format(sql.Literal(body.as_string(None)))


def under_path(query: Query, path: Sequence[str]) -> tuple[Query, ...]:
    """The query between two statements that set search_path to pg_catalog with `path`, and back to that of every session of swap
    (swap.core.session_settings). pg_catalog stays in front, unless `path` has it. The query alone, where there is no `path`."""
    if not path:
        return (query,)
    first = () if "pg_catalog" in path else ("pg_catalog",)
    names = sql.SQL(", ").join(map(sql.Identifier, (*first, *path, "pg_temp")))
    return sql.SQL("SET search_path = {}").format(names), query, sql.SQL("SET search_path = pg_catalog, pg_temp")


def local_timeout(name: str, ms: int) -> sql.Composed:
    """Set a timeout (milliseconds; 0: none) until the end of the transaction."""
    return sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(f"{ms}ms"))


def session_timeout(name: str, ms: int) -> sql.Composed:
    """The same for the rest of the session."""
    return sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(f"{ms}ms"))


def verbatim(text: str) -> sql.SQL:
    """SQL that the server itself printed (pg_get_indexdef and its kin): it is quoted already. Do not `format` it."""
    return sql.SQL(text)
