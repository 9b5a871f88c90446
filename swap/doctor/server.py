"""The server, the session and the role: version, a pooler in between, WAL level, other transactions, rights on the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swap.core.config import Config
from swap.core.connection import OLDEST_SERVER, Connection
from swap.core.names import quote
from swap.core.session_settings import OVERRIDDEN
from swap.doctor.finding import Finding, blocker, ok, or_ok, read, read_values, warning

NEWEST_TESTED = 189999
LONG_TRANSACTION_S = 300


class Server(NamedTuple):
    """The server, the session and the role. `standby`: the server is in recovery. `lock_slots`: how many locks the whole server can
    hold. `replicates_by_membership`: the server has the role `rds_replication`. `sees_stats`, `may_signal`: of other roles' sessions. `data_directory`: None where the role may not know it."""

    role: str
    database: str
    backend_pid: int
    standby: bool
    may_replicate: bool
    replicates_by_membership: bool
    wal_level: str
    slots_max: int
    slots_used: int
    lock_slots: int
    may_create: bool
    may_temp: bool
    sees_stats: bool
    may_signal: bool
    data_directory: str | None
    may_set_replica: bool


def read_server(conn: Connection) -> Server:
    (server,) = read(conn, Server, "server.sql")
    return server


class Transaction(NamedTuple):
    """A session that has been in one transaction for `age_s` seconds."""

    pid: int
    user: str
    state: str
    age_s: float
    query: str


class Prepared(NamedTuple):
    """A transaction that was prepared `age_s` seconds ago."""

    gid: str
    owner: str
    age_s: float


class EventTrigger(NamedTuple):
    name: str
    event: str
    function: str


def check_version(version: int) -> Finding:
    shown = f"{version // 10000}.{version % 10000}"
    if version < OLDEST_SERVER:
        hint = "Upgrade the server: publications with column lists and parameter privileges begin with 15."
        return blocker("server-version", "server", f"PostgreSQL {shown} is too old; 15 is the oldest supported", hint)
    if version > NEWEST_TESTED:
        hint = "Rehearse the whole cycle on a clone first."
        return warning("server-version", "server", f"PostgreSQL {shown} is newer than the newest tested, 18", hint)
    return ok("server-version", "server", f"PostgreSQL {shown}")


def check_session(server: Server, announced_pid: int) -> list[Finding]:
    """`announced_pid`: the process that the server named at the start of the connection. A pooler names a number of its own."""
    found = []
    if server.standby:
        hint = "Connect to the primary (target_session_attrs=read-write)."
        found.append(blocker("connection", server.database, "this server is a standby: nothing can be built here", hint))
    if announced_pid != server.backend_pid:
        detail = (
            f"the session announced itself as process {announced_pid} and is {server.backend_pid}: a pooler is in between. "
            "Locks and settings of a session do not survive a transaction pooler"
        )
        hint = "Connect to the server itself. A pooler in session mode will do: then accept this finding."
        found.append(blocker("connection", server.database, detail, hint, acceptable=True))
    return or_ok(found, "connection", server.database, f"a session of its own, as {quote(server.role)}")


def check_database(server: Server, *, state_exists: bool) -> list[Finding]:
    """CREATE is needed for the state schema, and TEMPORARY to try out definitions."""
    database, role = quote(server.database), quote(server.role)
    found = []
    if not server.may_create and not state_exists:
        hint = f"GRANT CREATE ON DATABASE {database} TO {role};"
        found.append(blocker("database-privileges", server.database, "the state schema cannot be created", hint))
    if not server.may_temp:
        detail = "temporary tables cannot be created: index definitions are tried out in them"
        hint = f"GRANT TEMPORARY ON DATABASE {database} TO {role};"
        found.append(blocker("database-privileges", server.database, detail, hint))
    return or_ok(found, "database-privileges", server.database, "CREATE (or the state schema) and TEMPORARY are there")


def check_wal(server: Server, config: Config, *, slot_exists: bool) -> list[Finding]:
    if config.sync.mode != "logical":
        return [ok("wal-level", "server", f"wal_level = {server.wal_level}; capture by triggers needs none in particular")]
    found = []
    if server.wal_level != "logical":
        hint = "ALTER SYSTEM SET wal_level = 'logical'; then restart the server. Or use [sync] mode = \"trigger\"."
        found.append(blocker("wal-level", "server", f"wal_level is {server.wal_level}; mode logical needs logical", hint))
    if not slot_exists and server.slots_used >= server.slots_max:
        detail = f"all {server.slots_max} replication slots are in use"
        found.append(blocker("wal-level", "server", detail, "Raise max_replication_slots and restart, or drop a slot."))
    if not server.may_replicate:
        role = quote(server.role)
        hint = f"GRANT rds_replication TO {role};" if server.replicates_by_membership else f"ALTER ROLE {role} REPLICATION;"
        found.append(blocker("wal-level", server.role, "mode logical needs the REPLICATION attribute", hint))
    return or_ok(found, "wal-level", "server", "wal_level = logical, a slot is free, the role may replicate")


