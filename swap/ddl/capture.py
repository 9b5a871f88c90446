"""The queue, and the functions of capture, guards and fence, as statements, all in the state schema. What calls them, the
triggers on the application's tables, is in `swap.ddl.guards`.

Functions are SECURITY DEFINER and name everything with its schema, so nothing a session creates (a temporary table,
an operator) can change what they do. The guards pin their search_path besides. The two that run for every statement
of the application, capture and fence, leave nothing to be looked up instead: entering and leaving a SET costs an
UPDATE about 12 us of the 26 that capture then adds to its 80.
"""

from __future__ import annotations

import hashlib
from typing import LiteralString

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import Query, load_sql, verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.spare_keys import create_spare_sequence, give_legacy_key
from swap.plan.direction import Direction
from swap.plan.model import Plan, RefColumns

PACKAGE = "swap.ddl"
CAPTURE, TRUNCATE, FENCE = "swap_capture", "swap_truncate", "swap_fence"
DIGEST = "swap, digest "
DELETED, MOVED = "swap_capture_deleted", "swap_capture_moved"
COMPLETE = "0swap_complete"  # sorts before RI_…: it fires before the foreign key's check
GUARD = "~swap_guard"  # sorts after letters: the last BEFORE trigger, so it judges what will be stored


def changes(plan: Plan, slot: int) -> TableName:
    """One of the two change tables; writers append to one while the other is emptied."""
    return plan.state(f"changes_{slot}")


def change_tables(plan: Plan) -> list[Statement]:
    """The queue and the fence's row. `seq` only tells the entries of one transaction apart, so each session takes numbers
    for a while: writers do not meet at the sequence."""
    out = []
    for slot in (0, 1):
        name = changes(plan, slot)
        create = sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"
            " seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 64), key bigint, gone boolean NOT NULL DEFAULT true, origin xid8,"
            " PRIMARY KEY (xid, seq))"
            " WITH (autovacuum_vacuum_insert_threshold = 1000000)"
        ).format(name.sql)
        out.append(
            Statement(create, "the queue of changed keys", name, "", _drop("TABLE", name), kind=Kind.CAPTURE, verb=Verb.CREATE)
        )
    out += create_spare_sequence(plan)
    fence = sql.SQL("INSERT INTO {} (tag) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(plan.state_schema, "fence"), sql.Literal(plan.tag)
    )
    out.append(
        Statement(fence, "the generation that tells snapshots of before an exchange from those after it", kind=Kind.CAPTURE)
    )
    return out


def _drop(kind: str, name: TableName) -> sql.Composed:
    return sql.SQL("DROP {} IF EXISTS {}").format(verbatim(kind), name.sql)


def function(name: TableName, body: sql.Composable, *, row_security: bool = False, pinned: bool = True) -> Statement:
    """CREATE OR REPLACE of a trigger function. The body travels as a literal: no delimiter it could close.

    `pinned` False: for a body that names every object and operator with its schema. A digest of what it does goes into its
    comment: verification holds the function against it, whichever version of swap made it.
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
    return Statement(
        create,
        "a trigger function",
        None,
        "",
        sql.SQL("DROP FUNCTION IF EXISTS {}()").format(name.sql),
        kind=Kind.CAPTURE,
        verb=Verb.CREATE,
    )


def capture_functions(plan: Plan, direction: Direction, slot: int) -> list[Statement]:
    """The capture functions of a direction, writing to change table `slot`. Replacing them is how tables rotate."""
    key = plan.key if direction is Direction.FORWARD else plan.legacy_key

    def body(row: LiteralString, gone: LiteralString) -> sql.Composed:
        return load_sql(PACKAGE, "capture_row.sql").format(
            changes=changes(plan, slot).sql, key=sql.Identifier(key), row=sql.SQL(row), gone=sql.SQL(gone)
        )

    return [
        function(plan.state(f"capture_{direction}"), body("NEW", "false"), pinned=False),
        function(plan.state(f"gone_{direction}"), body("OLD", "true"), pinned=False),
    ]


def truncate_function(plan: Plan) -> Statement:
    """TRUNCATE is noted in change table 0 always: it is rare, and its entry is found in either."""
    return function(plan.state("truncate"), load_sql(PACKAGE, "capture_truncate.sql").format(changes=changes(plan, 0).sql))


def fence_function(plan: Plan, generation: int | None) -> Statement:
    """Before the first exchange (generation None) there is nothing to fence off, and the trigger costs next to nothing."""
    if generation is None:
        return function(plan.state("fence"), sql.SQL("BEGIN RETURN NULL; END"), pinned=False)
    body = load_sql(PACKAGE, "fence.sql").format(
        fence=sql.Identifier(plan.state_schema, "fence"),
        tag=sql.Literal(plan.tag),
        generation=sql.Literal(generation),
    )
    return function(plan.state("fence"), body, pinned=False)


def source_guard_function(plan: Plan, direction: Direction) -> Statement:
    """Forward: the identity column. Reverse: the legacy key, from the old sequence when an INSERT leaves it out."""
    column = plan.identity if direction is Direction.FORWARD else plan.legacy_key
    body = load_sql(PACKAGE, "guard_source.sql").format(
        column=sql.Identifier(column),
        label=sql.Literal(column),
        generate=_generated(plan) if direction is Direction.FORWARD else give_legacy_key(plan, legacy_generator(plan)),
    )
    return function(plan.state(f"guard_{direction}"), body, row_security=True)


def _generated(plan: Plan) -> Query:
    return sql.SQL("NEW.{} := {};").format(sql.Identifier(plan.identity), generator(plan))


def generator(plan: Plan) -> Query:
    """How a row gets its uuid: the column's own default where the application has one."""
    column = plan.source_table.column(plan.identity)
    if column is not None and column.default:
        return verbatim(column.default)
    return sql.SQL("uuidv7()" if plan.generate == "uuidv7" else "gen_random_uuid()")


