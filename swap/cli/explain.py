"""Explain an error of the server: another session dropped an object that the run needs (H38), or the role lacks a privilege.

A session of its own asks. The one that met the error may be gone, or in a transaction that has failed.
"""

from __future__ import annotations

from typing import NoReturn

import psycopg

from swap.core.config import Config
from swap.core.connection import Database, translate
from swap.core.errors import RefusedError
from swap.core.names import quote
from swap.state.journal import Journal
from swap.state.missing import RUNBOOK, refuse_missing

MISSING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidSchemaName,
)
RIGHTS = ("state-schema", "database-privileges", "schema-privileges", "ownership", "target-privileges", "attached-privileges")


def explain_missing(database: Database, config: Config, *, began: bool) -> None:
    """After a statement that found something missing: RefusedError when another session dropped what the run needs. `began`: there
    was a run when the command began."""
    with database.session() as conn:
        journal = Journal(conn, config.names.state_schema, config.source.name)
        if journal.exists():
            try:
                run = journal.current(config.source.name)
            except MISSING as e:
                raise RefusedError(
                    f"Another session dropped a table of the state schema: {e.diag.message_primary}.",
                    state="Without it no command knows what was built.",
                    hint=f"{RUNBOOK}.",
                ) from None
            if run is not None:
                refuse_missing(journal, run)
        elif began:
            _refuse_without_state(journal.schema)


def _refuse_without_state(schema: str) -> NoReturn:
    raise RefusedError(
        f"The schema {quote(schema)} is gone: another session dropped it.",
        state="Without it no command knows what was built; INSERTs of the application may fail.",
        hint=f"{RUNBOOK}.",
    )


def explain_privilege(database: Database, config: Config, error: psycopg.errors.InsufficientPrivilege) -> None:
    """RefusedError with the statement that gives back what is missing, where `doctor` knows it."""
    from swap.doctor.examine import examine  # here: every command imports this module, and few meet such an error

    with database.session() as conn:
        found = [f for f in examine(conn, config) if f.status == "blocker" and f.name in RIGHTS]
    if found:
        raise RefusedError(
            translate(error).message,
            state="The transaction in hand was rolled back; what was committed before stays.",
            hint=found[0].hint,
        )
