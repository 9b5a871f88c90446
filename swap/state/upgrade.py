"""The version of the state layout, and how a newer `swap` takes over the state that an older one made.

The comment of the state schema holds the version. Each step leads from one version to the next, in one transaction: its
statements, every run's plan, and the new comment. So a kill between two steps leaves a layout that is known.

An upgrade runs while no other command works on a run of the schema, and keeps the table `run` from all others meanwhile: a second
command of this version waits there, and finds nothing left to do. A process of the older version could not go on with the new
layout, so it is refused by name, not waited for.

`status` and `doctor` do not write, as they also work on a standby. They read an older layout as it is, and pass each plan
through `current_plan`. So a step may add tables and columns, but these two commands must do without them until it has run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import TableName, quote
from swap.core.rows import fetch
from swap.core.sql_text import Query, load_sql, verbatim
from swap.state.lock_rows import Holder, alone_with, create_lock_table, find_holder
from swap.state.locks import OPERATOR, WAITING, WORKER, at_work
from swap.state.plan_versions import Document, to_3, to_6
from swap.state.rights import bare_state, owners_only
from swap.state.store import Store
from swap.state.tables import ENDED, SINCE, create_table, tables
from swap.state.trust import refuse_untrusted

MARK = "pg-uuid-swap state"
COMMENT = re.compile(rf"{MARK}, version (\d+)")
FIRST = 2  # no state of version 1 is left anywhere
LEGACY_LOCKS = (0x73776170, 0x73776172)  # `worker` and `operator`, before version 5


@dataclass(frozen=True)
class UpgradeStep:
    """`statements(schema)`: DDL and UPDATEs on the state schema. `plan_document`: a run's plan as JSON, from the version
    before to this one; it is pure and returns a new document."""

    to_version: int
    why: str
    statements: Callable[[str], list[Query]]
    plan_document: Callable[[Document], Document]


def no_statements(_schema: str) -> list[Query]:
    return []


def same_plan(plan: Document) -> Document:
    return plan


def swapped_tables(schema: str) -> list[Query]:
    """The tables of version 6: the place of each source's secret, and where the backfill of each table ends."""
    create = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})")
    secret = verbatim("tag bigint PRIMARY KEY, object oid NOT NULL")
    bound = verbatim("run_id bigint, part text, last bigint NOT NULL, PRIMARY KEY (run_id, part)")
    return [
        create.format(sql.Identifier(schema, "secret"), secret),
        create.format(sql.Identifier(schema, "bound"), bound),
        bare_state(schema),
    ]


def origin_table(schema: str) -> list[Query]:
    """The table of where the state was recorded. Its row is written when the layout is current (`Journal.upgrade`)."""
    return [create_table(tables(schema)["origin"]), bare_state(schema)]


def comparison_tables(schema: str) -> list[Query]:
    """The tables of the verification under way, in which there is none yet."""
    return [*(create_table(tables(schema)[name]) for name in ("comparison", "compared_range")), bare_state(schema)]


STEPS = (
    UpgradeStep(3, "the plan of an index has other fields", no_statements, to_3),
    UpgradeStep(4, "only its owner has a right on what is in it", owners_only, same_plan),
    UpgradeStep(5, "only its owner can take the locks", create_lock_table, same_plan),
    UpgradeStep(6, "a run has several swapped tables, and a mapping that outlives rows", swapped_tables, to_6),
    UpgradeStep(7, "it says on which server and in which database it was recorded", origin_table, same_plan),
    UpgradeStep(8, "an interrupted verification goes on", comparison_tables, same_plan),
)
VERSION = STEPS[-1].to_version


def steps_from(version: int) -> list[UpgradeStep]:
    """Those that a layout of `version` still needs, in order."""
    return [s for s in STEPS if s.to_version > version]


def current_plan(document: Document, version: int) -> Document:
    """The plan of a layout of `version`, as this version of swap reads it."""
    for step in steps_from(version):
        document = step.plan_document(document)
    return document


def comment_on(schema: str, version: int) -> sql.Composed:
    return sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(f"{MARK}, version {version}"))


def read_version(conn: Connection, schema: str, source: TableName | None = None) -> int | None:
    """The version of the layout; None where there is no such schema. Raises RefusedError when another role or program made
    the schema, or a newer version of swap. `source`: see `swap.state.trust`."""
    row = conn.execute("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
    if row is None:
        return None
    (comment,) = row
    if not (comment or "").startswith(MARK):
        raise RefusedError(
            f"The schema {quote(schema)} exists and was not made by this tool.",
            hint="Name another one with [names] state_schema, or rename that schema.",
        )
    refuse_untrusted(conn, schema, source)
    found = COMMENT.fullmatch(comment)
    version = int(found[1]) if found else 0
    if not FIRST <= version <= VERSION:
        raise RefusedError(
            f"The schema {quote(schema)} was made by another version of swap ({comment}).",
            hint=f"This swap reads versions {FIRST} to {VERSION} of the state. Run the swap that made it, or a newer one.",
        )
    return version


def upgrade(store: Store, finish: Callable[[], None]) -> list[UpgradeStep]:
    """Bring the layout up to date. Returns the steps that were run: none where it is current, or not there. `finish`: called in
    the transaction of the last step, when the layout is current.

    Raises RefusedError while another command works on a run of the schema, LockError when another session holds the journal.
    """
    done: list[UpgradeStep] = []
    while (version := read_version(store.conn, store.schema, store.source)) is not None and (steps := steps_from(version)):
        with alone_with(store.conn, TableName(store.schema, "run")):
            if read_version(store.conn, store.schema, store.source) != version:
                continue  # another session has run this step meanwhile
            _refuse_at_work(store, version)
            _run(store, steps[0])
            if steps[0] is STEPS[-1]:
                finish()
        done.append(steps[0])
    return done


def _refuse_at_work(store: Store, version: int) -> None:
    """Raises RefusedError while another command is at work. Until the transaction ends, none begins: of this version, or of the one
    that made this layout."""
    conn, schema = store.conn, store.schema
    if version >= SINCE["lock"]:
        conn.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(schema, "lock")))
        if (found := find_holder(conn, schema, None, WORKER, OPERATOR, WAITING)) is not None:
            raise at_work(found)
        return
    r = store.t["run"]
    under_way = sa.select(r.c.plan).where(r.c.phase.not_in([p.value for p in ENDED])).order_by(r.c.id)
    plans = store.rows(under_way, lambda plan: current_plan(plan, version))
    tags = sorted({int(plan["catalog"]["source"]["oid"]) for plan in plans})
    for tag in tags:
        for number in LEGACY_LOCKS:
            conn.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", [number, tag & 0x7FFFFFFF])
    params = {"classes": list(LEGACY_LOCKS), "tags": [tag & 0x7FFFFFFF for tag in tags], "schema": schema}
    if held := fetch(conn, Holder, load_sql("swap.state", "legacy_locks.sql"), params):
        raise at_work(held[0])


def _run(store: Store, step: UpgradeStep) -> None:
    for statement in step.statements(store.schema):
        store.conn.execute(statement)
    r = store.t["run"]
    plans = store.rows(sa.select(r.c.id.label("number"), r.c.plan), lambda number, plan: (int(number), plan))
    for number, plan in plans:
        store.execute(sa.update(r).where(r.c.id == number).values(plan=step.plan_document(plan)))
    store.conn.execute(comment_on(store.schema, step.to_version))
