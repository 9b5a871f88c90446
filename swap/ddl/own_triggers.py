"""The triggers that swap adds for capture, guards, fence and compat, and their functions.

The functions are in the state schema. They are SECURITY DEFINER and name everything with its schema, so nothing that a
session creates (a temporary table, an operator) can change what they do. The guards also pin their search_path. Capture
and fence run for every statement of the application, and leave nothing to be looked up instead: to enter and leave a SET
costs an UPDATE about 12 us of the 26 that capture then adds to its 80.

The triggers are ENABLE ALWAYS: a writer under session_replication_role = replica counts too (H7).
"""

from __future__ import annotations

import hashlib

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.core.statement import AX, Kind, Statement, Verb

DIGEST = "swap, digest "


def trigger_function(name: TableName, body: sql.Composable, *, row_security: bool = False, pinned: bool = True) -> Statement:
    """Create or replace a trigger function, with a digest of what it does in its comment.

    The body travels as a literal, so there is no delimiter that it could close. `pinned` False: the body names every object
    and operator with its schema. Verification compares the function with its digest, whichever version of swap created it.
    """
    path = sql.SQL(" SET search_path = pg_catalog, pg_temp" if pinned else "")
    filtered = sql.SQL(" SET row_security = off" if row_security else "")
    text = body.as_string(None)
    settings = ",".join(["search_path=pg_catalog, pg_temp"] * pinned + ["row_security=off"] * row_security)
    digest = hashlib.md5("\n".join([text, "t", *([settings] if settings else [])]).encode(), usedforsecurity=False).hexdigest()
    create = sql.SQL(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER{path}{filtered} AS {text};"
        " COMMENT ON FUNCTION {name}() IS {digest}"
    ).format(name=name.sql, path=path, filtered=filtered, text=sql.Literal(text), digest=sql.Literal(DIGEST + digest))
    drop = sql.SQL("DROP FUNCTION IF EXISTS {}()").format(name.sql)
    return Statement(create, "a trigger function", None, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE)


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
