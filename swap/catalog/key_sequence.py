"""The sequence that an integer key takes its values from."""

from __future__ import annotations

import re

from swap.catalog.model import Table
from swap.core.names import TableName, parse_table

_NEXTVAL = re.compile(r"nextval\('((?:[^']|'')+)'::regclass\)")


def key_sequence(table: Table, key: str) -> TableName | None:
    """The one in the key's default (another table may own it), or the one that the key owns."""
    column = table.column(key)
    found = _NEXTVAL.search(column.default or "") if column else None
    if found:
        return parse_table(found.group(1).replace("''", "'"))
    return next((s.name for s in table.sequences if s.column == key), None)
