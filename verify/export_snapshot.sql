-- The snapshot to share, as its file name and as text, and the WAL position of about that moment.
SELECT pg_export_snapshot(), pg_current_snapshot()::text,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text
