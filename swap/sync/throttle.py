"""Backfill yields to replicas: it waits while the farthest behind replays more than `max_replica_lag_bytes` late."""

from __future__ import annotations

from swap.core.connection import Connection


def replica_lag(conn: Connection, limit_bytes: int) -> str:
    """Why to wait, or an empty string. Without pg_monitor the server shows no positions and nothing is known."""
    farthest = conn.execute(
        "SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint FROM pg_stat_replication"
        " WHERE state = 'streaming' AND replay_lsn IS NOT NULL ORDER BY replay_lsn LIMIT 1"
    ).fetchone()
    name, lag_bytes = farthest or ("", 0)
    return f"replica {name} is {lag_bytes:,} bytes behind (limit {limit_bytes:,})" if lag_bytes > limit_bytes else ""
