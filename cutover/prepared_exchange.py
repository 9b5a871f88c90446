"""The two exchanges as data, and what of an attempt is made before it asks for its locks: text, and what a look must find.

Made once for all attempts: its maker holds `operator` and `worker`, so nobody else records a structure, moves the writers
to the other change table or makes an exchange meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from swap.core.connection import Connection
from swap.core.sql_text import Query
from swap.core.statement import Statement, script, undo_all
from swap.ddl.exchange import closing_statements, exchange, lock_statements
from swap.ddl.functions import plan_again
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.prepare.drift import record_structure, structure_now
from swap.state.journal import Journal, Phase, Run
from swap.sync.backfill import ANY_PLAN, NESTED_LOOPS

STRUCTURE, RECORD = "EXECUTE swap_structure", "EXECUTE swap_record"
# Deferred constraints are checked now, not at COMMIT; and a materialized view is filled as its query is planned best.
AFTER_THE_DRAIN = sql.SQL("SET CONSTRAINTS ALL IMMEDIATE; " + ANY_PLAN)


@dataclass(frozen=True)
class Exchange:
    """What differs between cutover and revert: the statements, the phase they lead to, the direction after them."""

    kind: str
    statements: tuple[Statement, ...]
    before: Phase
    after: Phase
    next_direction: Direction


def cutover_exchange(plan: Plan) -> Exchange:
    return Exchange("cutover", tuple(exchange(plan)), Phase.SYNCING, Phase.CUT_OVER, Direction.REVERSE)


def revert_exchange(plan: Plan) -> Exchange:
    return Exchange("revert", tuple(undo_all(exchange(plan))), Phase.CUT_OVER, Phase.SYNCING, Direction.FORWARD)


def table_no_and_generation(journal: Journal, run: Run) -> tuple[int, int]:
    """The change table in use, and the number of the exchange that is about to be made."""
    return journal.capture.table_no(run.id), journal.capture.generation(run.plan.tag) + 1


@dataclass(frozen=True)
class Ready:
    """`script`: the text of every statement, two hundred references are 400 kB of it, and then what records the structure
    that they leave. `structure`: as it was recorded last, and as STRUCTURE must find it."""

    what: Exchange
    locks: tuple[Query, ...]
    script: bytes
    structure: tuple[tuple[str, str], ...]


def ready(conn: Connection, journal: Journal, run: Run, what: Exchange) -> Ready:
    """STRUCTURE and RECORD are planned here: that is half of what they take. By indexes, or their time would grow with the
    catalog (12,000 relations: 7 ms each, against 2). And the catalog has been read into the session's caches once."""
    closing = closing_statements(run.plan, what.next_direction, *table_no_and_generation(journal, run))
    steps = [AFTER_THE_DRAIN, script([*what.statements, *closing]), sql.SQL(RECORD), plan_again(run.plan).sql]
    prepare = sql.SQL("{}; DEALLOCATE ALL; PREPARE swap_structure AS {}; PREPARE swap_record AS {}")
    with conn.transaction():
        conn.execute(prepare.format(sql.SQL(NESTED_LOOPS), structure_now(run.plan), record_structure(run.plan, run.id)))
        conn.execute(STRUCTURE)
        conn.execute("EXPLAIN " + RECORD)
    locks = tuple(lock_statements(run.plan, what.kind))
    return Ready(what, locks, sql.SQL(";\n").join(steps).as_bytes(conn), tuple(journal.baseline(run.id) or ()))
