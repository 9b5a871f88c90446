"""The queue: two change tables. Writers append to one while swap empties the other.

`xid` and `seq` are an entry's key. `seq` only distinguishes the entries of one transaction. So each session caches a
block of numbers, and writers do not contend for the sequence.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.keys import create_spare_sequence
from swap.plan.model import Plan


def change_table(plan: Plan, table_no: int) -> TableName:
    """The name of change table `table_no`, 0 or 1."""
    return plan.state(f"changes_{table_no}")


def change_tables(plan: Plan) -> list[Statement]:
    """Create the change tables, the sequence of spare legacy keys and the fence's row."""
    out = []
    for table_no in (0, 1):
        name = change_table(plan, table_no)
        create = sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"
            " seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 64), key bigint, gone boolean NOT NULL DEFAULT true, origin xid8,"
            " PRIMARY KEY (xid, seq))"
            " WITH (autovacuum_vacuum_insert_threshold = 1000000)"
        ).format(name.sql)
        drop = sql.SQL("DROP TABLE IF EXISTS {}").format(name.sql)
        out.append(Statement(create, "the queue of changed keys", name, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE))
        out.append(Statement(bare_acl(name), "no grant, whatever the default privileges say", name, kind=Kind.CAPTURE))
    fence = sql.Identifier(plan.state_schema, "fence")
    row = sql.SQL("INSERT INTO {} (tag) VALUES ({}) ON CONFLICT DO NOTHING").format(fence, sql.Literal(plan.tag))
    why = "the generation that tells snapshots of before an exchange from those after it"
    return [*out, *create_spare_sequence(plan), Statement(row, why, kind=Kind.CAPTURE)]


def empty_queue(tables: list[TableName]) -> list[Statement]:
    """Forget every entry: TRUNCATE, since a change table may be published and has no replica identity for a DELETE."""
    truncate = sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(t.sql for t in tables))
    return [Statement(truncate, "entries of another server's transactions", tables[0], AX, kind=Kind.CAPTURE, verb=Verb.DROP)]


def queue_keys(plan: Plan, keys: sql.Composable) -> sql.Composed:
    """Queue `keys`, an array, as if their rows had changed: replay makes both sides equal. Always in change table 0, which is
    read whichever table the writers use."""
    return sql.SQL("INSERT INTO {} (key) SELECT unnest({})").format(change_table(plan, 0).sql, keys)
