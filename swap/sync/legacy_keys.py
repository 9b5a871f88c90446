"""How many legacy keys are left for rows that are born after the cutover (H43)."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from swap.core.connection import Connection
from swap.core.names import TableName
from swap.ddl.keys import BITS, has_spare_keys, own_sequence, spare_range, spare_sequence
from swap.plan.model import Plan


@dataclass(frozen=True)
class LegacyKeys:
    """How many keys the old sequence can still give (None: not known), how many rows were given a spare one, and how
    many of those are left (None: there are no spare keys)."""

    sequence: str | None
    left: int | None
    spare_given: int
    spare_left: int | None


def read_legacy_keys(conn: Connection, plan: Plan) -> LegacyKeys:
    """After the cutover: how far the sequences are that legacy keys come from."""
    s, column = own_sequence(plan), plan.source_table.column(plan.key)
    left, given, spare_left = None, 0, None
    if s is not None and column is not None and not s.cycle:
        bits = BITS[column.type]
        end = min(s.maximum, 2**bits - 1) if s.increment > 0 else max(s.minimum, -(2**bits))
        last, called = _position(conn, s.name)
        left = max((end - last) // s.increment + (not called), 0)
    if has_spare_keys(plan):
        first, end = spare_range(plan)
        last, called = _position(conn, spare_sequence(plan))
        given = abs(last - first) + called
        spare_left = abs(end - last) + (not called)
    return LegacyKeys(str(s.name) if s else None, left, given, spare_left)


def _position(conn: Connection, sequence: TableName) -> tuple[int, bool]:
    ((last, called),) = conn.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sequence.sql)).fetchall()
    return last, called
