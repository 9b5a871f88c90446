"""Which columns are references, and what the columns around each are called. Pure.

Foreign keys in the catalog say most of it (swap.plan.key_columns). The configuration overrides names and adds references
that no foreign key declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from swap.catalog.model import Catalog, Column
from swap.core.config import Config
from swap.core.errors import RefusedError
from swap.core.names import TableName, derive, parse_table, with_part
from swap.plan.key_columns import key_columns, unvouched
from swap.plan.model import ColumnPair, RefColumns
from swap.plan.strategy import strategies, with_strategies

UUID_LENGTH = 36
EARLIER_GUARD = re.compile(r"^~swap_guard_(\d+)_")


def reference_columns(catalog: Catalog, config: Config) -> tuple[RefColumns, ...]:
    """Every reference: from the catalog's foreign keys, overridden and completed by the configuration.

    Raises RefusedError for a configured reference whose column does not exist, and what `strategies` raises.
    """
    source = catalog.source
    key, identity = config.source.key, config.identity.column
    configured = {(parse_table(r.table), r.column): r for r in config.reference}
    found = key_columns(catalog, key, configured)
    adopted_by_fk = {
        fk.holder: fk.columns[0]
        for fk in sorted(catalog.incoming, key=lambda fk: fk.name)  # of several, the last: the same in every copy of the database
        if fk.target_columns == (identity,) and _only_reference(found, fk.holder)
    }
    out = []
    for number, ((table, column), fks) in enumerate(sorted(found.items(), key=lambda kv: kv[0]), _first_number(catalog)):
        override = configured.get((table, column))
        info = catalog.table(table)
        col = info.column(column)
        if col is None:
            raise RefusedError(f"The reference {table}.{column} of the configuration has no such column.")
        uuid_column = (override and override.uuid_column) or adopted_by_fk.get(table) or with_part(column, "uuid")
        companion = bool(override and override.companion)
        as_text = bool(override and override.as_ == "text")
        legacy_column = (override and override.legacy_column) or with_part(column, "legacy")
        out.append(
            RefColumns(
                number=number,
                table=table,
                oid=info.oid,
                column=column,
                uuid_column=uuid_column,
                legacy_column=column if companion else legacy_column,
                adopted=info.column(uuid_column) is not None,
                declared=bool(unvouched(catalog, info, column, fks)),
                own=table == source.name,
                not_null=col.not_null and (as_text or not (override and override.where)),
                where=override.where if override else None,
                compat_column=derive(uuid_column, "_compat") if config.names.compat and not companion and not as_text else None,
                companion=companion,
                uuid_type=text_type(col) if as_text else "uuid",
            )
        )
    return with_strategies(tuple(out), strategies(catalog, config, out))


def text_type(column: Column) -> str:
    """The type of a column that holds the texts of uuids beside what `column` holds: its own, if that is a text and long enough."""
    length = re.fullmatch(r"character varying(?:\((\d+)\))?|text", column.type)
    own = length is not None and (length[1] is None or int(length[1]) >= UUID_LENGTH)
    return (column.type if own else "text") + (f" COLLATE {column.collation}" if column.collation else "")


def key_pair(config: Config) -> ColumnPair:
    """The source's key, the identity column that takes its name, and the key's name after the cutover."""
    return ColumnPair(config.source.key, config.identity.column, config.names.legacy_key)


def _first_number(catalog: Catalog) -> int:
    """One more than any guard of an earlier run on these tables has.

    `finalize` keeps guards as long as the integers, and the triggers of one table need different names.
    """
    names = (EARLIER_GUARD.match(t.name) for table in catalog.tables for t in table.triggers)
    return 1 + max((int(n[1]) for n in names if n), default=0)


def _only_reference(found: Iterable[tuple[TableName, str]], table: TableName) -> bool:
    return sum(1 for t, _ in found if t == table) == 1
