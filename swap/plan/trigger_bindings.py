"""Which exchanged columns a trigger is bound to, and so how the exchange treats it (H28).

UPDATE OF and WHEN bind columns by number. A trigger that names integers only is created again by its text when the
columns have their new names: `UPDATE OF user_id` means the uuid then, as the application's statements do. Left alone, the
trigger would follow the integer to a name that no statement updates, and silently never fire again. A trigger that names
the uuid column is right to follow it by number (`user_uuid_id` becomes `user_id`), and its integers follow beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from swap.catalog.model import Trigger
from swap.plan.model import ColumnPair


class Binding(StrEnum):
    """How a trigger is bound to the pairs of its table.

    `free`: it names none of the columns. `names`: created again when the columns have their new names. `numbers`: created
    while they have their old names, and follows the renames. `torn`: it needs an integer's name and another column's number,
    and no single moment serves both.
    """

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
    """Whether it is a constraint trigger FROM that table: dropping the table would silently drop the trigger (seen)."""
    return trigger.other_oid == oid
