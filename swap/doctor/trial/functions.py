"""Functions with string bodies (H27): nothing binds them to a table, so they fail at their next call after the cutover.

The trial creates a function in SQL in a schema of its own, where the server parses the body over the target tables, its arguments and
its result being of the types that they will have. A function in PL/pgSQL is checked there by the extension plpgsql_check, where the
database has it. A body that holds today and not over the uuid is a blocker that can be accepted: a release of the application
rebuilds it, or [[function]] does. The trial lists for review what it cannot check. It executes no function here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from swap.catalog.model import Function
from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.toml_text import entry
from swap.ddl.set_aside import replaced_functions
from swap.ddl.set_aside import routine as call_name
from swap.doctor.finding import Finding, blocker, warning
from swap.doctor.trial.proposals import body_over_integers
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.plan.model import Plan

SESSION_PATH = '"$user", public'  # what an application's session has unless it says otherwise
OWN_PATH = re.compile(r"^ SET search_path TO .*\n", re.MULTILINE)
LATER = (
    "Give its text of after the cutover in [[function]], or have a release bring it right after the cutover, and take this on:"
    ' [accept] findings = ["trial:{}"].'
)
HANDLER = re.compile(
    r"\bexception\s+when\b(?:(?!\bthen\b).)*?\b(others|invalid_text_representation|data_exception|cannot_coerce|datatype_mismatch|undefined_function)\b",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
INTEGER = re.compile(r"\b(smallint|integer|bigint|int[248]?)\b", re.IGNORECASE)
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


def named_before(moved: Plan) -> list[Query]:
    """The functions that [[function]] names, as they are today: something on the copies may call them. `moved`: the trial's plan."""
    bound = {f.oid for f in moved.catalog.functions}
    return [verbatim(n.function.definition) for n in moved.catalog.named if n.function.oid not in bound]


def named_aside(moved: Plan) -> list[Query]:
    """Rename those that the exchange sets aside: what the copies call stays bound to them."""
    rename = sql.SQL("ALTER ROUTINE {} RENAME TO {}")
    bound = {f.oid for f in moved.catalog.functions}
    named = (n.function for n in moved.catalog.named if n.function.oid not in bound)
    return [
        rename.format(call_name(f), sql.Identifier(f"swap_trial_{f.oid}"))
        for f in named
        if (text := moved.text_of(f.oid)) and not text.in_place
    ]


def review(conn: Connection, plan: Plan, remap: SchemaRemap, schema: str, unfired: Mapping[str, str]) -> list[Finding]:
    """A finding for each routine that breaks, or that cannot be checked. `schema`: an empty one, where they are created. `unfired`: by
    the functions of triggers that were tried, why one was not fired; empty where all were."""
    checker = _checker(conn)
    bodies = _Bodies(conn, plan, remap, schema)
    out = []
    for routine in _routines(conn, plan, [*remap.schemas.values(), schema]):
        if plan.text_of(routine.oid) is None:
            with conn.transaction(force_rollback=True):  # all are created in one schema: two of one name would replace each other
                found = _fired(plan, routine, unfired)
                out += _review(bodies, routine, checker) if found is None else found
                out += check_swallowing(routine.signature, routine.language, routine.definition)
    for bound in plan.catalog.functions:
        out += check_swallowing(bound.signature, "plpgsql", bound.definition) if plan.text_of(bound.oid) is None else ()
    for f in replaced_functions(plan):
        with conn.transaction(force_rollback=True):
            out += bodies.given(f)
    return out


def _fired(plan: Plan, routine: Routine, unfired: Mapping[str, str]) -> list[Finding] | None:
    """What firing said about a trigger's function. None: it says nothing, or not about every table."""
    known = {t.oid for t in plan.catalog.tables}
    why = unfired.get(routine.signature)
    if why is None or not known.issuperset(routine.tables):
        return None
    return _unchecked(routine, why) if why else []


def check_swallowing(signature: str, language: str, definition: str) -> list[Finding]:
    """A warning for a handler that catches what a key as an integer will raise: nothing else would say so."""
    handler = HANDLER.search(definition) if language == "plpgsql" else None
    if handler is None or not INTEGER.search(definition):
        return []
    detail = (
        f"has integers in its body and EXCEPTION WHEN {handler.group(1).upper()}: where a key becomes one of them, the uuid's cast fails"
        " after the cutover, and the handler keeps silent about it"
    )
    return [warning("trial", signature, detail, READ)]


