"""The version of the state layout, and how a newer `swap` takes over the state that an older one made.

The comment of the state schema holds the version. Each step leads from one version to the next, in one transaction: its
statements, every run's plan, and the new comment. So a kill between two steps leaves a layout that is known.

An upgrade runs while no other command works on a run of the schema: it holds `operator` and `worker` of every run that has
not ended, and a lock of the whole schema, in which a second command of this version waits and finds nothing left to do.
A process of the older version could not go on with the new layout, so it is refused by name, not waited for.

`status` and `doctor` do not write, as they also work on a standby. They read an older layout as it is, and pass each plan
through `current_plan`. So a step may add tables and columns, but these two commands must do without them until it has run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg import sql

from swap.core.advisory_locks import only_operator, only_worker
from swap.core.connection import Connection
from swap.core.errors import RefusedError
from swap.core.names import TableName, quote
from swap.core.sql_text import Query, anonymous, load_sql
from swap.state.plan_versions import Document, to_3
from swap.state.store import Store
from swap.state.tables import ENDED, create_table, tables
from swap.state.trust import refuse_untrusted

MARK = "pg-uuid-swap state"
COMMENT = re.compile(rf"{MARK}, version (\d+)")
FIRST = 2  # no state of version 1 is left anywhere


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


def bare_state(schema: str) -> Query:
    """Take every right on what swap keeps in the schema from everyone but its owner. One statement, which asks the server."""
    return anonymous(load_sql("swap.state", "bare_state.sql").format(schema=sql.Literal(schema)))


def owners_only(schema: str) -> list[Query]:
    """The rights that are given since version 4, on what an older version created."""
    owners = load_sql("swap.state", "table_owners.sql").format(run=sql.Identifier(schema, "run"), schema=sql.Literal(schema))
    return [bare_state(schema), anonymous(owners)]


def origin_table(schema: str) -> list[Query]:
    """The table of where the state was recorded. Its row is written when the layout is current (`Journal.upgrade`)."""
    return [create_table(tables(schema)["origin"]), bare_state(schema)]


STEPS = (
    UpgradeStep(3, "the plan of an index has other fields", no_statements, to_3),
    UpgradeStep(4, "only its owner has a right on what is in it", owners_only, same_plan),
    UpgradeStep(5, "it says on which server and in which database it was recorded", origin_table, same_plan),
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

    Raises RefusedError while another command works on a run of the schema.
    """
    version = read_version(store.conn, store.schema, store.source)
    if version is None or not steps_from(version):
        return []
    with _locked(store):
        version = (
            read_version(store.conn, store.schema, store.source) or VERSION
        )  # another session may have upgraded it meanwhile
        steps = steps_from(version)
        with _alone(store, version):
            for step in steps:
                with store.conn.transaction():
                    _run(store, step)
                    if step is steps[-1]:
                        finish()
    return steps


def lock_schema(conn: Connection, schema: str) -> None:
    """Until the transaction ends, no other session makes the schema or upgrades it."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [schema])


@contextmanager
def _locked(store: Store) -> Iterator[None]:
    """The same, over several transactions."""
    store.conn.execute("SELECT pg_advisory_lock(hashtext(%s))", [store.schema])
    try:
        yield
    finally:
        if not store.conn.closed:
            store.conn.execute("SELECT pg_advisory_unlock(hashtext(%s))", [store.schema])


@contextmanager
def _alone(store: Store, version: int) -> Iterator[None]:
    """Holds `operator` and `worker` of every run that has not ended."""
    r = store.t["run"]
    under_way = sa.select(r.c.plan).where(r.c.phase.not_in([p.value for p in ENDED])).order_by(r.c.id)
    plans = store.rows(under_way, lambda plan: current_plan(plan, version))
    with ExitStack() as held:
        for tag in sorted({int(plan["catalog"]["source"]["oid"]) for plan in plans}):
            held.enter_context(only_operator(store.conn, tag))
            held.enter_context(only_worker(store.conn, tag))
        yield


def _run(store: Store, step: UpgradeStep) -> None:
    for statement in step.statements(store.schema):
        store.conn.execute(statement)
    r = store.t["run"]
    plans = store.rows(sa.select(r.c.id.label("number"), r.c.plan), lambda number, plan: (int(number), plan))
    for number, plan in plans:
        store.execute(sa.update(r).where(r.c.id == number).values(plan=step.plan_document(plan)))
    store.conn.execute(comment_on(store.schema, step.to_version))
