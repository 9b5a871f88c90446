"""References that changed since a verification, compared once more. An exchange does it before it asks for its locks.

A reference in place has no queue: rows written since are known by their xmin, and those of a row that went by its key, which is in the
queue of the source. So every such table is read once. A table that is rebuilt has a queue: it is read if anything changed. The
follow-up of the exchange reads both as well, to validate the foreign key; found only there, an orphan would leave a committed exchange
without that key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg import sql

from swap.catalog.load import load_tables
from swap.core.names import TableName
from swap.core.snapshot import Snapshot
from swap.ddl.pairs import pairs_table
from swap.plan.row_keys import Key
from swap.prepare.drift import table_oids
from swap.state.migration import Migration
from swap.sync.change_queue import ChangeQueue
from verify.capture import captured_tables
from verify.orphans import count_orphans, own_references
from verify.ranges import bigints
from verify.reference_rows import written_since
from verify.references import ReferenceResult, compare_references, reference_pairs
from verify.snapshots import MAX_PENDING, oldest_of

NAMED = 5


def wrong_references(m: Migration, snapshot: str, since: Snapshot) -> list[str]:
    """One line for each reference that its foreign key, or the other column, contradicts: in rows written since `snapshot`, or of rows
    of the source that changed after `since`. In a transaction of its own, with ACCESS SHARE."""
    conn, queue = m.conn, ChangeQueue.of(m)
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        touched = queue.touched(m.mappings, since)
        return [*_in_place(m, snapshot, touched[0]), *_rebuilt(m, touched)]


def _in_place(m: Migration, snapshot: str, touched: Collection[Key]) -> list[str]:
    if not m.plan.references:
        return []
    tables = {t.name: t for t in load_tables(m.conn, table_oids(m.conn, captured_tables(m.plan)))}
    pairs = reference_pairs(m.plan, m.direction, tables)
    if not pairs:
        return []
    written, keys = written_since(oldest_of(snapshot)), bigints(sorted(k for k in touched if isinstance(k, int)))
    conditions: dict[TableName, sql.Composable] = dict.fromkeys((p.table for p in pairs), written)
    for p in pairs:
        named = sql.SQL("s.{}::text = ANY ({}::text[])" if p.text else "s.{} = ANY ({})").format(sql.Identifier(p.integer), keys)
        conditions[p.table] = sql.SQL("({} OR {})").format(conditions[p.table], named)
    results = compare_references(m.conn, pairs, conditions, NAMED, pairs_table(m.plan), _pending(m))
    return [line for r in results if (line := _wrong(r))]


def _rebuilt(m: Migration, touched: Mapping[int, Collection[Key]]) -> list[str]:
    """Of tables that are rebuilt beside: rows whose foreign key to the source names nobody. Only where a row of the table, or of the
    source, changed since: then the table is read once, as the key's validation would read it."""
    own = [r for r in own_references(m.plan, m.direction) if not r.declared and (touched[0] or touched[r.number])]
    found = [o for o in (count_orphans(m.conn, r) for r in own) if o.rows]
    return [f"{o.label}: {o.rows} rows refer to a row that does not exist" for o in found]


def _pending(m: Migration) -> list[int]:
    """The integers of the source's rows that replay has not reached in this snapshot: their references are made right with them."""
    keys, _ = ChangeQueue.of(m).pending(m.mapping, ChangeQueue.of(m).watermark(), MAX_PENDING)
    return [k for k in keys if isinstance(k, int)]


def _wrong(r: ReferenceResult) -> str:
    found = []
    if r.wrong:
        keys = ", ".join(str(d.key) for d in r.differences)
        found.append(f"{r.wrong} rows name one row by the integer and another by the uuid (keys {keys})")
    if r.orphans and not r.pair.declared:
        found.append(f"{r.orphans} rows refer to a row that does not exist")
    if r.nulls and r.pair.not_null:
        found.append(f"{r.nulls} rows have no uuid")
    return f"{r.pair.label}: {'; '.join(found)}" if found else ""
