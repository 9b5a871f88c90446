"""Expressions that the server evaluates for every row that swap writes: CHECKs, stored generated columns, indexes (I12, H54).

The shadow, and after a cutover the retired table, must take every row. So a CHECK must hold for the rows that are there, and go on
to hold: `CHECK (due > now())` does not. A generated column must give the value that is stored. An expression must run at all. Only
those are tried that call functions of the application's, or something that may change: what is compiled and immutable has given its
result already.

They run under the application's settings, index expressions since 17 as the server runs them whoever builds an index. Before 17 the
server does more for an index than run it: whoever reads the table, it puts the bodies of SQL functions in the place of their calls,
and reads them by that session's search_path. With an unqualified name in such a body no session of swap could read the table, and
no restored dump could build the index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
from psycopg import errors, sql

from swap.catalog.model import Table
from swap.catalog.scratch import SCRATCH, like, scratch_table
from swap.core.application_settings import Settings, adopt, for_texts
from swap.core.connection import Connection, judged
from swap.core.lock_retries import local_timeout
from swap.core.names import quote
from swap.core.rows import fetch
from swap.core.sql_text import Query, load_sql, verbatim
from swap.doctor.finding import PACKAGE, Count, Finding, NotChecked, Subject, blocker, in_schema, or_ok, qualified, read, warning
from swap.plan.model import TABLE

INDEX_PATH_SINCE = 170000
MEND = "Mend it, or what it runs under ([application] settings: search_path, TimeZone and the like)."


class Expression(NamedTuple):
    """One row of expressions.sql. `condition`: of a partial index; `true` of everything else. `validated`: False for a CHECK that is
    NOT VALID, which rows may break that are there (swap.doctor.not_valid)."""

    table_oid: int
    kind: str
    name: str
    expression: str
    condition: str
    validated: bool
    changeable: bool
    own: bool


def check_expressions(conn: Connection, subject: Subject, settings: Settings, timeout_ms: int, *, may_try: bool) -> list[Finding]:
    """Each expression that is tried is one scan of its table: `timeout_ms` at most, under ACCESS SHARE. `may_try`: the session may
    create temporary tables, in which the server says whether a CHECK is immutable."""
    tables = {t.oid: t for t in subject.tables}
    if wrong := _settings_error(conn, settings):
        hint = "Correct [application] settings, or what is set for the owner by ALTER ROLE and ALTER DATABASE."
        return [blocker("application", subject.source.owner, f"the settings of its sessions cannot be set here: {wrong}", hint)]
    rebuilt = {subject.source.oid, *(r.oid for r in subject.references if r.strategy == TABLE)}
    found = []
    for e in read(conn, Expression, "expressions.sql", oids=list(tables)):
        table = tables[e.table_oid]
        if e.kind == "generated" and table.oid not in rebuilt:
            continue  # its rows stay where they are; an UPDATE of one gives what any UPDATE of the application's gives
        if e.changeable and e.kind == "check" and may_try and not _immutable(conn, table, e, settings):
            found.append(_changeable(table, e))
        if e.kind == "index" and e.own and may_try and (problem := _unreadable(conn, table, e)):
            found.append(_failing_index(table, e, problem))
        elif (e.changeable or e.own) and e.validated:
            found += _try(conn, table, e, settings, timeout_ms)
    return or_ok(found, "expressions", subject.source.name, "what is evaluated for every row runs, and gives what is there")


def _settings_error(conn: Connection, settings: Settings) -> str:
    """Why the application's settings cannot be set; empty where they can."""
    try:
        if settings:
            with conn.transaction(force_rollback=True):
                conn.execute(adopt(settings))
    except psycopg.Error as error:
        if not judged(error):
            raise
        return _said(error)
    return ""


def _changeable(table: Table, e: Expression) -> Finding:
    detail = (
        f"CHECK ({e.expression}) is not immutable: a row that passed it may fail it when swap writes it again, in the copy or for"
        " the way back, and `sync` would stop there"
    )
    hint = f"ALTER TABLE {table.name} DROP CONSTRAINT {quote(e.name)}; or take it on where it can only become true (created_at <= now())."
    return blocker("check", qualified(table.name, e.name), detail, hint, acceptable=True)


def _failing_index(table: Table, e: Expression, problem: str) -> Finding:
    at = in_schema(table.name, e.name)
    detail = f"does not run under search_path = pg_catalog, as in a restored dump: {problem}"
    hint = f"Give the functions that it calls a search_path (ALTER FUNCTION, SET search_path), or DROP INDEX {at};"
    return blocker("index", at, detail, hint)


def _immutable(conn: Connection, table: Table, e: Expression, settings: Settings) -> bool:
    """Whether the server takes the expression as the predicate of an index, which must be immutable. It knows best."""
    create = sql.SQL("CREATE INDEX ON {} ((1)) WHERE ").format(SCRATCH) + verbatim(f"({e.expression})")
    error = _error_on_scratch(conn, table, [*_preparing(table, e, settings), create])
    return not isinstance(error, errors.InvalidObjectDefinition)


