"""Functions that the configuration names, and what a text that creates one would create."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psycopg
from psycopg import errors

from swap.catalog.dependents import load_functions
from swap.catalog.model import NamedFunction
from swap.catalog.query import query
from swap.catalog.scratch import CannotBuildError
from swap.core.connection import Connection, judged
from swap.core.rows import from_row
from swap.core.sql_text import under_path, verbatim

# What begins an SQL-standard body. The server would parse it over the tables of today.
STANDARD_BODY = re.compile(r"\b(?:BEGIN\s+ATOMIC|RETURN)\b.*", re.IGNORECASE | re.DOTALL)
LANGUAGE = re.compile(r"\bLANGUAGE\b", re.IGNORECASE)


def load_named(conn: Connection, signatures: Iterable[str]) -> tuple[NamedFunction, ...]:
    """The functions of these names and argument types. One that is not there is left out."""
    oids = {s: oid for s in signatures if (oid := _oid(conn, s))}
    functions = {f.oid: f for f in load_functions(conn, sorted(set(oids.values())))} if oids else {}
    return tuple(NamedFunction(s, functions[oid]) for s, oid in oids.items())


def _oid(conn: Connection, signature: str) -> int | None:
    """None where there is none. The server raises an error for a text that is no signature."""
    try:
        with conn.transaction():
            row = conn.execute("SELECT to_regprocedure(%s)::oid::bigint", [signature]).fetchone()
    except (
        errors.SyntaxError,
        errors.UndefinedObject,
        errors.InvalidSchemaName,
        errors.InvalidTextRepresentation,
        errors.InvalidName,
    ):
        return None
    return None if row is None or row[0] is None else int(row[0])


class Signature(NamedTuple):
    """Of a text that creates a function: its `arguments` as commands name them, and whether it takes and gives what the function `like`
    does."""

    arguments: str
    alike: bool


def signature(conn: Connection, kind: str, rest: str, path: Sequence[str], like: int) -> Signature:
    """Create the function in the session's own temporary schema, without looking at its body, and roll it back. `rest`: the text from
    the parenthesis of its arguments on. Raises CannotBuildError."""
    body = STANDARD_BODY.search(rest)
    if body is not None and not re.search(r"\bAS\s+['$]", rest[: body.start()], re.IGNORECASE):
        head = rest[: body.start()]
        rest = f"{head}{'' if LANGUAGE.search(head) else ' LANGUAGE sql'} AS ''"
    create = verbatim(f"CREATE {kind} pg_temp.swap_trial_routine{rest}")
    try:
        with conn.transaction(force_rollback=True):
            for message in under_path(create, path):
                conn.execute(message)
            (row,) = query(conn, "scratch_routine.sql", like=like)
            return from_row(Signature, row)
    except psycopg.Error as e:
        if not judged(e):
            raise
        raise CannotBuildError(e.diag.message_primary or str(e)) from None
