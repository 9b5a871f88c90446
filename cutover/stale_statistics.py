"""What a run leaves behind in the statistics: the planner's numbers of the tables that stay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql


@dataclass(frozen=True)
class Stale:
    """`changed`: rows that changed since; `analyzed_at`: None where it never was, or the server's counters were reset."""

    schema: str
    name: str
    changed: int
    analyzed_at: datetime | None

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)


def stale_statistics(conn: Connection, tables: Iterable[TableName]) -> list[Stale]:
    """Those whose statistics are missing, or of before more than a tenth of the rows changed. Reads catalogs and counters only."""
    wanted = sorted(set(tables))
    names = {"schemas": [t.schema for t in wanted], "names": [t.name for t in wanted]}
    return fetch(conn, Stale, load_sql("cutover", "stale_statistics.sql"), names)
