"""The stream's writes to the database: entries of the change tables and the WAL position that they reach, together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.errors import DefectError
from swap.ddl.capture import capture_key
from swap.ddl.change_tables import change_table, key_names
from swap.plan.direction import Direction
from swap.plan.model import Plan
from swap.sync.logical.decoding import Captured

# Types (pg_type.typname) whose text has no backslash, tab or end of line.
NUMBERS = ("int2", "int4", "int8", "oid", "numeric")
PLAIN = frozenset((*NUMBERS, "uuid", "bool", "date", "time", "timestamp", "timestamptz", "inet", "macaddr"))


@dataclass(frozen=True)
class Chunk:
    """`rows`: COPY text, by the number of the swapped table; `position`: every transaction that committed before it is complete with this chunk."""

    rows: Mapping[int, bytes]
    count: int
    position: int


class Noted(NamedTuple):
    """`table_no`: the change tables to write to next; `xid`: the next one; `end`: the WAL position behind the note's commit."""

    table_no: int
    xid: int
    end: int


def table_in_use(conn: Connection, plan: Plan, run_id: int) -> int:
    """The change table to write to first: rotation may have moved on while no session read the stream."""
    row = conn.execute(
        sql.SQL("SELECT active FROM {} WHERE run_id = {}").format(
            sql.Identifier(plan.state_schema, "capture"), sql.Literal(run_id)
        )
    ).fetchone()
    return int(row[0]) if row else 0


def note(conn: Connection, plan: Plan, run_id: int, chunk: Chunk, table_no: int) -> Noted:
    """Entries and position in one transaction."""
    with conn.transaction():
        for number, rows in chunk.rows.items():
            with conn.cursor() as cursor, cursor.copy(_copy(plan, table_no, number)) as out:
                out.write(rows)
        row = conn.execute(_position(plan, run_id, chunk)).fetchone()
    if row is None:
        raise DefectError("The journal's row of the stream is gone.")
    return Noted(int(row[0]), *here(conn))


def _copy(plan: Plan, table_no: int, number: int) -> sql.Composed:
    """The columns that the decoder writes, in its order."""
    names = [*key_names(len(plan.swapped[number].key)), "gone", "origin", *(["uuid"] if number == 0 else [])]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(change_table(plan, table_no, number).sql, columns)


def captured_tables(plan: Plan) -> dict[tuple[str, str], Captured]:
    """What the decoder has to know of each swapped table, by schema and name."""
    out = {}
    for t in plan.swapped:
        before, after = (tuple(capture_key(plan, t, way)) for way in Direction)
        columns = {c.name: c for c in plan.table_of(t).columns}
        plain = all(columns[k].base_type in PLAIN for k in t.key if k in columns)
        # The source's key takes the uuid's place after the cutover: its later name is looked for first.
        out[t.name.schema, t.name.name] = Captured(t.number, (after, before), plan.key if t.is_source else None, plain)
    return out


def here(conn: Connection) -> tuple[int, int]:
    """The next transaction's id, and the WAL position behind everything that this session has committed."""
    ((next_xid, position),) = conn.execute(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
    ).fetchall()
    return int(next_xid), int(position)


def _position(plan: Plan, run_id: int, chunk: Chunk) -> sql.Composed:
    state = plan.state_schema
    return sql.SQL(
        "UPDATE {stream} s SET position = greatest(s.position, {position}), entries = s.entries + {count},"
        " moved_at = clock_timestamp() FROM {capture} c WHERE s.run_id = {run} AND c.run_id = s.run_id"
        " RETURNING c.active"
    ).format(
        stream=sql.Identifier(state, "stream"), capture=sql.Identifier(state, "capture"), run=sql.Literal(run_id),
        position=sql.Literal(chunk.position), count=sql.Literal(chunk.count),
    )  # fmt: skip
