"""The file of a table: as long as it is the same, the table is the one that was compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.core.rows import fetch
from swap.core.sql_text import load_sql


class TableFile(NamedTuple):
    """The table's oid and its relfilenode. Both stay the same unless the table was replaced, truncated or rewritten; after
    that an older snapshot finds it empty. `attached`: the transaction that attached a partition. One that was away had no guards, and
    who read its table then, in whatever snapshot, did not read its rows."""

    oid: int
    filenode: int
    attached: int | None


class _TableFileRow(NamedTuple):
    schema: str
    name: str
    oid: int
    filenode: int
    attached: int | None


def table_files(conn: Connection, tables: Iterable[TableName]) -> dict[TableName, TableFile]:
    """The file of each of the tables that exists."""
    wanted = list(tables)
    names = {"schemas": [t.schema for t in wanted], "names": [t.name for t in wanted]}
    rows = fetch(conn, _TableFileRow, load_sql("verify", "table_files.sql"), names)
    return {TableName(r.schema, r.name): TableFile(r.oid, r.filenode, r.attached) for r in rows}
