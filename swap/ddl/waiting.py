"""Rows that wait: a reference of theirs names no row of the source in the snapshot that they were read in (invariant 3).

Where the maintained column may be NULL, the row is there with NULL. Where it may not, the maintained side does not hold the row
(`held`): a single row must not stop replay. In both cases the table of waiting rows has the row's key and the value that names
nobody, so the replay that brings the parent finds the row without reading the table with the reference. An entry that is there
though its row has its parent is harmless: the row is written once more.

After the cutover the table also has the rows whose integer, in the live table, is not the one that the uuid beside it has (its value
is LEGACY). A trigger fills that integer, and cannot see everything: a parent that another transaction brings, a uuid that moves.
Nothing relies on it while the uuid leads. A revert makes the integer lead, and the shadow has to have what leads: the exchange
queues these rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from swap.core.sql_text import verbatim
from swap.core.statement import Kind, Statement
from swap.ddl.change_tables import queue_rows, waiting_table
from swap.plan.direction import ColumnMapping, Direction, TableMapping, table_mappings
from swap.plan.model import Plan
from swap.plan.row_keys import COMMA, Key, among_target, origin_columns, target_columns
from swap.plan.unresolved import Uncertain, uncertain

LEGACY = "legacy"


def key_text(columns: Sequence[sql.Composable]) -> sql.Composed:
    """A key as the table of waiting rows has it."""
    return sql.SQL("ARRAY[{}]::text").format(COMMA.join(sql.SQL("{}::text").format(c) for c in columns))


def note_waiting(plan: Plan, d: TableMapping, where: sql.Composable) -> sql.Composed:
    """Note the captured rows `s` that fulfil `where` and have a reference that names nobody."""
    values = sql.SQL(", ").join(
        sql.SQL("({}::text, ({}) IS NULL, {})").format(
            sql.Identifier("s", u.mapped.origin), d.value(u.mapped), sql.Literal(u.required)
        )
        for u in uncertain(plan, d)
    )  # fmt: skip
    return sql.SQL(
        "INSERT INTO {} (number, key, value, held) SELECT {}, {}, v.value, bool_or(v.held) FROM {} s"
        " CROSS JOIN LATERAL (VALUES {}) v (value, missing, held) WHERE ({}) AND v.value IS NOT NULL AND v.missing"
        " GROUP BY 2, 3 ON CONFLICT (number, key, value) DO UPDATE SET held = EXCLUDED.held"
    ).format(
        waiting_table(plan).sql, sql.Literal(d.number), key_text(origin_columns(d, "s")), d.origin_rows, values, where
    )  # fmt: skip


def resolved(plan: Plan, d: TableMapping) -> sql.Composable:
    """AND the maintained side can hold the captured row `s`: no required reference names nobody."""
    return sql.SQL("").join(sql.SQL(" AND {}").format(_found(d, u)) for u in uncertain(plan, d) if u.required)


def _found(d: TableMapping, u: Uncertain) -> sql.Composed:
    return sql.SQL("({} IS NULL OR ({}) IS NOT NULL)").format(sql.Identifier("s", u.mapped.origin), d.value(u.mapped))


def may_wait(plan: Plan, d: TableMapping) -> bool:
    """Whether the table of waiting rows may have rows of this table in this direction."""
    return bool(uncertain(plan, d)) or (d.direction is Direction.REVERSE and bool(d.lookups))


@dataclass(frozen=True)
class Noting:
    """How one statement writes rows and notes those that wait. `columns`: expressions over the captured row `s`, for what is called
    v0, v1, … in `values` (the rows of a VALUES list: value, missing, held) and in `held`, which is true of a row that the
    maintained side cannot hold."""

    columns: tuple[sql.Composable, ...]
    values: sql.Composable
    held: sql.Composable


def noting(plan: Plan, d: TableMapping, written: Sequence[ColumnMapping]) -> Noting | None:
    """None where no row of the table can wait. `written`: the columns that are called c0, c1, …"""
    places = {m.target: sql.Identifier("v", f"c{n}") for n, m in enumerate(written)}
    unsure = {u.mapped.target: u.required for u in uncertain(plan, d)}
    looked_up = [m for m in d.lookups if m.target in unsure or m.beside]
    if not looked_up:
        return None
    columns, values, held = list[sql.Composable](), list[sql.Composable](), list[sql.Composable]()

    def given(column: str) -> sql.Composable:
        columns.append(sql.Identifier("s", column))
        return sql.Identifier("v", f"v{len(columns) - 1}")

    for m in looked_up:
        value, found = given(m.origin), places[m.target]
        if m.target in unsure:
            missing = sql.SQL("{} IS NOT NULL AND {} IS NULL").format(value, found)
            values.append(sql.SQL("({}::text, {}, {})").format(value, missing, sql.Literal(unsure[m.target])))
            held += [missing] if unsure[m.target] else []
        if m.beside:
            integer = given(m.beside)
            orphan = sql.SQL("({}::text, {} IS NULL AND {} IS NOT NULL, false)").format(integer, value, integer)
            other = sql.SQL("({}, {} IS DISTINCT FROM {}, false)").format(sql.Literal(LEGACY), integer, found)
            values += [orphan, other]
    return Noting(tuple(columns), COMMA.join(values), sql.SQL(" OR ").join(held) if held else sql.SQL("false"))


def note_rows(plan: Plan, d: TableMapping, how: Noting) -> sql.Composed:
    """The INSERT of what waits among the rows `v`, which have their key's text as `key`."""
    return sql.SQL(
        "INSERT INTO {} (number, key, value, held) SELECT {}, v.key, w.value, bool_or(w.held) FROM v"
        " CROSS JOIN LATERAL (VALUES {}) w (value, missing, held) WHERE w.missing GROUP BY 2, 3"
        " ON CONFLICT (number, key, value) DO NOTHING"
    ).format(waiting_table(plan).sql, sql.Literal(d.number), how.values)


