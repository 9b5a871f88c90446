"""What may stay over the integers after the cutover, where its text cannot hold a uuid: an index, and a trigger's WHEN. Pure.

The integer stands beside the uuid, under another name, and the guard fills it. CHECKs, policies and generated columns are over it as
well. But a value that the guard fills is not there at every moment, and may be missing for good where the parent is:

- A unique index over a reference's integer would let two rows pass whose integers are missing. Over the source's own key it stays.
- A BEFORE trigger fires ahead of the guard, whose name sorts last: WHEN would see no integer of a new row. AFTER, it is there.
- UPDATE OF an integer would never fire again: no statement of the application's names the column then (H28).
"""

from __future__ import annotations

from collections.abc import Iterable

from swap.catalog.model import Index, Trigger
from swap.plan.model import ColumnPair


def index_may_stay(index: Index, pairs: Iterable[ColumnPair], key: ColumnPair) -> bool:
    """Whether the index loses nothing over the integers. `key`: the source's."""
    if index.exclusion or index.constraint is not None:
        return False
    references = {p.integer for p in pairs if p != key}
    return not index.unique or not references.intersection(index.columns)


def when_may_stay(trigger: Trigger, pairs: Iterable[ColumnPair]) -> bool:
    """Whether the trigger fires as before with its WHEN over the integers."""
    named = [p for p in pairs if p.integer in trigger.columns]
    if trigger.other_oid or any(p.integer in trigger.update_of or p.uuid in trigger.columns for p in named):
        return False
    return not trigger.before or (trigger.on_delete and not trigger.on_insert and not trigger.on_update)
