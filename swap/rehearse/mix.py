"""The built-in mix of statements, made from the catalog for the shape that the tables have now.

Of the source and of each table that refers to it: reads by key and by reference, inserts of rows that are copies of others with a
marker in them, the child with its parent, updates and deletes of these rows by key. The marker is a text that no other row has, so
a ledger can ask for it whatever the keys are by then. A table whose rows cannot be made up (a unique integer, a check) is only read;
the report names it with the server's error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql
from swap.plan.model import Plan

SAMPLES = 200


class Column(NamedTuple):
    """A row of mix.sql."""

    schema: str
    table: str
    name: str
    type: str
    is_text: bool
    by_itself: bool
    generated: bool
    in_unique: bool
    is_key: bool
    in_foreign_key: bool


@dataclass(frozen=True)
class TableMix:
    """One table. `reference`: its column that holds a key of the source, and `other`: the same reference in the other type, which
    the guards fill. `marker`: the text column that holds the marker. `keys`: of some rows, as text."""

    table: TableName
    columns: tuple[Column, ...]
    reference: str | None
    others: frozenset[str]
    keys: tuple[str, ...]

    @property
    def key(self) -> Column | None:
        return next((c for c in self.columns if c.is_key), None)

    @property
    def marker(self) -> Column | None:
        texts = [c for c in self.columns if c.is_text and not c.generated and not c.in_foreign_key and c.name not in self.others]
        return next((c for c in texts if c.in_unique), texts[0] if texts else None)

    @property
    def read(self) -> sql.Composed:
        assert self.key is not None
        return sql.SQL("SELECT * FROM {} WHERE {} = {}").format(self.table.sql, sql.Identifier(self.key.name), _key(self.key))

    @property
    def update(self) -> sql.Composed:
        assert self.key is not None
        assert self.marker is not None
        return sql.SQL("UPDATE {} SET {} = %(marker)s WHERE {} = {}").format(
            self.table.sql, sql.Identifier(self.marker.name), sql.Identifier(self.key.name), _key(self.key)
        )

    @property
    def delete(self) -> sql.Composed:
        assert self.key is not None
        return sql.SQL("DELETE FROM {} WHERE {} = {}").format(self.table.sql, sql.Identifier(self.key.name), _key(self.key))

    @property
    def insert(self) -> sql.Composed:
        """A copy of the row `like`, with the marker in every text of a unique index, and with `parent` as its reference."""
        assert self.key is not None
        assert self.marker is not None
        names: list[sql.Composable] = []
        values: list[sql.Composable] = []
        for c in self.columns:
            marked = c == self.marker or (c.is_text and c.in_unique)  # a default of a unique text holds for one row
            if c.generated or (c.by_itself and c.in_unique and not marked) or c.is_key or c.name in self.others:
                continue
            names.append(sql.Identifier(c.name))
            if marked:
                values.append(sql.SQL("%(marker)s"))
            elif c.name == self.reference:
                values.append(sql.SQL("%(parent)s::{}").format(sql.SQL(c.type)))
            else:
                values.append(sql.Identifier(c.name))
        return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} = {} RETURNING {}::text").format(
            self.table.sql, sql.SQL(", ").join(names), sql.SQL(", ").join(values), self.table.sql, sql.Identifier(self.key.name),
            sql.SQL("%(like)s::{}").format(sql.SQL(self.key.type)), sql.Identifier(self.key.name),
        )  # fmt: skip

    def by_reference(self, source: TableMix) -> sql.Composed:
        assert self.reference is not None
        assert source.key is not None
        return sql.SQL("SELECT count(*) FROM {} WHERE {} = {}").format(
            self.table.sql, sql.Identifier(self.reference), _key(source.key)
        )

    def marked(self) -> sql.Composed:
        """Every row with a marker of this load: its key and its marker."""
        assert self.key is not None
        assert self.marker is not None
        return sql.SQL("SELECT {}::text, {} FROM {} WHERE {} LIKE %(like)s").format(
            sql.Identifier(self.key.name), sql.Identifier(self.marker.name), self.table.sql, sql.Identifier(self.marker.name)
        )

    def parents(self, source: TableMix) -> sql.Composed:
        """The marker of each such row, and that of the row of the source that it refers to."""
        assert self.marker is not None
        assert source.marker is not None
        assert source.key is not None
        return sql.SQL("SELECT c.{}, p.{} FROM {} c LEFT JOIN {} p ON p.{} = c.{} WHERE c.{} LIKE %(like)s").format(
            *map(sql.Identifier, (self.marker.name, source.marker.name)), self.table.sql, source.table.sql,
            *map(sql.Identifier, (source.key.name, self.reference or "", self.marker.name)),
        )  # fmt: skip


def _key(key: Column) -> sql.Composed:
    return sql.SQL("%(key)s::{}").format(sql.SQL(key.type))


@dataclass(frozen=True)
class Mix:
    """The source's and the others'. `source` has a key of one column in every shape."""

    source: TableMix
    children: tuple[TableMix, ...]

    @property
    def tables(self) -> tuple[TableMix, ...]:
        return (self.source, *self.children)

    def of(self, table: TableName) -> TableMix:
        return next(t for t in self.tables if t.table == table)


def read_mix(conn: Connection, plan: Plan) -> Mix:
    """The mix for the tables as they are now. Takes ACCESS SHARE. Raises psycopg's errors."""
    names = list(dict.fromkeys([plan.source, *(r.table for r in plan.all_references if not r.own and r.where is None)]))
    params = {"schemas": [n.schema for n in names], "tables": [n.name for n in names]}
    by_table: dict[TableName, list[Column]] = {n: [] for n in names}
    for c in fetch(conn, Column, load_sql("swap.rehearse", "mix.sql"), params):
        by_table[TableName(c.schema, c.table)].append(c)
    made = [_table(conn, plan, name, tuple(columns)) for name, columns in by_table.items() if columns]
    return Mix(made[0], tuple(t for t in made[1:] if t.reference))


