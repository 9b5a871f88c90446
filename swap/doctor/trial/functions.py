"""Functions with string bodies (H27): nothing binds them to a table, so they fail at their next call after the cutover.

The trial creates a function in SQL in its own schemas, where the server parses the body over the target tables. A
function in PL/pgSQL is checked there by the extension plpgsql_check, where the database has it. A body that holds today
and not over the uuid is a blocker that can be accepted: the cutover does not rebuild it, a release of the application
does. The trial lists for review what it cannot check. It executes no function.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import load_sql, verbatim
from swap.doctor.finding import Finding, blocker, warning
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.plan.model import Plan

SESSION_PATH = '"$user", public'  # what an application's session has unless it says otherwise
OWN_PATH = re.compile(r"^ SET search_path TO .*\n", re.MULTILINE)
LATER = (
    'Have its new version ready for the cutover (CREATE OR REPLACE FUNCTION), then take this on: [accept] findings = ["trial:…"].'
)
READ = "Read it: parameters, variables and comparisons of the key must be uuid after the cutover."


@dataclass(frozen=True)
class Routine:
    """One row of functions.sql. `path`: its own search_path. `tables`: the tables whose triggers call it."""

    oid: int
    schema: str
    name: str
    signature: str
    language: str
    definition: str
    is_trigger: bool
    path: str | None
    tables: Sequence[int]


def review(conn: Connection, plan: Plan, remap: SchemaRemap) -> list[Finding]:
    """A finding for each routine that breaks, or that cannot be checked."""
    checker = _checker(conn)
    out = []
    for routine in _routines(conn, plan):
        with conn.transaction(force_rollback=True):  # all are created in one schema: two of one name would replace each other
            out += _review(conn, plan, remap, routine, checker)
    return out


def _review(conn: Connection, plan: Plan, remap: SchemaRemap, routine: Routine, checker: sql.Identifier | None) -> list[Finding]:
    if routine.language == "sql":
        return _sql_body(conn, plan, remap, routine)
    if routine.language == "plpgsql" and checker is not None:
        return _plpgsql_body(conn, plan, remap, routine, checker)
    needs = "; with the extension plpgsql_check it would be" if routine.language == "plpgsql" else ""
    return _unchecked(routine, f"a body in {routine.language} was not checked{needs}")


def _routines(conn: Connection, plan: Plan) -> list[Routine]:
    wanted = [(0, plan.source, ""), (plan.tag, plan.source, _word(plan.key))]
    wanted += [(r.oid, r.table, _word(r.column)) for r in plan.all_references]
    params = {
        "state_schema": plan.state_schema,
        "oids": [oid for oid, _, _ in wanted],
        "tables": [_word(t.name) for _, t, _ in wanted],
        "columns": [column for _, _, column in wanted],
    }
    rows = conn.execute(load_sql("swap.doctor.trial", "functions.sql"), params).fetchall()
    return [Routine(*row) for row in rows]


def _word(name: str) -> str:
    """A regular expression for the name as a word."""
    return r"(^|\W)" + re.sub(r"(\W)", r"\\\1", name) + r"(\W|$)"


def _sql_body(conn: Connection, plan: Plan, remap: SchemaRemap, routine: Routine) -> list[Finding]:
    before = _create(conn, plan, remap, routine, moved=False)
    if isinstance(before, psycopg.Error):
        return _unchecked(routine, f"its body could not be checked: {before.diag.message_primary}")
    after = _create(conn, plan, remap, routine, moved=True)
    return _broken(routine, [_message(after, remap)]) if isinstance(after, psycopg.Error) else []


def _create(conn: Connection, plan: Plan, remap: SchemaRemap, routine: Routine, *, moved: bool) -> TableName | psycopg.Error:
    """Create the routine in the trial's schema: over the tables as they are, or (`moved`) over the target's."""
    scratch = next(iter(remap.schemas.values()))
    own = {TableName(routine.schema, routine.name): scratch}
    text = SchemaRemap({**remap.schemas, **own} if moved else own).text(OWN_PATH.sub("", routine.definition, count=1))

    def create() -> None:
        _set(conn, "check_function_bodies", "on" if routine.language == "sql" else "off")
        _set(conn, "search_path", _path(plan, remap, routine, moved=moved))
        conn.execute(verbatim(text))
        _set(conn, "search_path", "pg_catalog, pg_temp")

    return error_in_savepoint(conn, create) or TableName(scratch, routine.name)


def _set(conn: Connection, name: str, value: str) -> None:
    conn.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])


def _path(plan: Plan, remap: SchemaRemap, routine: Routine, *, moved: bool) -> str:
    """Where the server looks for unqualified names: the routine's own path or a usual one, then its schema and the source's."""
    path = [p.strip() for p in (routine.path or SESSION_PATH).split(",")]
    path += [quote(s) for s in (routine.schema, plan.source.schema) if quote(s) not in path]
    if not moved:
        return ", ".join(path)
    scratch = {quote(t.schema): s for t, s in remap.schemas.items()}
    return ", ".join(f"{scratch[p]}, {p}" if p in scratch else p for p in path)


def _checker(conn: Connection) -> sql.Identifier | None:
    row = conn.execute(
        "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'plpgsql_check'"
    ).fetchone()
    return sql.Identifier(row[0], "plpgsql_check_function_tb") if row else None


def _plpgsql_body(conn: Connection, plan: Plan, remap: SchemaRemap, routine: Routine, checker: sql.Identifier) -> list[Finding]:
    if routine.is_trigger and not routine.tables:
        return _unchecked(routine, "no trigger calls it, so it could not be checked")
    made = _create(conn, plan, remap, routine, moved=True)
    if isinstance(made, psycopg.Error):
        return _broken(routine, [_message(made, remap)])
    row = conn.execute(
        "SELECT max(p.oid)::bigint FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %s",
        [made.schema],
    ).fetchone()
    assert row is not None
    made_oid = int(row[0])
    messages: list[str] = []

    def check() -> None:
        for table in routine.tables or (0,):
            _set(conn, "search_path", _path(plan, remap, routine, moved=False))
            known = _check(conn, checker, routine.oid, table)
            _set(conn, "search_path", _path(plan, remap, routine, moved=True))
            found = _check(conn, checker, made_oid, _moved_table(conn, plan, remap, table))
            messages.extend(m for m in map(remap.readable, found) if m not in known)
        _set(conn, "search_path", "pg_catalog, pg_temp")

    error = error_in_savepoint(conn, check)
    if error is not None:
        return _unchecked(routine, f"plpgsql_check could not check it: {error.diag.message_primary}")
    return _broken(routine, list(dict.fromkeys(messages))) if messages else []


def _check(conn: Connection, checker: sql.Identifier, function: int, table: int) -> list[str]:
    """Errors of the body, and types that do not fit, as `line N: message`."""
    statement = sql.SQL(
        "SELECT c.lineno, c.message FROM {}({}::oid::regprocedure, {}::oid::regclass, fatal_errors => false) c"
        " WHERE c.level = 'error' OR c.sqlstate = '42804'"
    )
    rows: list[tuple[Any, ...]] = conn.execute(statement.format(checker, sql.Literal(function), sql.Literal(table))).fetchall()
    return [f"line {line}: {message}" if line else message for line, message in rows]


def _moved_table(conn: Connection, plan: Plan, remap: SchemaRemap, oid: int) -> int:
    table = next((t for t in plan.catalog.tables if t.oid == oid), None)
    if table is None:
        return oid
    row = conn.execute("SELECT to_regclass(%s)::oid::bigint", [remap.name(table.name).sql.as_string(conn)]).fetchone()
    assert row is not None
    return int(row[0])


def _message(error: psycopg.Error, remap: SchemaRemap) -> str:
    return remap.readable(error.diag.message_primary or str(error))


def _broken(routine: Routine, messages: list[str]) -> list[Finding]:
    detail = f"its body does not hold over a uuid: {'; '.join(messages[:5])}"
    more = f" (and {len(messages) - 5} more)" if len(messages) > 5 else ""
    return [blocker("trial", routine.signature, detail + more, LATER.replace("…", routine.signature), acceptable=True)]


def _unchecked(routine: Routine, why: str) -> list[Finding]:
    return [warning("trial", routine.signature, f"names the table or a reference to it, and {why}", READ)]
