"""Definitions over other columns, printed by the server itself.

An index binds its columns by number. So make an empty temporary table, build the index on it by its own text, rename the table's
columns, and ask the server for the text. Expressions, predicates, operator classes and INCLUDE columns are right then, and this tool
parses no SQL. An expression that cannot hold a uuid fails here (H25).

Every scratch table is in a transaction of its own, which is rolled back. It locks no object of the application.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.catalog.load import load_indexes
from swap.catalog.meaning import Meanings
from swap.catalog.model import Index, Statistics
from swap.catalog.parts import Column, Trigger
from swap.catalog.query import PACKAGE
from swap.core.connection import Connection, judged
from swap.core.rows import fetch
from swap.core.sql_text import Query, load_sql, under_path, verbatim

DEFERRABLE = re.compile(r"^(?:NOT DEFERRABLE|DEFERRABLE)(?: INITIALLY (?:DEFERRED|IMMEDIATE))? ")
SCRATCH = sql.Identifier("pg_temp", "swap_trial")


class ScratchColumn(NamedTuple):
    """A column of a scratch table. `collation`: as the server prints it, or empty for the type's default."""

    name: str
    type: str
    collation: str = ""


def like(column: Column) -> ScratchColumn:
    """A scratch column like a column of a table."""
    return ScratchColumn(column.name, column.type, column.collation or "")


class CannotBuildError(Exception):
    """The server refuses a definition over these columns. The message is the server's."""


@contextmanager
def scratch_table(conn: Connection, columns: Iterable[ScratchColumn]) -> Iterator[ScratchTable]:
    """An empty temporary table with these columns during the block; it is rolled back at the end. Needs TEMPORARY on the database."""
    parts = [
        sql.SQL("{} ").format(sql.Identifier(c.name)) + verbatim(c.type + (f" COLLATE {c.collation}" if c.collation else ""))
        for c in columns
    ]
    with conn.transaction(force_rollback=True):
        conn.execute(sql.SQL("CREATE TEMPORARY TABLE swap_trial ({}) ON COMMIT DROP").format(sql.SQL(", ").join(parts)))
        yield ScratchTable(conn)


class _Printed(NamedTuple):
    oid: int
    statistics: str | None
    condition: str | None
    condition_columns: tuple[str, ...]


@dataclass
class ScratchTable:
    """A scratch table with at most one index, one statistics object and one condition."""

    conn: Connection

    def add_index(self, definition: str, *, unique: bool, as_constraint: bool = False, path: Sequence[str] = ()) -> None:
        """Build the index by its text from USING on, or by its constraint's text. `path`: as of a statement. Raises
        CannotBuildError."""
        if as_constraint:
            create = sql.SQL("ALTER TABLE {} ADD CONSTRAINT swap_trial_index ").format(SCRATCH)
        else:
            create = sql.SQL("CREATE {}INDEX swap_trial_index ON {} ").format(sql.SQL("UNIQUE " if unique else ""), SCRATCH)
        self._build(create + verbatim(definition), path)

    def make_constraint(self, *, primary: bool) -> None:
        """Make the index that of a primary key or a unique constraint."""
        kind = verbatim("PRIMARY KEY" if primary else "UNIQUE")
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT swap_trial_index {} USING INDEX swap_trial_index")
        self.conn.execute(add.format(SCRATCH, kind))

    def add_statistics(self, statistics: Statistics) -> None:
        """Create the statistics object by its own text. Raises CannotBuildError."""
        kinds = f" ({', '.join(statistics.kinds)})" if statistics.kinds else ""
        name = "pg_temp.swap_trial_statistics"
        create = verbatim(f"CREATE STATISTICS {name}{kinds} ON {statistics.body} FROM pg_temp.swap_trial")
        self._build(create, statistics.meaning.path)

    def add_check(self, condition: str, path: Sequence[str] = ()) -> None:
        """Add the condition as a CHECK constraint. `path`: as of a statement. Raises CannotBuildError."""
        add = sql.SQL("ALTER TABLE pg_temp.swap_trial ADD CONSTRAINT swap_trial_check CHECK ({})")
        self._build(add.format(verbatim(condition)), path)

    def add_immutable(self, condition: str, path: Sequence[str] = ()) -> None:
        """Raises CannotBuildError where the condition depends on more than the row. The server allows no such condition in an index."""
        self.add_index(f"USING btree ((true)) WHERE ({condition})", unique=False, path=path)

    def add_trigger(self, trigger: Trigger) -> None:
        """Create a trigger with the same WHEN and events, over a function of swap's own: nothing else of it depends on the columns.
        Raises CannotBuildError."""
        function = "CREATE FUNCTION pg_temp.swap_trial_fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        self.conn.execute(verbatim(function))
        tail = trigger.tail[: trigger.tail.rindex(" EXECUTE ")]
        tail = DEFERRABLE.sub("", tail)
        head = trigger.head.replace("CREATE CONSTRAINT TRIGGER", "CREATE TRIGGER", 1)
        text = verbatim(f"{head}ON pg_temp.swap_trial {tail} EXECUTE FUNCTION pg_temp.swap_trial_fires()")
        self._build(text, trigger.meaning.path)

    def rename(self, column: str, to: str) -> None:
        """Give a column the name under which definitions are printed."""
        rename = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
        self.conn.execute(rename.format(SCRATCH, sql.Identifier(column), sql.Identifier(to)))

    @property
    def index(self) -> Index:
        """The index as the server prints it now."""
        oid = self._printed().oid
        (made,) = load_indexes(self.conn, [oid])[oid]
        return made

    @property
    def statistics(self) -> str:
        """The list of the statistics object as the server prints it now."""
        statistics = self._printed().statistics
        assert statistics is not None
        return statistics

    @property
    def check(self) -> PrintedCondition:
        """The condition as the server prints it, and the columns that it uses."""
        printed = self._printed()
        assert printed.condition is not None
        meaning = Meanings(self.conn, [printed.oid]).of(printed.oid, "check", "swap_trial_check")
        return PrintedCondition(printed.condition, frozenset(printed.condition_columns), meaning.path)

    def _printed(self) -> _Printed:
        (printed,) = fetch(self.conn, _Printed, load_sql(PACKAGE, "scratch.sql"))
        return printed

    def _build(self, statement: Query, path: Sequence[str] = ()) -> None:
        try:
            with self.conn.transaction():
                for message in under_path(statement, path):
                    self.conn.execute(message)
        except psycopg.Error as e:
            if not judged(e):
                raise
            raise CannotBuildError(e.diag.message_primary or str(e)) from None


class PrintedCondition(NamedTuple):
    """A condition as the server prints it, the columns that it uses, and the schemas of operators that the text cannot name."""

    text: str
    columns: frozenset[str]
    path: tuple[str, ...]
