"""Compat columns (`[names] compat = true`): after the cutover a uuid can still be used under its old name.

A compat column is a real column, because applications read, write and index it. swap fills it before the cutover under a
temporary name: in the shadow by the copy, on a reference by a trigger and a backfill. The exchange renames it, `finalize`
drops it.

Two BEFORE triggers keep it equal to the key. After the cutover, the first trigger to fire takes the value from the name
that the application wrote. Before and after the cutover, the last trigger to fire copies the key, as the guard has set
it.
Rejected: a generated column, which cannot be written. A view in place of the table, which is another relation to every
policy, lock and cursor.

The key has no default while it has two names: an INSERT that leaves one name out would look like an INSERT that names
both. The first trigger does what the default did.
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
FIRST_FUNCTION = "compat"  # in the names of its functions
LAST_TRIGGER = "~swap_twin"  # sorts after ~swap_guard: the last BEFORE trigger
LAST_FUNCTION = "mirror"


class CompatPair(NamedTuple):
    """A key and its compat column, by their names in one direction. `number`: the reference's, or 0 for the source's key."""

    number: int
    table: TableName
    key: str
    compat: str


def compat_pairs(plan: Plan, direction: Direction) -> list[CompatPair]:
    """Every pair that triggers keep equal on the live side. Before the cutover the source has none."""
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
    """Create the functions of both triggers, for both directions."""
    return [f for d in Direction for p in compat_pairs(plan, d) for f in pair_functions(plan, p, d).values()]


def pair_functions(plan: Plan, pair: CompatPair, direction: Direction) -> dict[str, Statement]:
    """Create the functions of one pair; each is listed under the name of the trigger that calls it."""
    key, other = sql.Identifier(pair.key), sql.Identifier(pair.compat)
    name, body = _state(plan, LAST_FUNCTION, pair, direction), load_sql("swap.ddl", "compat_mirror.sql")
    out = {f"{LAST_TRIGGER}_{pair.number}": trigger_function(plan, pair.table, name, body, key=key, other=other)}
    if direction is Direction.REVERSE:
        name, body = _state(plan, FIRST_FUNCTION, pair, direction), load_sql("swap.ddl", "compat_resolve.sql")
        out[f"{FIRST_TRIGGER}_{pair.number}"] = trigger_function(
            plan, pair.table, name, body, key=key, other=other,
            required=sql.SQL("false" if pair.number else "true"),
            generate=sql.SQL("NULL") if pair.number else generator(plan),
            key_label=sql.Literal(pair.key),
            other_label=sql.Literal(pair.compat),
        )  # fmt: skip
    return out


def _state(plan: Plan, kind: str, pair: CompatPair, direction: Direction) -> TableName:
    return plan.state(f"{kind}_{pair.number}_{direction}")


def compat_function_names(plan: Plan) -> list[str]:
    """Names of the functions of both directions, as `Plan.state` takes them."""
    numbers = [p.number for p in compat_pairs(plan, Direction.REVERSE)]
    return [f"{kind}_{n}_{d}" for n in numbers for d in Direction for kind in (FIRST_FUNCTION, LAST_FUNCTION)]


def compat_triggers(plan: Plan, direction: Direction, *, source: bool) -> list[Statement]:
    """Create the triggers of the live table (`source`), or those on the tables of the other references."""
    chosen = [p for p in compat_pairs(plan, direction) if (p.table == plan.source) == source]
    return [s for p in chosen for s in _triggers(plan, p, direction)]


def reference_triggers(plan: Plan, ref: RefColumns, direction: Direction) -> list[Statement]:
    """Create the triggers of one reference outside the source."""
    return [s for p in compat_pairs(plan, direction) if p.number == ref.number for s in _triggers(plan, p, direction)]


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
    """Names of the triggers of both directions."""
    return {f"{kind}_{p.number}" for d in Direction for p in compat_pairs(plan, d) for kind in (FIRST_TRIGGER, LAST_TRIGGER)}


def drop_compat(plan: Plan) -> list[tuple[TableName, list[Statement]]]:
    """For `finalize`, table by table: drop the triggers, the compat columns and what stands over the key for them, and give the key its
    default back."""
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
    for index in (i for r in plan.references for i in r.second_keys):
        name = index.table.renamed(index.build_name)
        gone = sql.SQL("DROP INDEX IF EXISTS {}").format(name.sql)
        why = "the second index over the uuids"
        out.setdefault(index.table, []).append(Statement(gone, why, index.table, AX, kind=Kind.INDEX, verb=Verb.DROP))
    return list(out.items())
