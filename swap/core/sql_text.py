"""SQL text that lives in `.sql` files beside the module that uses it, loaded once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from psycopg import sql

Query = sql.SQL | sql.Composed  # what psycopg executes


@cache
def load_sql(package: str, name: str) -> sql.SQL:
    """The file `name` of `package` as composable SQL; the files are the package's own, hence literal."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return sql.SQL(text)


def anonymous(body: sql.Composable) -> sql.Composed:
    """DO with `body` as a literal: there is no delimiter that a name in it could close."""
    return sql.SQL("DO {}").format(sql.Literal(body.as_string(None)))


def verbatim(text: str) -> sql.SQL:
    """SQL that the server itself printed (pg_get_indexdef and its kin): already quoted, never `format`ted."""
    return sql.SQL(text)
