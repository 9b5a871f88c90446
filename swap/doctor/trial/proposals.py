"""Texts that can be copied into the configuration: an object as it means today, over the columns of after the cutover.

A view is bound to columns by number. So the trial gives the columns of the new tables their old names again, creates the view by its
own text, and renames them forward: the server prints the text that goes on reading the integers. A function's body is text: there the
names are replaced, and the server says whether it parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from swap.core.connection import Connection
from swap.core.statement import Statement
from swap.core.toml_text import entry
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.savepoint import error_in_savepoint
from swap.plan.model import Plan


def view_over_integers(conn: Connection, moved: Plan, statement: Statement, remap: SchemaRemap) -> str:
    """The entry of [[view]] that keeps its meaning; empty where there is none. `moved`: the trial's plan, when everything of it has its
    name of after the cutover."""
    name = statement.table
    assert name is not None
    printed: list[str] = []

    def build() -> None:
        for rename in reversed(list(_renames(moved))):
            conn.execute(sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}").format(rename[0], rename[2], rename[1]))
        conn.execute(statement.whole)
        for rename in _renames(moved):
            conn.execute(sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}").format(*rename))
        row = conn.execute("SELECT pg_get_viewdef(%s::regclass)", [name.sql.as_string(conn)]).fetchone()
        assert row is not None
        printed.append(str(row[0]))

    def tried() -> None:
        with conn.transaction(force_rollback=True):
            build()

    if error_in_savepoint(conn, tried) is not None or not printed:
        return ""
    definition = re.sub(r"\s+", " ", remap.readable(printed[0])).strip().rstrip(";")
    return entry("view", name=str(remap.back(name)), definition=definition)


def _renames(moved: Plan) -> Iterator[tuple[sql.Composable, sql.Identifier, sql.Identifier]]:
    """Every rename of a column in the exchange: the table, before, after."""
    for t in moved.swapped:
        for r in moved.renames_of(t):
            yield t.name.sql, sql.Identifier(r.before), sql.Identifier(r.after)
    for ref in moved.references:
        if not ref.columns.companion:
            for r in ref.columns.pair.renames:
                yield ref.table.sql, sql.Identifier(r.before), sql.Identifier(r.after)


def body_over_integers(plan: Plan, definition: str) -> str:
    """A function's text with the names that the integers have after the cutover. Whether it is right, the server has to say."""
    for table in [plan.source, *(r.table for r in plan.all_references)]:
        if not re.search(rf"\b{re.escape(table.name)}\b", definition):
            continue
        for pair in plan.pairs_of(table):
            definition = re.sub(rf'(?<![\w"]){re.escape(pair.integer)}(?![\w"])', pair.legacy, definition)
    return definition
