"""The queue: two change tables for each swapped table. Writers append to one while swap empties the other.

An entry is the key of a row, the transaction that wrote the entry, and whether the row may have left that key. A change table is
appended to and truncated, and nothing else: it has one index, on `xid`, and no key and no sequence. A sequence would take its
numbers in the application's session, where `lastval()` belongs to the application (seen). A table without a key may be published
as long as it is never updated or deleted from.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.names import TableName, derive
from swap.core.sql_text import Query, verbatim
from swap.core.statement import AX, Kind, Statement, Verb
from swap.ddl.acl import bare_acl
from swap.ddl.keys import create_spare_sequence
from swap.ddl.pairs import create_pairs
from swap.plan.direction import KeyColumn
from swap.plan.model import Plan, SwappedTable


def change_table(plan: Plan, table_no: int, number: int = 0) -> TableName:
    """The name of change table `table_no`, 0 or 1, of the swapped table `number`."""
    return plan.change_table(table_no, number)


def key_names(count: int) -> list[str]:
    """The columns of a change table that hold the key: key, key_2, …"""
    return ["key", *(f"key_{n}" for n in range(2, count + 1))]


def change_tables(plan: Plan) -> list[Statement]:
    """Create the change tables, the tables of waiting rows and of incomplete pairs, the sequence of spare legacy keys and the
    fence's row."""
    out = []
    for t in plan.swapped:
        for table_no in (0, 1):
            out += _change_table(plan, t, change_table(plan, table_no, t.number))
    out += [*create_waiting(plan), *create_pairs(plan)]
    fence = sql.Identifier(plan.state_schema, "fence")
    row = sql.SQL("INSERT INTO {} (tag) VALUES ({}) ON CONFLICT DO NOTHING").format(fence, sql.Literal(plan.tag))
    why = "the generation that tells snapshots of before an exchange from those after it"
    return [*out, *create_spare_sequence(plan), Statement(row, why, kind=Kind.CAPTURE)]


def _change_table(plan: Plan, t: SwappedTable, name: TableName) -> list[Statement]:
    columns = [sql.SQL("xid xid8 NOT NULL DEFAULT pg_current_xact_id()"), *_key(plan, t)]
    if t.is_source:
        columns.append(sql.SQL("uuid uuid"))
    columns += [sql.SQL("gone boolean NOT NULL DEFAULT true"), sql.SQL("origin xid8")]
    create = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}) WITH (autovacuum_vacuum_insert_threshold = 1000000)").format(
        name.sql, sql.SQL(", ").join(columns)
    )
    index = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (xid)").format(sql.Identifier(derive(name.name, "_xid")), name.sql)
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(name.sql)
    return [
        Statement(create, "the queue of changed keys", name, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE),
        Statement(index, "replay reads the queue from where it stopped", name, kind=Kind.CAPTURE),
        Statement(bare_acl(name), "no grant, whatever the default privileges say", name, kind=Kind.CAPTURE),
    ]


def complete_tables(plan: Plan) -> list[Statement]:
    """What an older version's run lacks: a column for the uuid of the source's rows, and the tables of waiting rows and of
    incomplete pairs."""
    add = sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS uuid uuid")
    why = "after the cutover an entry has both keys"
    names = [change_table(plan, n) for n in (0, 1)]
    return [*(Statement(add.format(n.sql), why, n, kind=Kind.CAPTURE) for n in names), *create_waiting(plan), *create_pairs(plan)]


def waiting_table(plan: Plan) -> TableName:
    """The name of the table of waiting rows: rows whose reference names nobody in the snapshot that replay reads."""
    return plan.state("waiting")


def create_waiting(plan: Plan) -> list[Statement]:
    """`key`: the text of a text[] of the key's columns. `value`: what the reference holds. `held`: the maintained side does not hold
    the row for now, as its column may not be NULL; else it has NULL there."""
    name = waiting_table(plan)
    create = sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} (number integer, key text, value text, held boolean NOT NULL, PRIMARY KEY (number, key, value))"
    ).format(name.sql)
    index = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (value)").format(sql.Identifier(derive(name.name, "_value")), name.sql)
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(name.sql)
    return [
        Statement(create, "rows whose parent has not come yet", name, "", drop, kind=Kind.CAPTURE, verb=Verb.CREATE),
        Statement(index, "the replay that brings the parent takes them from there", name, kind=Kind.CAPTURE),
        Statement(bare_acl(name), "no grant, whatever the default privileges say", name, kind=Kind.CAPTURE),
    ]


def _key(plan: Plan, t: SwappedTable) -> list[Query]:
    """The key's columns with their types. The source's are bigint, whichever integer it has. A reference in another table's key is an
    integer before the cutover and a uuid after it, so it is a text."""
    if t.is_source:
        return [sql.SQL("key bigint")]
    table, out = plan.table_of(t), list[Query]()
    exchanged = {r.column for r in t.references}
    for name, of in zip(key_names(len(t.key)), t.key, strict=True):
        column = table.column(of)
        assert column is not None
        if of in exchanged:
            out.append(sql.SQL('{} text COLLATE pg_catalog."C"').format(sql.Identifier(name)))
            continue
        text = sql.SQL("{} ").format(sql.Identifier(name)) + verbatim(column.type)
        out.append(text + verbatim(f" COLLATE {column.collation}") if column.collation else text)
    return out


def queue_again(plan: Plan) -> list[Statement]:
    """Every entry of the queue as one of the current transaction, whichever it was of: those of another server mean nothing here.

    By TRUNCATE, since a change table may be published and has no replica identity for an UPDATE. Under ACCESS EXCLUSIVE on all."""
    out = []
    kept = sql.Identifier("pg_temp", "swap_entries")
    for t in plan.swapped:
        names = [*key_names(1 if t.is_source else len(t.key)), *(["uuid"] if t.is_source else []), "gone"]
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        tables = [change_table(plan, n, t.number) for n in (0, 1)]
        both = sql.SQL(" UNION ").join(sql.SQL("SELECT {} FROM {}").format(columns, n.sql) for n in tables)
        text = sql.SQL(
            "CREATE TEMPORARY TABLE swap_entries ON COMMIT DROP AS {}; TRUNCATE {}; INSERT INTO {} ({}) SELECT {} FROM {};"
            " DROP TABLE {}"
        ).format(both, sql.SQL(", ").join(n.sql for n in tables), tables[0].sql, columns, columns, kept, kept)
        out.append(Statement(text, "entries of another server's transactions", tables[0], AX, kind=Kind.CAPTURE))
    return out


def queue_keys(plan: Plan, keys: sql.Composable) -> sql.Composed:
    """Queue `keys` of the source, an array, as if their rows had changed: replay makes both sides equal. Always in change table
    0, which is read whichever table the writers use."""
    return sql.SQL("INSERT INTO {} (key) SELECT unnest({})").format(change_table(plan, 0).sql, keys)


def queue_rows(plan: Plan, number: int, key: tuple[KeyColumn, ...], rows: sql.Composable) -> sql.Composed:
    """Queue the keys that the query `rows` returns, of any swapped table."""
    names = sql.SQL(", ").join(map(sql.Identifier, key_names(len(key))))
    return sql.SQL("INSERT INTO {} ({}) {}").format(change_table(plan, 0, number).sql, names, rows)
