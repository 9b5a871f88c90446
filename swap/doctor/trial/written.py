"""The statements that write a sampled row into a copy, as the tables are or as they are after the exchange.

After it the uuid of a key is the md5 of the integer, so that the rows of several tables fit together.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from swap.catalog.model import Table
from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import Row, fetch_rows
from swap.core.sql_text import Query, load_sql
from swap.doctor.trial.remap import SchemaRemap
from swap.doctor.trial.sample import NUMBER, ROWS, Samples
from swap.plan.model import Plan


@dataclass(frozen=True)
class RowWriter:
    """Writes into the copies that `remap` names. `after`: they are as the exchange has left them."""

    conn: Connection
    plan: Plan
    remap: SchemaRemap
    samples: Samples
    after: bool

    def seed(self, table: Table, *, with_row: bool) -> None:
        """Write the rows that are there before: those of the source, and (`with_row`) the first of the table itself."""
        source = self.plan.source_table
        if table.oid != source.oid and source.name in self.samples.tables:
            once = sql.SQL("DISTINCT ON (r.{})").format(sql.Identifier(self.plan.key))  # a newest row may be referred to as well
            self.conn.execute(self._insert(source, once, sql.SQL("")))
        if with_row:
            self.conn.execute(self.statement(table, "INSERT"))

    def statement(self, table: Table, what: str) -> Query:
        """The INSERT of the first sampled row, the UPDATE of it, or its DELETE."""
        if what == "INSERT":
            return self._insert(table, sql.SQL(""), sql.SQL("WHERE r.{} = 1").format(sql.Identifier(NUMBER)))
        if what == "UPDATE":
            return self._update(table)
        return sql.SQL("DELETE FROM {}").format(self.remap.name(table.name).sql)

    def _insert(self, table: Table, once: Query, where: Query) -> Query:
        values = self._values(table)
        return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} {} FROM {} r {}").format(
            self.remap.name(table.name).sql, sql.SQL(", ").join(map(sql.Identifier, values)),
            once, sql.SQL(", ").join(values.values()), self.samples.tables[table.name].sql, where,
        )  # fmt: skip

    def _update(self, table: Table) -> Query:
        """Every column but the key gets the value of the second sampled row, or keeps its own where there is none."""
        key = set(table.primary_key.key_columns if table.primary_key else ())
        kept = key | ({self.plan.key, self.plan.legacy_key, self.plan.identity} if table.name == self.plan.source else set())
        kept |= {str(r["name"]) for r in self._columns(table) if r["always"]}
        values = {c: v for c, v in self._values(table).items() if c not in kept}
        values = values or {c: sql.Identifier("t", c) for c in sorted(key)}
        sets = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(c), v) for c, v in values.items())
        row = sql.SQL("(SELECT * FROM {0} WHERE {1} <= {2} ORDER BY {1} DESC LIMIT 1)").format(
            self.samples.tables[table.name].sql, sql.Identifier(NUMBER), sql.Literal(ROWS)
        )
        return sql.SQL("UPDATE {} t SET {} FROM {} r").format(self.remap.name(table.name).sql, sets, row)

    def _values(self, table: Table) -> dict[str, sql.Composable]:
        """The value of each column of the copy, out of the sample `r`. A column that the sample has not keeps its default."""
        values: dict[str, sql.Composable] = {c.name: sql.Identifier("r", c.name) for c in table.columns}
        for pair in self.plan.pairs_of(table.name) if self.after else ():
            integer = sql.Identifier("r", pair.integer)
            form = sql.SQL("pg_catalog.md5({}::text)::uuid::{}")
            values[pair.integer] = form.format(integer, sql.SQL("uuid" if pair.type == "uuid" else "text"))
            values[pair.legacy] = integer
        there = [str(r["name"]) for r in self._columns(table)]
        return {c: values[c] for c in there if c in values}

    def _columns(self, table: Table) -> list[Row]:
        return written_columns(self.conn, self.remap.name(table.name))


def written_columns(conn: Connection, table: TableName) -> list[Row]:
    """The columns that a statement may write: `name`, and `always` where an UPDATE may not."""
    return fetch_rows(conn, load_sql("swap.doctor.trial", "written_columns.sql"), {"table": table.sql.as_string(None)})