def check_visibility(server: Server, config: Config) -> list[Finding]:
    role = quote(server.role)
    found = []
    if not server.sees_stats:
        detail = "queries of other users are hidden: reports of who holds a lock show pids only"
        found.append(warning("statistics-visible", server.role, detail, f"GRANT pg_read_all_stats TO {role};"))
    if config.cutover.kill_blockers != "never" and not server.may_signal:
        detail = f"kill_blockers = {config.cutover.kill_blockers}, but sessions of other roles cannot be ended"
        found.append(warning("statistics-visible", server.role, detail, f"GRANT pg_signal_backend TO {role};"))
    return or_ok(found, "statistics-visible", server.role, "other sessions' queries and waits are visible")


def check_long_transactions(transactions: Sequence[Transaction], *, show_queries: bool) -> list[Finding]:
    found = [
        warning(
            "long-transactions", f"pid {t.pid}",
            f"{t.user or 'a session'} ({t.state or 'state not visible'}) has been in a transaction for {t.age_s / 60:.0f} min"
            + (f": {t.query}" if t.query and show_queries else "") + "; it may hold locks that a cutover needs, and keeps dead rows",
            f"Wait for it, or: SELECT pg_terminate_backend({t.pid});",
        )
        for t in transactions
    ]  # fmt: skip
    return or_ok(found, "long-transactions", "server", f"none older than {LONG_TRANSACTION_S // 60} min")


def check_prepared(transactions: Sequence[Prepared]) -> list[Finding]:
    found = []
    for t in transactions:
        literal = "'" + t.gid.replace("'", "''") + "'"
        detail = f"{t.owner} prepared it {t.age_s / 60:.0f} min ago; it holds its locks until it is finished"
        hint = f"COMMIT PREPARED {literal}; or ROLLBACK PREPARED {literal};"
        found.append(warning("prepared-transactions", t.gid, detail, hint))
    return or_ok(found, "prepared-transactions", "server", "none in this database")


def check_event_triggers(triggers: Sequence[EventTrigger]) -> list[Finding]:
    found = [
        warning(
            "event-triggers", t.name, f"{t.function} runs at {t.event} of every statement that builds or renames something",
            f"Rehearse with it, or: ALTER EVENT TRIGGER {quote(t.name)} DISABLE;",
        )
        for t in triggers
    ]  # fmt: skip
    return or_ok(found, "event-triggers", "database", "none")


def check_overrides(settings: Sequence[str]) -> Finding:
    """`settings`: each as `name=value`."""
    if not settings:
        return ok("settings", "sessions", "no setting of the role or the database is in the way")
    return ok("settings", "sessions", f"overridden in swap's own sessions: {', '.join(settings)}")


def check_hook(config: Config) -> Finding:
    hook = config.hooks.pre_swap_snapshot
    if hook:
        return ok("snapshot-hook", hook[0], f"runs before a cutover, {config.hooks.timeout_s} s at most")
    hint = 'Set [hooks] pre_swap_snapshot = ["swap", "hook", "pg_dump"] (docs/hooks.md), or cut over with --no-snapshot.'
    return warning("snapshot-hook", "[hooks]", "no snapshot hook is configured: `cutover` will refuse", hint)


def check_ages(config: Config) -> list[Finding]:
    """A continuous verification opens the gates for as long as its last full pass counts."""
    every, counts = config.verify.full_pass_s, config.verify.max_age_s
    if every < counts:
        return []
    detail = f"`verify --watch` compares everything every {every} s, and a verification counts for {counts} s: between two passes no cutover and no revert is possible"
    return [warning("settings", "[verify]", detail, "Set [verify] full_pass_s below [verify] max_age_s.")]


def check_server(
    conn: Connection, server: Server, config: Config, *, state_exists: bool, running: bool, show_queries: bool = False
) -> list[Finding]:
    """The checks that do not depend on the tables. Takes no lock. `show_queries`: with the text of other sessions' queries."""
    return [
        check_version(conn.info.server_version),
        *check_session(server, conn.info.backend_pid),
        *check_database(server, state_exists=state_exists),
        *check_wal(server, config, slot_exists=running),
        *check_visibility(server, config),
        *check_long_transactions(
            read(conn, Transaction, "long_transactions.sql", seconds=LONG_TRANSACTION_S), show_queries=show_queries
        ),
        *check_prepared(read(conn, Prepared, "prepared_transactions.sql")),
        *check_event_triggers(read(conn, EventTrigger, "event_triggers.sql")),
        check_overrides(read_values(conn, "overrides.sql", names=sorted(OVERRIDDEN))),
        check_hook(config),
        *check_ages(config),
    ]
