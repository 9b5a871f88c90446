"""Which of the exchanged columns a trigger holds on to, and so how it comes along (H28).

UPDATE OF and WHEN bind columns by number. A trigger that names only integers is created again by its text when the
columns have their new names: `UPDATE OF user_id` is about the uuid then, as are the application's statements. Left
alone it would follow the integer to a name that nobody updates, and silently never fire again. A trigger that names
the uuid column is right to follow it by number (`user_uuid_id` becomes `user_id`), and its integers follow beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from swap.catalog.model import Table, Trigger
from swap.plan.model import Plan, RefColumns


class Pair(NamedTuple):
    """Two columns of one table that exchange their roles, by their names before the cutover."""

    integer: str
    uuid: str


class Binding(StrEnum):
    """`torn`: it needs an integer's name and another column's number; no single moment serves both."""

    free = "free"
    names = "names"
    numbers = "numbers"
    torn = "torn"


def pairs(table: Table, source: int, key: Pair, references: Iterable[RefColumns]) -> tuple[Pair, ...]:
    """The pairs of a table; `source` is the source's oid, `key` its own pair."""
    own = [Pair(r.column, r.uuid_column) for r in references if r.oid == table.oid]
    return (key, *own) if table.oid == source else tuple(own)


def plan_pairs(plan: Plan, table: Table) -> tuple[Pair, ...]:
    references = [*(r.columns for r in plan.references), *plan.own_references]
    return pairs(table, plan.catalog.source.oid, Pair(plan.key, plan.identity), references)


def binding(trigger: Trigger, among: Iterable[Pair]) -> Binding:
    """How `trigger` is bound to the pairs of its table."""
    named = [p for p in among if {p.integer, p.uuid} & set(trigger.columns)]
    if not named:
        return Binding.free
    if not any(p.uuid in trigger.columns for p in named):
        return Binding.names
    lost = [p for p in named if p.uuid not in trigger.columns]
    lost += [p for p in named if p.integer in trigger.update_of and p.uuid not in trigger.update_of]
    return Binding.torn if lost else Binding.numbers


def refers_to(trigger: Trigger, oid: int) -> bool:
    """A constraint trigger FROM that table; dropping the table would silently drop the trigger (seen so)."""
    return trigger.other_oid == oid
