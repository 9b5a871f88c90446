"""`--clone template`: CREATE DATABASE … TEMPLATE, on production's own server. The server refuses it while any session is connected to
the original, so it is for a staging copy. What belongs to the database and not to its contents is set again: its settings, and those
of roles in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
from psycopg import sql

from swap.core.connection import Connection, Database
from swap.core.errors import NOTHING_CHANGED, RefusedError, UsageError
from swap.core.names import quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.rehearse.clones import Clone, CloneOptions, Note, Production
from swap.rehearse.new_database import clone_name, new_database
from swap.state.origin import read_here

COPY_FILES_FROM = 1 << 30  # bytes: above it the files are copied, and little WAL is written


@contextmanager
def template_clone(production: Production, options: CloneOptions, note: Note) -> Iterator[Clone]:
    """Raises RefusedError where the server does not let it be made."""
    maker = Database.from_options(options.maker, "rehearse") if options.maker else production.database
    name = clone_name(production.dbname)
    note(f"copying the database {production.dbname} as {name}")
    _refuse_another_server(production, maker, options.state_schema)
    there = production.with_database(name)
    with ExitStack() as held:
        try:
            create = _create(production, name, owned=maker is not production.database)
            conn = held.enter_context(new_database(maker, name, create, keep=options.keep))
        except psycopg.errors.ObjectInUse:
            raise RefusedError(
                f"{production.dbname} cannot be the template of a clone: other sessions are connected to it.",
                state=f"No clone was made. {NOTHING_CHANGED}",
                hint="End them, or rehearse with --clone dump, which disturbs no session.",
            ) from None
        except psycopg.errors.InsufficientPrivilege as e:
            raise RefusedError(
                f"The clone cannot be made: {e.diag.message_primary}.",
                state=f"No clone was made. {NOTHING_CHANGED}",
                hint=f"ALTER ROLE {quote(production.user)} CREATEDB, as the owner of the database; or name a role that may with --clone-dsn.",
            ) from None
        _settings(conn, production.dbname, name)
        yield Clone("template", there, there, f"the database {name}, a copy of {production.dbname} on the same server")


def _refuse_another_server(production: Production, maker: Database, state_schema: str) -> None:
    if maker is production.database:
        return
    with production.database.session("clone") as original, maker.session("clone") as conn:
        here, there = read_here(original, state_schema), read_here(conn, state_schema)
    if here.system != there.system:
        raise UsageError(
            "--clone-dsn leads to another server than production: a template is copied on its own server.",
            hint="Name another role of production's server with --clone-dsn; --clone dump --clone-dsn DSN copies into another server.",
        )


def _create(production: Production, name: str, *, owned: bool) -> Query:
    strategy = "FILE_COPY" if production.size_bytes > COPY_FILES_FROM else "WAL_LOG"
    text = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
        sql.Identifier(name), sql.Identifier(production.dbname), sql.SQL(strategy)
    )
    return text + sql.SQL(" OWNER {}").format(sql.Identifier(production.user)) if owned else text


def _settings(conn: Connection, original: str, name: str) -> None:
    """ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET of the original. What the role may not set stays at its default."""
    for (statement,) in conn.execute(load_sql("swap.rehearse", "database_settings.sql"), {"original": original, "clone": name}):
        with suppress(psycopg.errors.InsufficientPrivilege):
            conn.execute(verbatim(statement))
