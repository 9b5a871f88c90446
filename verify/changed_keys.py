"""The exact comparison of given keys: what a cutover runs under its lock, and what names the columns of a finding."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from swap.core.connection import Connection
from swap.core.snapshot import Snapshot
from swap.plan.direction import TableMapping
from swap.plan.model import Plan
from swap.sync.change_queue import due, rows_by_xid
from verify.ranges import bigints
from verify.report import Kind, RowDifference
from verify.row_images import Where, changed, joined, one


def touched_keys(conn: Connection, plan: Plan, since: Snapshot) -> set[int]:
    """Keys with an entry that `since` does not see, in the caller's snapshot."""
    keys = sql.SQL("SELECT DISTINCT d.key FROM ({}) d WHERE d.key IS NOT NULL")
    return {r[0] for r in rows_by_xid(conn, keys.format(due(plan, since, sql.SQL("c.key"))))}


def compare_keys(conn: Connection, direction: TableMapping, keys: Sequence[int]) -> list[RowDifference]:
    """Findings among `keys`, in key order, in the caller's transaction; ACCESS SHARE on both tables.

    One statement, by the key indexes of both sides; made for up to some ten thousand keys.
    """
    if not keys:
        return []
    found: dict[int, tuple[Kind, list[int]]] = {}
    for key, kind, columns in conn.execute(_statement(direction, keys)):
        found[key] = (kind, columns)  # a surplus row comes last and says the most
    return [
        RowDifference(str(direction.origin), key, kind, tuple(direction.columns[n].target for n in columns))
        for key, (kind, columns) in sorted(found.items())
    ]


def _statement(d: TableMapping, keys: Sequence[int]) -> sql.Composed:
    array = bigints(sorted(set(keys)))
    where = _among(array)
    differs = [
        sql.SQL("CASE WHEN NOT ({} *= {}) THEN {} END").format(one("a", n), one("b", n), sql.Literal(n))
        for n in range(len(d.columns))
    ]
    return sql.SQL(
        "SELECT coalesce(a.k, b.k)::bigint,"
        " CASE WHEN b.k IS NULL THEN 'missing' WHEN a.k IS NULL THEN 'extra' ELSE 'different' END,"
        " CASE WHEN a.k IS NULL OR b.k IS NULL THEN '{{}}' ELSE array_remove(ARRAY[{differs}]::int[], NULL) END"
        " FROM {joined} WHERE a.k IS NULL OR b.k IS NULL OR {changed}"
        " UNION ALL SELECT s.{ok}::bigint, 'missing', '{{}}' FROM {origin} s WHERE s.{ok} = ANY ({keys})"
        " GROUP BY 1 HAVING count(*) > 1"
        " UNION ALL SELECT s.{tk}::bigint, 'extra', '{{}}' FROM {target} s WHERE s.{tk} = ANY ({keys})"
        " GROUP BY 1 HAVING count(*) > 1"
    ).format(
        differs=sql.SQL(", ").join(differs), joined=joined(d, where), changed=changed(d), keys=array,
        ok=sql.Identifier(d.origin_key), origin=d.origin.sql, tk=sql.Identifier(d.target_key), target=d.target.sql,
    )  # fmt: skip


def _among(array: sql.Composable) -> Where:
    return lambda key: sql.SQL("{} = ANY ({})").format(key, array)