def forget_waiting(plan: Plan, d: TableMapping, keys: Sequence[Key]) -> sql.Composed:
    """Forget what is noted of rows, before they are read again."""
    return sql.SQL("DELETE FROM {} WHERE number = {} AND key = ANY ({})").format(
        waiting_table(plan).sql, sql.Literal(d.number), _texts(keys)
    )


def forget_all_waiting(plan: Plan, d: TableMapping) -> sql.Composed:
    """Forget every waiting row of a table, whose copy begins again."""
    return sql.SQL("DELETE FROM {} WHERE number = {}").format(waiting_table(plan).sql, sql.Literal(d.number))


def delete_held(plan: Plan, d: TableMapping, keys: Sequence[Key]) -> sql.Composed:
    """Delete the maintained rows of `keys` that wait now and may not be there meanwhile."""
    target = target_columns(d, "t")
    rows = sql.SQL("{} w WHERE w.number = {} AND w.held").format(waiting_table(plan).sql, sql.Literal(d.number))
    return sql.SQL("DELETE FROM {} t WHERE EXISTS (SELECT FROM {rows}) AND {} AND {} IN (SELECT w.key FROM {rows})").format(
        d.target_rows, among_target(d, "t", keys), key_text(target), rows=rows
    )


def waiting_for(plan: Plan, d: TableMapping, values: Sequence[int | str]) -> sql.Composed:
    """SELECT the keys, as arrays of texts, of the rows of a table that wait for one of `values`."""
    given = sql.SQL("{}::text[]").format(sql.Literal([str(v) for v in values]))
    return sql.SQL("SELECT DISTINCT key::text[] FROM {} WHERE number = {} AND value = ANY ({})").format(
        waiting_table(plan).sql, sql.Literal(d.number), given
    )


