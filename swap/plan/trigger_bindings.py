"""Which of the exchanged columns a trigger holds on to, and so how it comes along (H28).

UPDATE OF and WHEN bind columns by number. A trigger that names only integers is created again by its text when the
columns have their new names: `UPDATE OF user_id` is about the uuid then, as are the application's statements. Left
alone it would follow the integer to a name that nobody updates, and silently never fire again. A trigger that names
the uuid column is right to follow it by number (`user_uuid_id` becomes `user_id`), and its integers follow beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from swap.catalog.model import Trigger
from swap.plan.model import ColumnPair


class Binding(StrEnum):
    """`torn`: it needs an integer's name and another column's number; no single moment serves both."""

    free = "free"
    names = "names"
    numbers = "numbers"
    torn = "torn"


def binding(trigger: Trigger, among: Iterable[ColumnPair]) -> Binding:
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