def _review(bodies: _Bodies, routine: Routine, checker: sql.Identifier | None) -> list[Finding]:
    if routine.language == "sql":
        return bodies.in_sql(routine)
    if routine.language == "plpgsql" and checker is not None:
        return _plpgsql_body(bodies, routine, checker)
    needs = "; with the extension plpgsql_check it would be" if routine.language == "plpgsql" else ""
    return _unchecked(routine, f"a body in {routine.language} was not checked{needs}")


def _routines(conn: Connection, plan: Plan, own: list[str]) -> list[Routine]:
    """`own`: the trial's schemas."""
    wanted = [(0, plan.source, ""), (plan.tag, plan.source, _word(plan.key))]
    wanted += [(r.oid, r.table, _word(r.column)) for r in plan.all_references]
    params = {
        "own": [plan.state_schema, *own],
        "oids": [oid for oid, _, _ in wanted],
        "tables": [_word(t.name) for _, t, _ in wanted],
        "columns": [column for _, _, column in wanted],
    }
    rows = conn.execute(load_sql("swap.doctor.trial", "functions.sql"), params).fetchall()
    return [Routine(*row) for row in rows]


def _word(name: str) -> str:
    """A regular expression for the name as a word."""
    return r"(^|\W)" + re.sub(r"(\W)", r"\\\1", name) + r"(\W|$)"


@dataclass(frozen=True)
class _Bodies:
    """Creates routines in `schema`, over the tables as they are or over those of the trial."""

    conn: Connection
    plan: Plan
    remap: SchemaRemap
    schema: str

    def in_sql(self, routine: Routine) -> list[Finding]:
        before = self.create(routine, moved=False)
        if isinstance(before, psycopg.Error):
            return _unchecked(routine, f"its body does not hold today either: {before.diag.message_primary}")
        self.conn.execute(sql.SQL("DROP ROUTINE {}").format(before.sql))
        after = self.create(routine, moved=True)
        return (
            _broken(routine, [_message(after, self.remap)], self._over_integers(routine))
            if isinstance(after, psycopg.Error)
            else []
        )

    def _over_integers(self, routine: Routine) -> str:
        """The entry of [[function]] by which it goes on reading the integers; empty where there is none."""
        text = body_over_integers(self.plan, routine.definition)
        made = replace(routine, definition=text)
        if text == routine.definition or isinstance(self.create(made, moved=True), psycopg.Error):
            return ""
        return entry("function", name=routine.signature, definition=text.strip())

    def given(self, function: Function) -> list[Finding]:
        """The body of [[function]], which the exchange creates without a look at it."""
        path = ", ".join(quote(s) for s in function.meaning.path) or None
        made = Routine(
            0, function.name.schema, function.name.name, function.signature, "sql", function.definition, False, path, ()
        )
        error = self.create(made, moved=True)
        if not isinstance(error, psycopg.Error):
            return []
        detail = f"the text of [[function]] cannot be: {_message(error, self.remap)}"
        return [blocker("function", function.signature, detail, "Correct its `definition`.")]

    def create(self, routine: Routine, *, moved: bool) -> TableName | psycopg.Error:
        """Create the routine: over the tables as they are, or (`moved`) over the target's."""
        own = {TableName(routine.schema, routine.name): self.schema}
        text = SchemaRemap({**self.remap.schemas, **own} if moved else own).text(OWN_PATH.sub("", routine.definition, count=1))

        def create() -> None:
            _set(self.conn, "check_function_bodies", "on" if routine.language == "sql" else "off")
            _set(self.conn, "search_path", _path(self.plan, self.remap, routine, moved=moved))
            self.conn.execute(verbatim(text))
            _set(self.conn, "search_path", "pg_catalog, pg_temp")

        return error_in_savepoint(self.conn, create) or TableName(self.schema, routine.name)


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


def _plpgsql_body(bodies: _Bodies, routine: Routine, checker: sql.Identifier) -> list[Finding]:
    conn, plan, remap = bodies.conn, bodies.plan, bodies.remap
    if routine.is_trigger and not routine.tables:
        return _unchecked(routine, "no trigger calls it, so it could not be checked")
    made = bodies.create(routine, moved=True)
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


def _broken(routine: Routine, messages: list[str], remedy: str = "") -> list[Finding]:
    detail = f"its body does not hold over a uuid: {'; '.join(messages[:5])}"
    more = f" (and {len(messages) - 5} more)" if len(messages) > 5 else ""
    hint = LATER.format(routine.signature) + (f" Or {remedy}" if remedy else "")
    return [blocker("trial", routine.signature, detail + more, hint, acceptable=True)]


def _unchecked(routine: Routine, why: str) -> list[Finding]:
    return [warning("trial", routine.signature, f"names the table or a reference to it, and {why}", READ)]
