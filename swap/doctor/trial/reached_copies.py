"""Copies of what the function of a trigger reaches: tables with up to 100 rows, sequences, and the functions over all of these.

So the function writes no row of the application's, waits for no lock of its, and takes no number of its sequences. Each table is
read, under ACCESS SHARE, until the firing is rolled back.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from psycopg import errors, sql

from swap.core.connection import Connection
from swap.core.names import TableName, quote
from swap.core.rows import fetch_rows
from swap.core.sql_text import Query, load_sql, verbatim
from swap.doctor.trial.reach import Reach, Reached
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.written import written_columns

ROWS = 100
OF_TABLE = re.compile(r"\bTG_TABLE_SCHEMA\b", re.IGNORECASE)


@dataclass(frozen=True)
class Copies:
    """Makes copies in the schemas of `remap`, and in new ones whose names begin with `prefix`. `own`: schemas of which nothing is copied."""

    conn: Connection
    remap: SchemaRemap
    prefix: str
    own: tuple[str, ...]

    def make(self, reach: Reach, schema: str) -> SchemaRemap:
        """Where everything is then. `schema`: that of the trigger's table, which a body may ask for."""
        schemas = {t.schema: s for t, s in self.remap.schemas.items()}
        reached = ({f.qualified for f in reach.functions} | {r.qualified for r in reach.relations}) - self.remap.schemas.keys()
        theirs = {t for t in reached if t.schema not in self.own}
        for n, other in enumerate(sorted({t.schema for t in theirs} - schemas.keys())):
            schemas[other] = f"{self.prefix}_{n}"
            self.conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schemas[other])))
        remap = SchemaRemap({**self.remap.schemas, **{t: schemas[t.schema] for t in theirs}})
        for r in reach.relations:
            if r.qualified in theirs and r.kind == "S":
                self._copy_sequence(r.qualified, remap.name(r.qualified))
            elif r.qualified in theirs:
                self._copy_table(r.qualified, remap.name(r.qualified))
        for f in reach.functions:
            if f.qualified in theirs:
                self.conn.execute(verbatim(_moved(f, remap, schema)))
        return remap

    def _copy_sequence(self, name: TableName, copy: TableName) -> None:
        """It goes on behind the original's numbers, which the copied rows have. The view pg_sequences would lock the original, as
        nextval() does, until the trial ends; reading it takes ACCESS SHARE, which the firing's rollback ends."""
        start = 1
        with suppress(errors.InsufficientPrivilege, errors.LockNotAvailable), self.conn.transaction():
            row = self.conn.execute(sql.SQL("SELECT last_value FROM {}").format(name.sql)).fetchone()
            start = min(max(row[0], 0), 2**62) + 1 if row else 1
        self.conn.execute(sql.SQL("CREATE SEQUENCE {} START {}").format(copy.sql, sql.Literal(start)))

    def _copy_table(self, name: TableName, copy: TableName) -> None:
        self.conn.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copy.sql, name.sql))
        self.loosen([copy.schema])
        columns = sql.SQL(", ").join(sql.Identifier(r["name"]) for r in written_columns(self.conn, copy))
        rows = sql.SQL("INSERT INTO {0} ({2}) OVERRIDING SYSTEM VALUE SELECT {2} FROM {1} LIMIT {3}")
        self._copy_rows(rows.format(copy.sql, name.sql, columns, sql.Literal(ROWS)))

    def _copy_rows(self, insert: Query) -> None:
        """Rows that this role may not read, or not in time, are not there."""
        unread = (errors.QueryCanceled, errors.LockNotAvailable, errors.InsufficientPrivilege, errors.SyntaxError)  # no column
        with suppress(*unread), self.conn.transaction():
            self.conn.execute(insert)

    def loosen(self, schemas: list[str]) -> None:
        """Defaults of the tables in `schemas` take no number of the application's sequences and call no function of its; there is no
        foreign key."""
        numbers = sql.Identifier(self.prefix, "numbers")
        for r in fetch_rows(self.conn, load_sql("swap.doctor.trial", "bound_defaults.sql"), {"schemas": schemas}):
            at = sql.SQL("ALTER TABLE {} ALTER COLUMN {}").format(
                sql.Identifier(r["schema"], r["table"]), sql.Identifier(r["column"])
            )
            if r["is_sequence"]:
                self.conn.execute(sql.SQL("CREATE SEQUENCE IF NOT EXISTS {} START 30000").format(numbers))  # a smallint, too
                value = sql.SQL("nextval({}::regclass)").format(sql.Literal(numbers.as_string(None)))
                self.conn.execute(sql.SQL("{} SET DEFAULT {}").format(at, value))
            else:
                self.conn.execute(sql.SQL("{} DROP DEFAULT").format(at))
        for r in fetch_rows(self.conn, load_sql("swap.doctor.trial", "own_foreign_keys.sql"), {"schemas": schemas}):
            drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
            self.conn.execute(drop.format(sql.Identifier(r["schema"], r["table"]), sql.Identifier(r["name"])))


def path_over(path: str, remap: SchemaRemap) -> str:
    """The search_path over the copies: where they are is looked at before where the application's are."""
    moved = {quote(t.schema): s for t, s in remap.schemas.items()}
    return ", ".join(f"{moved[p]}, {p}" if p in moved else p for p in (x.strip() for x in path.split(",")))


def _moved(f: Reached, remap: SchemaRemap, schema: str) -> str:
    """Its definition in the trial's schema, over the copies. A path of its own has them too. The table's schema is that of the original:
    a body may do something for one schema alone."""
    constant = sql.SQL("({}::pg_catalog.name)").format(sql.Literal(schema)).as_string(None)
    text = OF_TABLE.sub(lambda _: constant, remap.text(f.definition))
    if f.path is None:
        return text
    lines = text.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith(" SET search_path TO "))
    lines[at] = f" SET search_path TO {path_over(f.path, remap)}\n"
    return "".join(lines)
