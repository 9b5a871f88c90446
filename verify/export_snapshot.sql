-- The snapshot to share: its name for SET TRANSACTION SNAPSHOT, its text, and the WAL position at about that moment.
SELECT pg_export_snapshot() AS name, pg_current_snapshot()::text AS text,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn
