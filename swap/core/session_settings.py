"""The settings of every session: timeouts, a fixed search_path, output formats that print every bit of a value.

`row_security = off`: the server raises an error where a policy would filter rows, instead of returning fewer rows.

These settings override those of the role and the database (`ALTER ROLE … SET statement_timeout`,
`default_transaction_read_only`): a run must not depend on how the role is configured (H18).
"""

from __future__ import annotations

from psycopg import sql

SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",
    "jit": "off",  # many short statements, some of them under a lock: compiling one takes longer than running it
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "client_min_messages": "warning",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "check_function_bodies": "off",
    "default_table_access_method": "heap",
    "default_tablespace": "",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "xmloption": "content",
    "exit_on_error": "off",
    # The server's side of NETWORK: when this machine is gone, the server ends the session, with its locks, within this time.
    # Without effect on a Unix socket.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
# Settings that only newer servers know: (since which version, value).
NEWER_SETTINGS = {"transaction_timeout": (170000, "0")}

# An acknowledged commit must be durable (I5); it waits for standbys where the server is configured so. With
# session_replication_role = replica a session fires no trigger and checks no foreign key. Changing it takes a privilege, so it is
# changed only where it is set.
IF_SET = sql.SQL(
    "SELECT pg_catalog.set_config('synchronous_commit', 'local', false)"
    " WHERE pg_catalog.current_setting('synchronous_commit') = 'off';"
    "SELECT pg_catalog.set_config('session_replication_role', 'origin', false)"
    " WHERE pg_catalog.current_setting('session_replication_role') <> 'origin'"
)
OVERRIDDEN = {*SETTINGS, *NEWER_SETTINGS, "synchronous_commit", "session_replication_role", "client_encoding"}

# A server or a network that is gone is noticed within about a minute. The system's own limits are hours: a lock could be held all
# that time, or the outcome of a COMMIT stay unknown. The connection string, a service file and the environment go first.
NETWORK = {
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


# The mark of swap's own sessions: an advisory lock of this class, with a random second number. So a command knows which sessions are
# swap's, whatever they call themselves (`application_name` is for people, and any session can set it). Every role can take such a
# lock as well, so it counts only for sessions of the same role: swap/core/blockers.sql. With one number for all of them another role
# could hold that exclusively, and no session would be known. Nothing waits for it: it is a mark, and keeps nobody out.
OWN_CLASS = 0x7377616F


def set_all(server_version: int) -> sql.Composed:
    """One statement that sets SETTINGS, and those of NEWER_SETTINGS that this version knows, and marks the session as swap's."""
    settings = SETTINGS | {k: v for k, (since, v) in NEWER_SETTINGS.items() if server_version >= since}
    return sql.SQL(
        "SELECT pg_catalog.pg_try_advisory_lock({}, pg_catalog.floor(pg_catalog.random() * 2147483647)::pg_catalog.int4), {}"
    ).format(
        sql.Literal(OWN_CLASS),
        sql.SQL(", ").join(
            sql.SQL("pg_catalog.set_config({}, {}, false)").format(sql.Literal(k), sql.Literal(v)) for k, v in settings.items()
        ),
    )