def queue_waiting(plan: Plan, after: Direction) -> list[Statement]:
    """In a revert: queue the rows that were noted while the uuid led. The integer leads now, and the shadow has to have what leads.

    A value that is an integer belongs to nobody, in both directions: neither side changes, and the row goes on waiting."""
    out = []
    for d in table_mappings(plan, after) if after is Direction.FORWARD else ():
        if not d.lookups:
            continue
        key = COMMA.join(
            sql.SQL("(w.key::text[])[{}]::").format(sql.Literal(n)) + verbatim("bigint" if d.is_source else k.type)
            for n, k in enumerate(d.key, 1)
        )
        rows = sql.SQL("SELECT {} FROM {} w WHERE w.number = {} AND w.value OPERATOR(pg_catalog.!~) '^-?[0-9]+$'").format(
            key, waiting_table(plan).sql, sql.Literal(d.number)
        )
        why = "rows whose integer is not what their uuid told"
        out.append(Statement(queue_rows(plan, d.number, d.key, rows), why, None, kind=Kind.CAPTURE))
    return out


def carry_waiting(plan: Plan, after: Direction) -> list[Statement]:
    """In an exchange: rows that wait are noted by their key on the side that led. Where a reference is in it, they get their key on the
    side that leads now; none waits that has no such key (cutover.gates)."""
    out = []
    for was, d in zip(table_mappings(plan, _other(after)), table_mappings(plan, after), strict=True):
        if not d.exchanged_key:
            continue
        given = [sql.SQL("(w.key::text[])[{}]").format(sql.Literal(n)) for n in range(1, len(was.key) + 1)]
        now = [
            d.key_lookups.back_now.value(sql.SQL("{}::").format(g) + verbatim(k.origin_type), None) if k.exchanged else g
            for g, k in zip(given, was.key, strict=True)
        ]
        missing = sql.SQL(" OR ").join(
            sql.SQL("({}) IS NULL").format(v) for v, k in zip(now, was.key, strict=True) if k.exchanged
        )
        where = sql.SQL("{} w WHERE w.number = {}").format(waiting_table(plan).sql, sql.Literal(d.number))
        forget = sql.SQL("DELETE FROM {} AND ({})").format(where, missing)
        carry = sql.SQL("UPDATE {} w SET key = {} WHERE w.number = {}").format(
            waiting_table(plan).sql, key_text([sql.SQL("({})").format(v) for v in now]), sql.Literal(d.number)
        )
        why = "rows that wait, by the key that leads now"
        out += [Statement(s, why, None, kind=Kind.CAPTURE) for s in (forget, carry)]
    return out


def _other(direction: Direction) -> Direction:
    return Direction.REVERSE if direction is Direction.FORWARD else Direction.FORWARD


def held_rows(plan: Plan, d: TableMapping) -> sql.Composed:
    """SELECT the keys, as arrays of texts, of the rows of a table that the maintained side does not hold."""
    return sql.SQL("SELECT DISTINCT key::text[] FROM {} WHERE number = {} AND held").format(
        waiting_table(plan).sql, sql.Literal(d.number)
    )


def count_held(plan: Plan) -> sql.Composed:
    """SELECT how many rows of all tables the maintained side does not hold."""
    return sql.SQL("SELECT count(DISTINCT (number, key)) FROM {} WHERE held").format(waiting_table(plan).sql)


def _texts(keys: Sequence[Key]) -> sql.Composed:
    """`key_text` of each key, computed by the server: it quotes an array's elements."""
    rows = [list(k) if isinstance(k, tuple) else [str(k)] for k in keys]
    width = len(rows[0]) if rows else 1
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text[]").format(sql.Literal([r[n] for r in rows])) for n in range(width)
    )  # fmt: skip
    names = sql.SQL(", ").join(sql.Identifier("q", f"c{n}") for n in range(width))
    aliases = sql.SQL(", ").join(sql.Identifier(f"c{n}") for n in range(width))
    return sql.SQL("ARRAY(SELECT ARRAY[{}]::text FROM unnest({}) AS q ({}))").format(names, columns, aliases)
