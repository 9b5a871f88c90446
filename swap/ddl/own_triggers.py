"""The triggers that swap adds for capture, guards, fence and compat, and their functions.

The functions are in the state schema. They are SECURITY DEFINER and name everything with its schema, so nothing that a
session creates (a temporary table, an operator) can change what they do. The guards also pin their search_path. Capture
and fence run for every statement of the application, and leave nothing to be looked up instead: to enter and leave a SET
costs an UPDATE about 12 us of the 26 that capture then adds to its 80.

A body is text that the writer's session parses, with the writer's settings. So a body with text of the operator's or the
server's in it (a reference's `where`, a default) also pins the settings that this text depends on, and no others.

Only their owner and the table's may create a trigger with one of them, and each looks at which table fires it. Else a role
that may only read could put the function on a temporary table of its own, and fill the queue with the owner's rights.

The triggers are ENABLE ALWAYS: a writer under session_replication_role = replica counts too (H7).
"""

from __future__ import annotations

import hashlib
from typing import LiteralString

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query, anonymous, load_sql, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.plan.model import Plan

DIGEST = "swap, digest "
# What is read differently with another setting of the session, and the setting with which the server printed it.
READ_BY = (("\\", "standard_conforming_strings", "on"), ("'{", "array_nulls", "on"))


def idle_function(plan: Plan, table: TableName, name: TableName, returned: LiteralString = "NULL") -> Statement:
    """Create or replace a trigger function that does nothing. `returned`: NEW where the trigger runs before the row is written."""
    return trigger_function(plan, table, name, sql.SQL("BEGIN RETURN " + returned + "; END"), pinned=False)


def trigger_function(
    plan: Plan,
    table: TableName,
    name: TableName,
    body: sql.SQL,
    *,
    row_security: bool = False,
    pinned: bool = True,
    **parts: sql.Composable,
) -> Statement:
    """Create or replace a function of triggers on `table`, with a digest of what it does in its comment.

    `parts` go into `body`, with `fired_by`: what rejects a trigger of any other table. The body travels as a literal, so there is
    no delimiter that it could close. `pinned` False: the body names every object and operator with its schema. Verification
    compares the function with its digest, whichever version of swap created it.

    The server asks for EXECUTE when a trigger is created, not when it fires. The table's owner needs it too: the triggers of a
    new partition are created by whoever creates the partition (src/backend/commands/tablecmds.c, CloneRowTriggersToPartition).
    """
    text = body.format(fired_by=_fired_by(plan, table), **parts).as_string(None)
    pins = [("search_path", "pg_catalog, pg_temp")] * pinned + [("row_security", "off")] * row_security
    pins += [(name, value) for mark, name, value in READ_BY if mark in text]
    clauses = sql.SQL("").join(verbatim(f" SET {name} = {value}") for name, value in pins)
    settings = ",".join(f"{name}={value}" for name, value in pins)
    digest = hashlib.md5("\n".join([text, "t", *([settings] if settings else [])]).encode(), usedforsecurity=False).hexdigest()
    routine = sql.Literal(name.sql.as_string(None) + "()")
    create = sql.SQL(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER{clauses} AS {text};"
        " COMMENT ON FUNCTION {name}() IS {digest}; REVOKE ALL ON FUNCTION {name}() FROM PUBLIC; {bare};"
        " GRANT EXECUTE ON FUNCTION {name}() TO {owner}"
    ).format(
        name=name.sql, clauses=clauses, text=sql.Literal(text), digest=sql.Literal(DIGEST + digest),
        bare=anonymous(load_sql("swap.ddl", "bare_routine.sql").format(routine=routine)), owner=sql.Identifier(_owner(plan, table)),
    )  # fmt: skip
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}()").format(name.sql)
    return Statement(create, "a trigger function", None, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE)


def _fired_by(plan: Plan, table: TableName) -> Query:
    """The first lines of a function: an error unless `table`, or a partition of it, fires it.

    By its names: they cost two comparisons and no look-up, and hold for the source on both sides of the exchange. A table of any
    other name has to belong to the owner of `table`. So the application may rename its table, and no statement of it fails.
    """
    return load_sql("swap.ddl", "fired_by.sql").format(
        label=sql.Literal(str(table)),
        name=sql.Literal(table.name),
        schema=sql.Literal(table.schema),
        owner=sql.Literal(_owner(plan, table)),
    )


def _owner(plan: Plan, table: TableName) -> str:
    return plan.catalog.source.owner if table == plan.source else plan.catalog.table(table).owner


def trigger(
    table: TableName, name: str, events: sql.Composable, procedure: TableName, why: str, kind: str = "TRIGGER"
) -> Statement:
    """Create a trigger that is ENABLE ALWAYS. SHARE ROW EXCLUSIVE on the table; the undo, DROP TRIGGER, takes more."""
    ident = sql.Identifier(name)
    create = sql.SQL("CREATE {} {} {} EXECUTE FUNCTION {}(); ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
        verbatim(kind), ident, events, procedure.sql, table.sql, ident
    )
    undo = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(ident, table.sql)
    return Statement(create, why, table, "SHARE ROW EXCLUSIVE", undo, undo_lock=AX, kind=Kind.CAPTURE, verb=Verb.CREATE)
