"""What `swap init` writes beside each key of the file that it makes."""

from __future__ import annotations

COMMENTS = {
    "shadow": "the table that is built beside the source",
    "retired": "the old table after the cutover, until `finalize`",
    "legacy_key": "the integer key's column after the cutover",
    "state_schema": "swap keeps its own state here",
    "compat": "after the cutover the uuids also answer to their names of before it, until `finalize`",
    "resolver_roles": "roles that may call swap.TABLE_uuid(bigint) and swap.TABLE_legacy(uuid), past row security",
    "mode": "how changes are captured: by triggers, or from the WAL (wal_level = logical, REPLICATION)",
    "jobs": "sessions that copy and build indexes at once",
    "max_jobs": "jobs go up to this, and down where the application's commits become slow",
    "max_slowdown": "with max_jobs: so many times slower than before the backfill is slow",
    "chunk_target_ms": "how long one backfill transaction should take",
    "max_replica_lag_bytes": "the backfill waits while a replica is further behind",
    "max_replica_lag_s": "`sync` waits while a replica is later",
    "max_load": "... while more sessions of others are active",
    "max_lock_waits": "... while more sessions of others wait for a lock",
    "max_wal_bytes_per_s": "... while more WAL is written",
    "max_slot_wal_bytes": "... while a replication slot keeps more WAL",
    "min_free_disk_bytes": "... while less disk is free",
    "free_disk_command": "prints the bytes that are free; else a server on this machine is asked",
    "query": "... while it is true, or a number above query_max",
    "query_max": "see query",
    "flag_file": "... while this file is there",
    "url": "... until this answers 200",
    "window": "the build keeps to this time of day",
    "max_age_s": "`cutover` refuses a verification older than this",
    "full_pass_s": "`verify --watch` compares everything this often, changed keys in between",
    "snapshot_max_s": "a verification that takes longer goes on in another snapshot",
    "lock_timeout_ms": "longest wait for a lock; other sessions queue behind it for as long",
    "max_attempts": "how often `cutover` tries for its locks",
    "max_lock_hold_ms": "past this a cutover rolls back and is tried again",
    "kill_blockers": "never | idle-in-transaction | all: sessions that `cutover` may end",
    "disconnect_clients": "roles whose idle sessions end after the exchange",
    "reads": "exact: reads with a snapshot from before the exchange are told to retry; by default exact if the role sees these snapshots",
    "require_rehearsal": "`cutover` refuses without the report of a rehearsal (--require-rehearsal FILE)",
    "max_rehearsal_age_s": "`cutover` refuses a rehearsal older than this",
}
EXAMPLES: dict[str, object] = {
    "max_jobs": 8, "max_replica_lag_s": 30, "max_load": 40, "max_lock_waits": 5, "max_wal_bytes_per_s": 50_000_000,
    "max_slot_wal_bytes": 10_000_000_000, "min_free_disk_bytes": 50_000_000_000,
    "free_disk_command": ["/usr/local/bin/free-bytes"], "query": "SELECT count(*) FROM public.jobs WHERE late",
    "reads": "fast", "flag_file": "/run/swap.wait", "url": "http://localhost:8080/may-go-on", "window": "22:00-05:00 Europe/Berlin",
}  # fmt: skip
"""Of keys that have no default."""
