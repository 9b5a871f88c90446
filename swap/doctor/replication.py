"""What logical capture needs of the source: a DELETE must be decoded with the integer key, before and after the cutover.

Before it the default replica identity says so, the primary key. After it the new table's replica identity is the integer's
unique index, until `finalize` or `revert`; a subscriber of the application's own would then get the integer for the key
of its rows.
"""

from __future__ import annotations

from psycopg import sql

from swap.core.connection import Connection
from swap.core.sql_text import load_sql
from swap.doctor.finding import Finding, Subject, blocker, or_ok, read, warning

TRIGGER = 'Or use [sync] mode = "trigger".'


def check_logical(conn: Connection, subject: Subject) -> list[Finding]:
    """Nothing in trigger mode."""
    if subject.config.sync.mode != "logical":
        return []
    source = subject.source
    found = []
    if source.replident != "d":
        detail = "logical capture needs the default replica identity: the primary key"
        found.append(
            blocker("logical-capture", source.name, detail, f"ALTER TABLE {source.name} REPLICA IDENTITY DEFAULT; {TRIGGER}")
        )
    most, used = read(conn, "senders.sql")[0]
    if used >= most:
        detail = f"all {most} walsenders are in use (max_wal_senders)"
        found.append(blocker("logical-capture", "server", detail, f"Raise max_wal_senders and restart, or end one. {TRIGGER}"))
    found += [
        blocker(
            "logical-capture", name,
            "the server sends capture's slot nothing that this standby has not got (synchronized_standby_slots), and it is not connected",
            f"Start that standby, or take it out of synchronized_standby_slots. {TRIGGER}",
        )
        for (name,) in read(conn, "standby_slots.sql")
    ]  # fmt: skip
    rows = read(conn, "logical.sql", schema=source.name.schema, table=source.name.name)
    found += [
        blocker(
            "logical-capture", source.name,
            f"the publication {r[0]} publishes it: between cutover and finalize its subscribers would be sent the integer as the key",
            f"Drop the publication and its subscriptions first. {TRIGGER}",
        )
        for r in rows
    ]  # fmt: skip
    return or_ok(found, "logical-capture", source.name, "the replica identity is the key, and nobody else subscribes to it")


def check_slots(conn: Connection, schema: str, *, ours: bool) -> list[Finding]:
    """Slots that no run reads any more keep the server's WAL until its disk is full (H13). `ours`: the state schema is there and readable."""
    used: list[str] = []
    if ours:
        query = load_sql("swap.doctor", "slots_used.sql").format(state=sql.Identifier(schema))
        used = [r[0] for r in conn.execute(query)]
    return [
        warning(
            "abandoned-slot", name,
            f"no run reads this replication slot; the server keeps {kept:,} bytes of WAL for it",
            f"SELECT pg_drop_replication_slot('{name}');",
        )
        for name, active, _, kept in read(conn, "slots.sql", used=used)
        if not active
    ]  # fmt: skip
