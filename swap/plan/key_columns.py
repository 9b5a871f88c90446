"""Which columns hold the source's keys. Pure.

They are the columns with a foreign key to the key, and the columns with a foreign key to such a column. `memberships
(user_id, org_id)` refers to `users`, `grants (user_id, org_id)` to `memberships`: the values of `grants.user_id` are
users' keys too. So `grants.user_id` is a reference like the other, and the foreign key between the two is rebuilt with
both.
"""

from __future__ import annotations

from collections.abc import Iterable

from swap.catalog.model import Catalog, ForeignKey, Table
from swap.core.names import TableName

KeyColumn = tuple[TableName, str]


def key_columns(catalog: Catalog, key: str, declared: Iterable[KeyColumn]) -> dict[KeyColumn, tuple[ForeignKey, ...]]:
    """Every reference with the foreign keys that make it one. A reference that only the configuration knows has none."""
    root = (catalog.source.name, key)
    found: dict[KeyColumn, tuple[ForeignKey, ...]] = dict.fromkeys(declared, ())
    pairs = [
        ((fk.holder, column), (fk.target, target), fk)
        for fk in catalog.foreign_keys
        for column, target in zip(fk.columns, fk.target_columns, strict=True)
        if (fk.holder, column) != root
    ]
    known = {root, *found}
    while new := {column for column, target, _ in pairs if target in known} - known:
        known |= new
    for column, target, fk in pairs:
        if target in known:
            found[column] = (*found.get(column, ()), fk)
    return found


def vouches(fk: ForeignKey, column: str, catalog: Catalog) -> bool:
    """Whether the foreign key makes every new row with a value in `column` name a row of the target.

    MATCH SIMPLE checks no row with a NULL in another column of the key. NOT ENFORCED checks no row at all.
    """
    if not fk.enforced:
        return False
    table = catalog.table(fk.table)
    others = (table.column(c) for c in fk.columns if c != column)
    return " MATCH FULL" in fk.definition or all(c is not None and c.not_null for c in others)


def unvouched(catalog: Catalog, table: Table, column: str, fks: Iterable[ForeignKey] | None = None) -> tuple[Table, ...]:
    """Where a row with a value in `column` need not name a row of the target.

    That is the table itself, or those of its partitions that hold rows and have no foreign key (of `fks`, or any) that
    vouches for all of them.
    """
    among = catalog.foreign_keys if fks is None else fks
    mine = (f for f in among if f.holder == table.name and column in f.columns and vouches(f, column, catalog))
    covered = {heap for f in mine for heap in f.heaps}
    return tuple(t for t in table.heaps if t.name not in covered)