def legacy_generator(plan: Plan) -> Query:
    """The old key's own default: nextval of its sequence, so a row born after the cutover can go back (invariant 6).

    An identity column fills itself, without any right on its sequence; only an explicit NULL gets here."""
    for s in plan.source_table.sequences:
        if s.identity and s.column == plan.key:
            return sql.SQL("nextval({}::regclass)").format(sql.Literal(s.name.sql.as_string(None)))
    column = plan.source_table.column(plan.key)
    return verbatim(column.default) if column is not None and column.default else sql.SQL("NULL")


def reference_guard_function(plan: Plan, ref: RefColumns, direction: Direction) -> Statement:
    """The guard of one reference. Before the cutover the integer leads, after it the uuid does."""
    ahead = direction is Direction.FORWARD
    integer, uuid = (ref.column, ref.uuid_column) if ahead else (ref.legacy_column, ref.column)
    live_integer, live_uuid = (plan.key, plan.identity) if ahead else (plan.legacy_key, plan.key)
    required = ref.not_null and not ref.declared
    leader, follower = ("int", "uuid") if ahead else ("uuid", "int")
    leader_column, follower_column = (integer, uuid) if ahead else (uuid, integer)
    new = sql.SQL("NEW.{}")
    body = load_sql(PACKAGE, "guard_reference.sql").format(
        applies=applies(ref),
        applied=applies(ref, "OLD"),
        integer=sql.Identifier(integer),
        uuid=sql.Identifier(uuid),
        leader=verbatim(leader),
        follower=verbatim(follower),
        leader_column=sql.Identifier(leader_column),
        follower_column=sql.Identifier(follower_column),
        live=plan.source.sql,
        live_integer=sql.Identifier(live_integer),
        live_uuid=sql.Identifier(live_uuid),
        is_itself=_is_itself(ref, integer, uuid, live_integer, live_uuid),
        self_integer=new.format(sql.Identifier(live_integer if ref.own else integer)),
        self_uuid=new.format(sql.Identifier(live_uuid if ref.own else uuid)),
        integer_label=sql.Literal(integer),
        uuid_label=sql.Literal(uuid),
        live_label=sql.Literal(plan.source.name),
        required=sql.SQL("true" if required else "false"),
        placeholder=placeholder(direction),
    )
    return function(plan.state(f"guard_{ref.number}_{direction}"), body, row_security=True)


def placeholder(direction: Direction) -> sql.Composable:
    """What stands in a required column until its row is there; the foreign key beside it lets it live no longer than
    one statement (one transaction, where it is deferred)."""
    return sql.SQL("'00000000-0000-0000-0000-000000000000'::uuid" if direction is Direction.FORWARD else "0")


def completing_function(plan: Plan, ref: RefColumns, direction: Direction) -> Statement:
    """The function behind the completing trigger of a reference."""
    ahead = direction is Direction.FORWARD
    body = load_sql(PACKAGE, "complete_reference.sql").format(
        applies=applies(ref),
        table=ref.table.sql,
        live=plan.source.sql,
        live_leader=sql.Identifier(plan.key),
        live_follower=sql.Identifier(plan.identity if ahead else plan.legacy_key),
        leader_column=sql.Identifier(ref.column),
        follower_column=sql.Identifier(ref.uuid_column if ahead else ref.legacy_column),
        follower_type=sql.SQL("uuid" if ahead else "bigint"),
        placeholder=placeholder(direction),
    )
    return function(plan.state(f"complete_{ref.number}_{direction}"), body, row_security=True)


def reference_functions(plan: Plan, ref: RefColumns, direction: Direction) -> list[Statement]:
    return [reference_guard_function(plan, ref, direction), completing_function(plan, ref, direction)]


def applies(ref: RefColumns, row: str = "NEW") -> Query:
    """The reference's `where`, evaluated over the new row."""
    if ref.where is None:
        return sql.SQL("true")
    return sql.SQL("SELECT coalesce(({}), false) FROM (SELECT {}.*) r").format(verbatim(ref.where), verbatim(row))


def _is_itself(ref: RefColumns, integer: str, uuid: str, live_integer: str, live_uuid: str) -> Query:
    if not ref.own:
        return sql.SQL("false")
    return sql.SQL("NEW.{} = NEW.{} OR NEW.{} = NEW.{}").format(*map(sql.Identifier, (integer, live_integer, uuid, live_uuid)))
