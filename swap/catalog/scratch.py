"""Definitions that the server itself prints over other columns.

An index binds its columns by number. So: make an empty temporary table, build the index on it by its own text, rename
the table's columns, and ask the server for the text. Expressions, predicates, operator classes and INCLUDE columns come
out right without this tool parsing any SQL, and an expression that cannot hold a uuid fails here (H25).

Every scratch table is in a transaction of its own that is rolled back. It locks nothing of the application's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.catalog.load import load_indexes
from swap.catalog.model import Index, Statistics
from swap.catalog.parts import Column
from swap.core.connection import Connection, judged
from swap.core.sql_text import verbatim

SCRATCH = sql.Identifier("pg_temp", "swap_trial")


class ScratchColumn(NamedTuple):
    """A column of a scratch table. `collation`: as the server prints it, or empty."""

    name: str
    type: str
    collation: str = ""


def like(column: Column) -> ScratchColumn:
    """The column of a table, for a scratch table."""
    return ScratchColumn(column.name, column.type, column.collation or "")


class CannotBuildError(Exception):
    """The server refuses the definition over these columns; the message is the server's."""


@contextmanager
def scratch_table(conn: Connection, columns: Iterable[ScratchColumn]) -> Iterator[ScratchTable]:
    """An empty temporary table with these columns, rolled back at the end."""
    parts = [
        sql.SQL("{} ").format(sql.Identifier(c.name)) + verbatim(c.type + (f" COLLATE {c.collation}" if c.collation else ""))
        for c in columns
    ]
    with conn.transaction(force_rollback=True):
        conn.execute(sql.SQL("CREATE TEMPORARY TABLE swap_trial ({}) ON COMMIT DROP").format(sql.SQL(", ").join(parts)))
        yield ScratchTable(conn)


@dataclass
class ScratchTable:
    conn: Connection

    def add_index(self, definition: str, *, unique: bool, as_constraint: bool = False) -> None:
        """The one index, by its text from USING on, or by its constraint's text. Raises CannotBuildError."""
        if as_constraint:
            create = sql.SQL("ALTER TABLE {} ADD CONSTRAINT swap_trial_index ").format(SCRATCH)
        else:
            create = sql.SQL("CREATE {}INDEX swap_trial_index ON {} ").format(sql.SQL("UNIQUE " if unique else ""), SCRATCH)
        self._build(create + verbatim(definition))

    def make_constraint(self, *, primary: bool) -> None:
        """The index becomes that of a primary key or a unique constraint."""
        kind = verbatim("PRIMARY KEY" if primary else "UNIQUE")
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT swap_trial_index {} USING INDEX swap_trial_index")
        self.conn.execute(add.format(SCRATCH, kind))

    def add_statistics(self, statistics: Statistics) -> None:
        """The one statistics object, by its own text. Raises CannotBuildError."""
        kinds = f" ({', '.join(statistics.kinds)})" if statistics.kinds else ""
        name = "pg_temp.swap_trial_statistics"
        self._build(verbatim(f"CREATE STATISTICS {name}{kinds} ON {statistics.body} FROM pg_temp.swap_trial"))

    def add_check(self, condition: str) -> None:
        """The one condition, as a CHECK constraint. Raises CannotBuildError."""
        add = sql.SQL("ALTER TABLE pg_temp.swap_trial ADD CONSTRAINT swap_trial_check CHECK ({})")
        self._build(add.format(verbatim(condition)))

    def rename(self, column: str, to: str) -> None:
        """The column gets the name under which definitions are to be printed."""
        rename = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
        self.conn.execute(rename.format(SCRATCH, sql.Identifier(column), sql.Identifier(to)))

    @property
    def index(self) -> Index:
        """The index as the server prints it now."""
        row = self.conn.execute("SELECT 'pg_temp.swap_trial'::regclass::oid::bigint").fetchone()
        assert row is not None
        (made,) = load_indexes(self.conn, [row[0]])[row[0]]
        return made

    @property
    def statistics(self) -> str:
        """The list of the statistics object as the server prints it now."""
        row = self.conn.execute(
            "SELECT pg_get_statisticsobjdef_columns(oid) FROM pg_statistic_ext WHERE stxrelid = 'pg_temp.swap_trial'::regclass"
        ).fetchone()
        assert row is not None
        return str(row[0])

    @property
    def check(self) -> PrintedCondition:
        """The condition as the server prints it, and the columns that it uses."""
        row = self.conn.execute(
            "SELECT pg_get_expr(k.conbin, k.conrelid), ARRAY(SELECT a.attname::text FROM pg_attribute a"
            " WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))"
            " FROM pg_constraint k WHERE k.conrelid = 'pg_temp.swap_trial'::regclass AND k.conname = 'swap_trial_check'"
        ).fetchone()
        assert row is not None
        return PrintedCondition(row[0], frozenset(row[1]))

    def _build(self, statement: sql.SQL | sql.Composed) -> None:
        try:
            with self.conn.transaction():
                self.conn.execute(statement)
        except psycopg.Error as e:
            if not judged(e):
                raise
            raise CannotBuildError(e.diag.message_primary or str(e)) from None


class PrintedCondition(NamedTuple):
    text: str
    columns: frozenset[str]
