"""The settings of the application's sessions, as the server has them stored (I12)."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from swap.catalog.query import query
from swap.core.application_settings import KEPT, VALUES, Settings
from swap.core.connection import Connection
from swap.core.errors import UsageError
from swap.core.rows import fetch_values
from swap.core.session_settings import SETTINGS

USER = '"$user"'


def application_settings(conn: Connection, owner: str, configured: Mapping[str, str]) -> Settings:
    """What a session of the role `owner` begins with in this database, by pg_db_role_setting; `configured` goes first. Without what
    sessions of swap have anyhow."""
    rows = query(conn, "application.sql", owner=owner, values=list(VALUES), kept=sorted(KEPT))
    found = {r["name"].lower(): (r["name"], r["value"]) for r in rows} | {n.lower(): (n, v) for n, v in configured.items()}
    path = found.get("search_path")
    if path is not None:  # `$user` is the role that runs a statement, which would be swap's
        found["search_path"] = (path[0], path[1].replace(USER, sql.Identifier(owner).as_string(conn)))
    ours = {n.lower(): v for n, v in SETTINGS.items()}
    return tuple(sorted(x for n, x in found.items() if ours.get(n) != x[1]))


def schemas_of(conn: Connection, settings: Settings) -> tuple[str, ...]:
    """The schemas of the application's search_path that exist. pg_catalog is among them where the path names it. Raises UsageError."""
    path = next((v for n, v in settings if n.lower() == "search_path"), None)
    if path is None:
        return ()
    try:
        with conn.transaction(force_rollback=True):
            conn.execute("SELECT pg_catalog.set_config('search_path', %s, true)", [path])
            return tuple(
                fetch_values(conn, sql.SQL("SELECT n::text FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) n"))
            )
    except psycopg.errors.InvalidParameterValue as e:
        raise UsageError(
            f"The search_path of the application cannot be set: {e.diag.message_primary}.",
            hint="Correct [application] settings: it is a list of schemas, quoted as in SQL.",
        ) from None
