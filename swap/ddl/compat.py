"""Compatibility columns (`[names] compat = true`): after the cutover a uuid also answers to its name of before it.

Each is a real column, since it must be readable, writable and indexed: filled before the cutover under a name of its
own (in the shadow by the copy, on a reference by a trigger and a backfill), renamed in the exchange, dropped by
`finalize`. Two triggers keep it equal to the key: after the cutover the first of all BEFORE triggers takes the value from
whichever name was written, and on both sides of it the last one copies what the guard has made of the key. A generated
column cannot be written, a view in place of the table would be another relation to every policy, lock and cursor.

The key has no default while there are two names: an INSERT that leaves one of them out could not be told from one that
names two. The first trigger does what the default did.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import load_sql
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.keys import generator
from swap.ddl.own_triggers import trigger, trigger_function
from swap.plan.direction import Direction
from swap.plan.model import Plan, RefColumns

FIRST_TRIGGER = "!swap_compat"  # sorts before letters and digits: the first BEFORE trigger
FIRST_FUNCTION = "compat"
LAST_TRIGGER = "~swap_twin"  # sorts after ~swap_guard: the last BEFORE trigger
LAST_FUNCTION = "mirror"


class CompatPair(NamedTuple):
    """A key and its compat column, by their names in one direction. `number`: the reference's, or 0 for the source's key."""

    number: int
    table: TableName
    key: str
    compat: str


def compat_pairs(plan: Plan, direction: Direction) -> list[CompatPair]:
    """Every pair of names that triggers keep equal on the live side; before the cutover the source itself has none."""
    ahead = direction is Direction.FORWARD
    out = []
    if plan.compat_column and not ahead:
        out.append(CompatPair(0, plan.source, plan.key, plan.identity))
    for ref in (*plan.own_references, *(r.columns for r in plan.references)):
        if ref.compat_column and not (ref.own and ahead):
            names = (ref.uuid_column, ref.compat_column) if ahead else (ref.column, ref.uuid_column)
            out.append(CompatPair(ref.number, ref.table, *names))
    return out


def compat_functions(plan: Plan) -> list[Statement]:
    """The functions behind both triggers, for both directions."""
    return [f for d in Direction for t in compat_pairs(plan, d) for f in pair_functions(plan, t, d).values()]


def pair_functions(plan: Plan, pair: CompatPair, direction: Direction) -> dict[str, Statement]:
    """By the trigger that calls it."""
    names = {"key": sql.Identifier(pair.key), "other": sql.Identifier(pair.compat)}
    last = load_sql("swap.ddl", "compat_mirror.sql").format(**names)
    out = {f"{LAST_TRIGGER}_{pair.number}": trigger_function(_state(plan, LAST_FUNCTION, pair, direction), last)}
    if direction is Direction.REVERSE:
        first = load_sql("swap.ddl", "compat_resolve.sql").format(
            **names,
            required=sql.SQL("false" if pair.number else "true"),
            generate=sql.SQL("NULL") if pair.number else generator(plan),
            key_label=sql.Literal(pair.key),
            other_label=sql.Literal(pair.compat),
        )
        out[f"{FIRST_TRIGGER}_{pair.number}"] = trigger_function(_state(plan, FIRST_FUNCTION, pair, direction), first)
    return out


def _state(plan: Plan, kind: str, pair: CompatPair, direction: Direction) -> TableName:
    return plan.state(f"{kind}_{pair.number}_{direction}")


def compat_function_names(plan: Plan) -> list[str]:
    """Of both directions, as `Plan.state` takes them."""
    numbers = [t.number for t in compat_pairs(plan, Direction.REVERSE)]
    return [f"{kind}_{n}_{d}" for n in numbers for d in Direction for kind in (FIRST_FUNCTION, LAST_FUNCTION)]


def compat_triggers(plan: Plan, direction: Direction, *, source: bool) -> list[Statement]:
    """On the live table (`source`), or on the tables of the other references."""
    chosen = [t for t in compat_pairs(plan, direction) if (t.table == plan.source) == source]
    return [s for t in chosen for s in _triggers(plan, t, direction)]


def reference_triggers(plan: Plan, ref: RefColumns, direction: Direction) -> list[Statement]:
    """Of one reference outside the source."""
    return [s for t in compat_pairs(plan, direction) if t.number == ref.number for s in _triggers(plan, t, direction)]


def _triggers(plan: Plan, pair: CompatPair, direction: Direction) -> list[Statement]:
    key, compat, on = sql.Identifier(pair.key), sql.Identifier(pair.compat), pair.table.sql
    differ = sql.SQL("BEFORE INSERT OR UPDATE ON {} FOR EACH ROW WHEN (NEW.{} IS DISTINCT FROM NEW.{})").format(on, compat, key)
    why = f"{pair.compat} says what {pair.key} says"
    out = [trigger(pair.table, f"{LAST_TRIGGER}_{pair.number}", differ, _state(plan, LAST_FUNCTION, pair, direction), why)]
    if direction is Direction.REVERSE:
        both = sql.SQL("BEFORE INSERT OR UPDATE ON {} FOR EACH ROW").format(on)
        if not pair.number:
            both += sql.SQL(" WHEN (NEW.{k} IS NULL OR NEW.{o} IS DISTINCT FROM NEW.{k})").format(k=key, o=compat)
        else:
            both += sql.SQL(" WHEN (NEW.{} IS DISTINCT FROM NEW.{})").format(compat, key)
        name = f"{FIRST_TRIGGER}_{pair.number}"
        out.append(trigger(pair.table, name, both, _state(plan, FIRST_FUNCTION, pair, direction), "either name may be written"))
    return out


def compat_trigger_names(plan: Plan) -> set[str]:
    return {f"{kind}_{t.number}" for d in Direction for t in compat_pairs(plan, d) for kind in (FIRST_TRIGGER, LAST_TRIGGER)}


def drop_compat(plan: Plan) -> list[tuple[TableName, list[Statement]]]:
    """What `finalize` removes, table by table: triggers, columns; the key gets its default back."""
    out: dict[TableName, list[Statement]] = {}
    drop = sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}")
    for pair in compat_pairs(plan, Direction.REVERSE):
        mine = out.setdefault(pair.table, [])
        mine += [s.reversed() for s in _triggers(plan, pair, Direction.REVERSE)]
        column = drop.format(pair.table.sql, sql.Identifier(pair.compat))
        mine.append(Statement(column, "the name of before the cutover", pair.table, AX, kind=Kind.COLUMN, verb=Verb.DROP))
        if not pair.number:
            default = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT ").format(pair.table.sql, sql.Identifier(pair.key))
            mine.append(Statement(default + generator(plan), "a row without a key gets one", pair.table, AX, kind=Kind.COLUMN))
    return list(out.items())