def _table(conn: Connection, plan: Plan, name: TableName, columns: tuple[Column, ...]) -> TableMix:
    refs = [r for r in plan.all_references if r.table == name and not r.own]
    names = {c.name for c in columns}
    pairs = [(r.column, {r.uuid_column, r.legacy_column}) for r in refs if not (r.companion or r.text)]
    others = {other for _, both in pairs for other in both}
    # A column with keys of several types is copied like any other.
    others |= {n for r in refs if r.companion or r.text for n in (r.uuid_column, r.legacy_column) if n != r.column}
    if name == plan.source:
        others |= {plan.identity, plan.legacy_key}
        others |= {n for r in plan.own_references for n in (r.uuid_column, r.legacy_column)}
    reference = next((column for column, _ in pairs if column in names), None)
    made = TableMix(name, columns, reference, frozenset(others), ())
    return TableMix(name, columns, reference, frozenset(others), _samples(conn, made)) if made.key else made


def _samples(conn: Connection, t: TableMix) -> tuple[str, ...]:
    assert t.key is not None
    query = sql.SQL("SELECT {}::text FROM {} LIMIT {}").format(sql.Identifier(t.key.name), t.table.sql, sql.Literal(SAMPLES))
    return tuple(str(row[0]) for row in conn.execute(query))


def writable(conn: Connection, mix: Mix) -> tuple[set[TableName], dict[TableName, str]]:
    """The tables whose rows can be made up, and why the others' cannot. Each is tried twice, as what is unique shows at the second
    row, under the rows of the source that were just made up, and rolled back."""
    able: set[TableName] = set()
    why: dict[TableName, str] = {}
    with conn.transaction(force_rollback=True):
        parents = list(mix.source.keys[:2])
        for t in mix.tables:
            if t.key is None or t.marker is None:
                why[t.table] = "it has no key of one column" if t.key is None else "it has no text column for a marker"
            elif not t.keys or not parents:
                why[t.table] = "it shows this role no row"
            else:
                try:
                    with conn.transaction():
                        made = [_probe(conn, t, number, parents[number % len(parents)]) for number in (0, 1)]
                    able.add(t.table)
                    parents = made if t is mix.source else parents
                except psycopg.Error as e:
                    why[t.table] = e.diag.message_primary or str(e)
    return able, why


def _probe(conn: Connection, t: TableMix, number: int, parent: str) -> str:
    row = conn.execute(t.insert, {"marker": marker("probe", 0, number, 0), "like": t.keys[0], "parent": parent}).fetchone()
    if row is None:
        raise psycopg.errors.SerializationFailure
    return str(row[0])


def marker(tag: str, worker: int, number: int, version: int) -> str:
    """Looks like an address of mail, which is what a unique text most often is."""
    return f"swap-{tag}-{worker}-{number}-{version}@rehearsal.invalid"


def mine(tag: str) -> str:
    """The pattern of every marker of a load."""
    return f"swap-{tag}-%@rehearsal.invalid"


def texts(mix: Mix, able: Iterable[TableName]) -> list[str]:
    """The statements of the mix, for the report."""
    out = []
    for t in mix.tables:
        if t.key:
            out.append(t.read.as_string(None))
        if t.reference:
            out.append(t.by_reference(mix.source).as_string(None))
        if t.table in able:
            out += [s.as_string(None) for s in (t.insert, t.update, t.delete)]
    return out
