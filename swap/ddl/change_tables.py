"""The queue: two change tables, of which writers append to one while the other is emptied.

`xid` and `seq` are an entry's key. `seq` only tells the entries of one transaction apart, so each session takes numbers
for a while: writers do not meet at the sequence.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName
from swap.core.sql_text import verbatim
from swap.core.statement import Kind, Statement, Verb
from swap.ddl.keys import create_spare_sequence
from swap.plan.model import Plan


def change_table(plan: Plan, table_no: int) -> TableName:
    """One of the two change tables; writers append to one while the other is emptied."""
    return plan.state(f"changes_{table_no}")


def change_tables(plan: Plan) -> list[Statement]:
    """The queue and the fence's row. `seq` only tells the entries of one transaction apart, so each session takes numbers
    for a while: writers do not meet at the sequence."""
    out = []
    for table_no in (0, 1):
        name = change_table(plan, table_no)
        create = sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"
            " seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 64), key bigint, gone boolean NOT NULL DEFAULT true, origin xid8,"
            " PRIMARY KEY (xid, seq))"
            " WITH (autovacuum_vacuum_insert_threshold = 1000000)"
        ).format(name.sql)
        out.append(
            Statement(create, "the queue of changed keys", name, "", _drop("TABLE", name), kind=Kind.CAPTURE, verb=Verb.CREATE)
        )
    out += create_spare_sequence(plan)
    fence = sql.SQL("INSERT INTO {} (tag) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(plan.state_schema, "fence"), sql.Literal(plan.tag)
    )
    out.append(
        Statement(fence, "the generation that tells snapshots of before an exchange from those after it", kind=Kind.CAPTURE)
    )
    return out


def _drop(kind: str, name: TableName) -> sql.Composed:
    return sql.SQL("DROP {} IF EXISTS {}").format(verbatim(kind), name.sql)
