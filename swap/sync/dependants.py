"""Rows that are stale though they did not change: a row of the source that they refer to has another uuid, or another integer, than
it had; or it has come at last (I3).

They are found in the captured table, by the column with the reference, and among the rows that wait. A parent may have any number
of them, so they are read slice by slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from psycopg import sql

from swap.core.connection import Connection
from swap.ddl.waiting import waiting_for
from swap.plan.direction import Direction, TableMapping
from swap.plan.model import Plan
from swap.plan.row_keys import Key, origin_columns, selected, to_key
from swap.plan.unresolved import uncertain
from swap.sync.key_exceptions import Parents
from swap.sync.waiting import key_of

CURSOR = "swap_dependants"
T = TypeVar("T")


def dependants(conn: Connection, plan: Plan, d: TableMapping, parents: Parents, size: int) -> Iterator[list[Key]]:
    """The keys of a table's rows that refer to one of `parents`, `size` at a time. In the caller's transaction, whose snapshot
    they are read in. One row may come several times."""
    loose = {u.mapped.origin for u in uncertain(plan, d)}
    for m in d.lookups:
        for values in _parts([*parents.moved, *(parents.gone if m.origin in loose else ())], size):
            query = sql.SQL("SELECT {} FROM {} s WHERE {} = ANY ({})").format(
                selected(d, origin_columns(d, "s")), d.origin_rows, sql.Identifier("s", m.origin), _array(d, values)
            )
            with conn.cursor(name=CURSOR) as cursor:
                cursor.execute(query)
                while rows := cursor.fetchmany(size):
                    yield [to_key(key) for (key,) in rows]
    if loose:
        for values in _parts(parents.came, size):
            found = [key_of(d, texts) for (texts,) in conn.execute(waiting_for(plan, d, values))]
            yield from _parts(found, size)


def _parts(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for at in range(0, len(values), size):
        yield [*values[at : at + size]]


def _array(d: TableMapping, values: Sequence[int | str]) -> sql.Composed:
    of = sql.SQL("bigint" if d.direction is Direction.FORWARD else "uuid")
    return sql.SQL("{}::{}[]").format(sql.Literal("{" + ",".join(map(str, values)) + "}"), of)
