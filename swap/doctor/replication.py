"""Logical capture: what it needs of the source and the server, and slots that no run reads any more.

A DELETE must be decoded with the integer key, before and after the cutover. Before it, the default replica identity, which is the
primary key, provides that. After it, until `finalize` or `revert`, the replica identity of the new table is the unique index of the
integer. A subscriber of the application would get the integer as the key of its rows then.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from swap.core.connection import Connection
from swap.core.rows import fetch_values
from swap.core.sql_text import load_sql
from swap.doctor.finding import PACKAGE, Finding, Subject, blocker, or_ok, read, read_values, warning

TRIGGER = 'Or use [sync] mode = "trigger".'


class Senders(NamedTuple):
    """Walsenders: how many there can be, and how many are in use."""

    most: int
    used: int


class Slot(NamedTuple):
    """A replication slot, and the WAL that the server keeps for it."""

    name: str
    active: bool
    kept_bytes: int


def check_logical(conn: Connection, subject: Subject) -> list[Finding]:
    """No finding in trigger mode. Reads the catalog only."""
    if subject.config.sync.mode != "logical":
        return []
    source = subject.source
    detail = "logical capture needs the default replica identity: the primary key"
    found = [
        blocker("logical-capture", t.name, detail, f"ALTER TABLE {t.name} REPLICA IDENTITY DEFAULT; {TRIGGER}")
        for t in subject.rebuilt
        if t.replident != "d"
    ]
    (senders,) = read(conn, Senders, "senders.sql")
    if senders.used >= senders.most:
        detail = f"all {senders.most} walsenders are in use (max_wal_senders)"
        found.append(blocker("logical-capture", "server", detail, f"Raise max_wal_senders and restart, or end one. {TRIGGER}"))
    found += [
        blocker(
            "logical-capture", name,
            "the server sends capture's slot nothing that this standby has not got (synchronized_standby_slots), and it is not connected",
            f"Start that standby, or take it out of synchronized_standby_slots. {TRIGGER}",
        )
        for name in read_values(conn, "standby_slots.sql")
    ]  # fmt: skip
    found += [
        blocker(
            "logical-capture", source.name,
            f"the publication {name} publishes it: between cutover and finalize its subscribers would be sent the integer as the key",
            f"Drop the publication and its subscriptions first. {TRIGGER}",
        )
        for name in read_values(conn, "logical.sql", schema=source.name.schema, table=source.name.name)
    ]  # fmt: skip
    return or_ok(found, "logical-capture", source.name, "the replica identity is the key, and no other subscription reads it")


def check_slots(conn: Connection, schema: str, *, readable: bool) -> list[Finding]:
    """A slot that no run reads any more keeps the server's WAL until the disk is full (H13). `readable`: the state schema exists, and
    this role can read it."""
    used: list[str] = []
    if readable:
        used = fetch_values(conn, load_sql(PACKAGE, "slots_used.sql").format(state=sql.Identifier(schema)))
    return [
        warning(
            "abandoned-slot", s.name,
            f"no run reads this replication slot; the server keeps {s.kept_bytes:,} bytes of WAL for it",
            f"SELECT pg_drop_replication_slot('{s.name}');",
        )
        for s in read(conn, Slot, "slots.sql", used=used)
        if not s.active
    ]  # fmt: skip
