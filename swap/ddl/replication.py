"""Logical capture: the publication and the slot, as statements.

The publication has the captured table with the columns of its primary key alone, so no other column of the application
leaves the server's memory. It is committed before the slot exists, because decoding looks it up as it was at each change.
It turns from one table to the other inside the exchange, where no writer is in flight.

A DELETE carries the replica identity and nothing else. Before the cutover that is the primary key, the integer itself.
After it swap names the integer's unique index, until `finalize` or `revert`.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.statement import AX, Kind, Statement, Verb
from swap.plan.direction import Direction
from swap.plan.model import Plan, SwappedTable

FAILOVER = 170000


SLOT = "slot"
"""The journal's row for the replication slot, which cannot be created in a transaction."""


def publication_name(plan: Plan) -> str:
    """The name of the run's publication."""
    return f"swap_{plan.tag}"


def create_publication(plan: Plan) -> Statement:
    """Create the publication, without a table yet."""
    create = sql.SQL("CREATE PUBLICATION {}").format(sql.Identifier(publication_name(plan)))
    why = "capture: what the slot decodes"
    return Statement(create, why, None, "", drop_sql(plan), kind=Kind.CAPTURE, verb=Verb.CREATE)


def drop_sql(plan: Plan) -> sql.Composed:
    return sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(publication_name(plan)))


def drop_publication(plan: Plan) -> Statement:
    return Statement(drop_sql(plan), "nothing reads it any more", kind=Kind.CAPTURE, verb=Verb.DROP)


def published_key(plan: Plan, t: SwappedTable, direction: Direction) -> list[str]:
    """The columns of a swapped table that are published: its key, by the names that it has in this direction. Before the cutover with
    the other columns of the source's primary key: the server refuses an UPDATE whose replica identity is not published."""
    if not t.is_source or direction is Direction.FORWARD:
        primary = plan.table_of(t).primary_key
        return list(dict.fromkeys([*t.key, *(primary.key_columns if primary else ())]))
    return [plan.legacy_key, plan.key] if t.pair_index else [plan.legacy_key]


def publish(plan: Plan, t: SwappedTable, direction: Direction) -> list[Statement]:
    """Turn on capture of the live table: from this commit on its key is published."""
    name, table = sql.Identifier(publication_name(plan)), t.name
    key = sql.SQL(", ").join(map(sql.Identifier, published_key(plan, t, direction)))
    add = sql.SQL("ALTER PUBLICATION {} ADD TABLE {} ({})").format(name, table.sql, key)
    drop = sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(name, table.sql)
    why = "capture: the key of changed rows, nothing else"
    published = Statement(add, why, table, "SHARE UPDATE EXCLUSIVE", drop, kind=Kind.CAPTURE, verb=Verb.CREATE)
    return [published] if direction is Direction.FORWARD or not t.is_source else [*identify(t), published]


def identify(t: SwappedTable) -> list[Statement]:
    """Make the source's integer key, with its uuid, the replica identity: after the cutover a DELETE must carry them. A run that
    changed its mode has no index over both."""
    alter = sql.SQL("ALTER TABLE {} REPLICA IDENTITY ").format(t.name.sql)
    using = alter + sql.SQL("USING INDEX {}").format(sql.Identifier((t.pair_index or t.key_index).build_name))
    default = alter + sql.SQL("DEFAULT")
    return [Statement(using, "capture: a DELETE is decoded with its integer key", t.name, AX, default, kind=Kind.CAPTURE)]


def slot_name_sql(plan: Plan) -> sql.Composed:
    """The slot's name, as the server makes it.

    Slots belong to the whole cluster: the database's OID tells two clones of one database apart.
    """
    return sql.SQL(
        "(SELECT pg_catalog.format('swap_%s_%s', oid, {}) FROM pg_database WHERE datname = current_database())"
    ).format(sql.Literal(str(plan.tag)))


def create_slot(plan: Plan) -> Statement:
    """Create the slot. It streams everything that commits afterwards.

    The server waits for every transaction of the whole cluster that runs at that moment, prepared ones too.
    """
    failover = ", false, false, true" if plan.catalog.server_version >= FAILOVER else ""
    create = sql.SQL("SELECT lsn::text FROM pg_create_logical_replication_slot({}, 'pgoutput'{})").format(
        slot_name_sql(plan), sql.SQL(failover)
    )
    why, drop = "capture: keeps the WAL until it is read", drop_slot_sql(plan)
    return Statement(create, why, None, "", drop, transactional=False, kind=Kind.CAPTURE, verb=Verb.CREATE)


def drop_slot_sql(plan: Plan) -> sql.Composed:
    return sql.SQL("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {}").format(
        slot_name_sql(plan)
    )


def drop_slot(plan: Plan) -> Statement:
    return Statement(drop_slot_sql(plan), "the server may forget its WAL", transactional=False, kind=Kind.CAPTURE, verb=Verb.DROP)