def _unreadable(conn: Connection, table: Table, e: Expression) -> str:
    """The server's words where it cannot plan the index's expression under swap's own search_path; empty where it can."""
    query = load_sql(PACKAGE, "expression_planned.sql")
    select = query.format(expression=verbatim(e.expression), table=SCRATCH, condition=verbatim(e.condition))
    error = _error_on_scratch(conn, table, [*_preparing(table, e, ()), select])
    return _said(error) if error else ""


def _error_on_scratch(conn: Connection, table: Table, statements: list[Query]) -> psycopg.Error | None:
    """The error of the statements beside an empty scratch table like the table."""
    with scratch_table(conn, map(like, table.columns)):
        try:
            with conn.transaction():
                for statement in statements:
                    conn.execute(statement)
        except psycopg.Error as error:
            if not judged(error):
                raise
            return error
    return None


def _said(error: psycopg.Error) -> str:
    context = (error.diag.context or "").strip().splitlines()
    return "; ".join([error.diag.message_primary or str(error), *context[:1]])


def _try(conn: Connection, table: Table, e: Expression, settings: Settings, timeout_ms: int) -> list[Finding]:
    restricted = e.kind == "index" and conn.info.server_version >= INDEX_PATH_SINCE
    result = _run(conn, table, e, () if restricted else settings, timeout_ms)
    if isinstance(result, Count):
        return _judge(table, e, result.rows) if result.rows else []
    at = in_schema(table.name, e.name) if e.kind == "index" else qualified(table.name, e.name)
    if isinstance(result, NotChecked):
        return [
            warning(e.kind, at, f"not tried on the rows that are there: {result.reason}", "A row that fails would stop `sync`.")
        ]
    if restricted:
        return [_failing_index(table, e, result)]
    return [blocker(e.kind, at, f"does not run for every row as `sync` would run it: {result}", MEND)]


def _judge(table: Table, e: Expression, rows: int) -> list[Finding]:
    at = qualified(table.name, e.name)
    if e.kind == "check":
        hint = f"Correct those rows, or ALTER TABLE {table.name} DROP CONSTRAINT {quote(e.name)};"
        return [blocker("check", at, f"{rows:,} rows fail it now: they could not be copied", hint)]
    detail = (
        f"{rows:,} rows hold another value than its expression gives now (a function was replaced, or depends on a setting):"
        " the copy would have the new one"
    )
    hint = "Any UPDATE of those rows computes it anew; or say under which [application] settings it is as it was."
    return [blocker("generated", at, detail, hint)]


def _run(conn: Connection, table: Table, e: Expression, settings: Settings, timeout_ms: int) -> Count | NotChecked | str:
    """How many rows are not as they should be; or why that is not known; or the server's words for why the expression fails."""
    try:
        with conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            conn.execute(local_timeout("statement_timeout", timeout_ms))
            for statement in _preparing(table, e, settings):
                conn.execute(statement)
            return fetch(conn, Count, _query(table, e))[0]
    except errors.QueryCanceled:
        return NotChecked(f"not done within {timeout_ms / 1000:g} s")
    except (errors.LockNotAvailable, errors.InsufficientPrivilege) as error:
        return NotChecked(error.diag.message_primary or "no right")
    except psycopg.Error as error:
        if not judged(error):
            raise
        return _said(error)


def _preparing(table: Table, e: Expression, settings: Settings) -> Iterator[Query]:
    """The settings under which `sync` would run it, until the end of the transaction. The printed text itself is read with
    pg_catalog in front, so a function in it that is replaced by its body finds the application's schemas behind."""
    if others := for_texts(settings):
        yield adopt(others)
    meanings = {("check", c.name): c.meaning for c in table.checks}
    meanings |= {("generated", c.name): c.meaning for c in table.columns} | {("index", i.name): i.meaning for i in table.indexes}
    paths = [v for n, v in settings if n.lower() == "search_path" and v]
    parts = ["pg_catalog", *map(quote, meanings[e.kind, e.name].path), *paths, "pg_temp"]
    yield adopt((("search_path", ", ".join(parts)),))


def _query(table: Table, e: Expression) -> sql.Composed:
    expression = verbatim(e.expression)
    if e.kind == "check":
        where = sql.SQL("({}) IS FALSE").format(expression)
    elif e.kind == "generated":
        column = sql.Identifier(e.name)
        where = sql.SQL("ROW({})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({})::pg_catalog.record").format(
            column, expression
        )
    else:  # what counts nothing, and cannot be left out by the planner
        shown = sql.SQL("pg_catalog.num_nulls({})").format(expression)
        where = sql.SQL("({}) AND {} OPERATOR(pg_catalog.<) 0").format(verbatim(e.condition), shown)
    return load_sql(PACKAGE, "expression_rows.sql").format(table=table.name.sql, where=where)
