"""The two exchanges as data, and the part of an attempt that is made before it asks for its locks: the text of its
statements, and the structure that it must find.

Made once for all attempts. The command holds `operator` and `worker`, so no other session records a structure, moves the
writers to the other change table or makes an exchange meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from swap.core.planner_settings import ANY_PLAN, NESTED_LOOPS
from swap.core.sql_text import Query
from swap.core.statement import Statement, script, undo_all
from swap.ddl.exchange import closing_statements, exchange, lock_statements, opening_statements, steady_partitions
from swap.ddl.functions import plan_again
from swap.ddl.made_again import EVENT_TRIGGERS
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.prepare.drift import locked_structure, of_partitions, partitions_structure, record_structure
from swap.state.journal import Phase
from swap.state.migration import Migration

STRUCTURE, PARTITIONS, RECORD = "EXECUTE swap_structure", "EXECUTE swap_partitions", "EXECUTE swap_record"
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
    return Exchange(
        kind="cutover", statements=tuple(exchange(plan)), before=Phase.SYNCING, after=Phase.CUT_OVER,
        next_direction=Direction.REVERSE,
    )  # fmt: skip


def revert_exchange(plan: Plan) -> Exchange:
    return Exchange(
        kind="revert", statements=tuple(undo_all(exchange(plan))), before=Phase.CUT_OVER, after=Phase.SYNCING,
        next_direction=Direction.FORWARD,
    )  # fmt: skip


@dataclass(frozen=True)
class PreparedExchange:
    """`script`: the text of every statement, two hundred references are 400 kB of it, and then what records the structure
    that they leave. `structure`: as it was recorded last, and as STRUCTURE must find it; `partitions`: so for PARTITIONS, under the
    lock `steady`, where the source is partitioned. `watched`: event triggers are enabled. `exact`: so are reads across it."""

    exchange: Exchange
    steady: Query | None
    locks: tuple[Query, ...]
    script: bytes
    structure: frozenset[tuple[str, str]]
    partitions: frozenset[tuple[str, str]]
    watched: bool
    exact: bool


def prepare_exchange(migration: Migration, exchange: Exchange, *, exact: bool) -> PreparedExchange:
    """Make the text, and plan STRUCTURE and RECORD here: that is half of what they take. Plan them by indexes, or their time
    would grow with the catalog (12,000 relations: 7 ms each, against 2). It also reads the catalog into the session's
    caches once. Make the functions that no trigger calls before the exchange."""
    conn, plan, run_id = migration.conn, migration.plan, migration.run.id
    table_no, generation = migration.journal.capture.after_exchange(run_id, plan.tag)
    opening = opening_statements(plan, exchange.next_direction, table_no, generation)
    closing = closing_statements(plan, exchange.next_direction, table_no, generation)
    steps = [AFTER_THE_DRAIN, script([*exchange.statements, *closing]), sql.SQL(RECORD), plan_again(plan).sql]
    prepare = sql.SQL(
        "{}; DEALLOCATE ALL; PREPARE swap_structure AS {}; PREPARE swap_partitions AS {}; PREPARE swap_record AS {}"
    )
    with conn.transaction():  # of its own: it changes so much that the server would forget the plans made in it
        conn.execute(script(opening))
        migration.journal.event(run_id, exchange.kind, "its functions are made")
    with conn.transaction():
        structures = locked_structure(plan), partitions_structure(plan), record_structure(plan, run_id, locked=True)
        conn.execute(prepare.format(sql.SQL(NESTED_LOOPS), *structures))
        conn.execute(STRUCTURE)
        conn.execute("EXPLAIN " + RECORD)
    lines = frozenset(migration.journal.baseline(run_id) or ())
    partitions = frozenset(of_partitions(plan, lines))
    return PreparedExchange(
        exchange=exchange,
        steady=steady_partitions(plan, exchange.kind),
        locks=tuple(lock_statements(plan, exchange.kind)),
        script=sql.SQL(";\n").join(steps).as_bytes(conn),
        structure=lines - partitions,
        partitions=partitions,
        watched=bool(conn.execute(EVENT_TRIGGERS).fetchall()),
        exact=exact,
    )
