"""VIRTUAL columns (18 and later) whose expression fails for a row (H68).

Their values are not stored, so a verification does not compare them, and one that fails keeps nothing from being compared. But the row
cannot be read whole, by the application either: so the column and the key are named, as a warning. The expressions run under the
application's settings (I12).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from swap.core.application_settings import Settings, adopt
from swap.core.connection import Connection, judged
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from swap.plan.direction import TableMapping
from verify.report import CheckResult

SHOWN = 5
PLACES = 2048  # of a heap block: more than it can hold rows (MaxHeapTuplesPerPage in src/include/access/htup_details.h)


@dataclass(frozen=True)
class VirtualColumn:
    """A column of the captured table, by its name now."""

    mapping: TableMapping
    column: str
    settings: Settings

    @property
    def label(self) -> str:
        return f"{self.mapping.origin}.{self.column}"


def virtual_columns(mapping: TableMapping, settings: Settings) -> list[VirtualColumn]:
    names = [c.origin for c in mapping.columns if c.column is not None and c.column.generated == "v"]
    return [VirtualColumn(mapping, name, settings) for name in names]


def failing_rows(conn: Connection, column: VirtualColumn) -> list[str]:
    """One line for each of the first rows for which the column cannot be computed. A scan of the table, and for each such row some
    thirty of half as much each."""
    query = load_sql("verify", "virtual_blocks.sql").format(table=sql.Literal(column.mapping.origin.sql.as_string(conn)))
    (blocks,) = fetch_values(conn, query)
    out: list[str] = []
    for place, said in _failing(conn, column, 0, blocks * PLACES - 1) if blocks else ():
        out.append(f"{column.label} of the row with the key {_key(conn, column, place)}: {said}")
        if len(out) == SHOWN:
            return [*out, "and perhaps more"]
    return out


def _failing(conn: Connection, column: VirtualColumn, low: int, high: int) -> Iterator[tuple[int, str]]:
    """The places in [low, high] whose row fails, with the server's words."""
    said = _error(conn, column, low, high)
    if not said:
        return
    if low == high:
        yield low, said
        return
    middle = (low + high) // 2
    yield from _failing(conn, column, low, middle)
    yield from _failing(conn, column, middle + 1, high)


def _error(conn: Connection, column: VirtualColumn, low: int, high: int) -> str:
    """The server's words where the column cannot be computed for a row of the range; nothing where it can for all of them."""
    query = load_sql("verify", "virtual_values.sql").format(
        column=sql.Identifier(column.column), table=column.mapping.origin.sql, low=_tid(low), high=_tid(high)
    )
    try:
        with conn.transaction():
            if column.settings:
                conn.execute(adopt(column.settings))
            fetch_values(conn, query)
    except psycopg.Error as e:
        if not judged(e):
            raise
        return e.diag.message_primary or str(e)
    return ""


def _key(conn: Connection, column: VirtualColumn, place: int) -> str:
    names = [sql.SQL("{}::text").format(sql.Identifier("s", k.origin)) for k in column.mapping.key]
    query = load_sql("verify", "virtual_key.sql").format(
        key=sql.SQL(", ").join(names), table=column.mapping.origin.sql, place=_tid(place)
    )
    return str(fetch_values(conn, query)[0])


def _tid(place: int) -> sql.Literal:
    return sql.Literal(f"({place // PLACES},{place % PLACES})")


def virtual_check(lines: list[str], count: int) -> CheckResult:
    """A warning: the rows are as they were, on both sides."""
    if lines:
        return CheckResult("virtual_columns", "warning", "; ".join(lines))
    return CheckResult(
        "virtual_columns", "ok", f"{count} VIRTUAL columns can be computed for every row; their values are not stored"
    )
