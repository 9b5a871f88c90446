"""Functions that mention the tables by name (H27).

The catalog does not say what a string body uses, so swap looks for the names in the text. It also counts every function
that a trigger of the tables runs: NEW and OLD need no name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import load_sql


def mentions(state_schema: str, tables: Iterable[TableName], views: Iterable[TableName]) -> sql.Composed:
    """The query of mentions.sql for `tables` (the source and those with references) and the `views` built on them."""
    tables = sorted(set(tables))
    names = sorted({n.name for n in (*tables, *views)})
    either = "|".join(re.escape(form) for n in names for form in dict.fromkeys((n, n.replace('"', '""'))))
    return load_sql("swap.ddl", "mentions.sql").format(
        state_schema=sql.Literal(state_schema),
        pattern=sql.Literal(rf"(^|\W)({either})(\W|$)"),
        tables=sql.Literal([f"{t.schema}.{t.name}" for t in tables]),
    )
