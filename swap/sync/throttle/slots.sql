-- The replication slot that keeps the most WAL, of any database.
SELECT slot_name::text AS name, (pg_current_wal_lsn() - restart_lsn)::bigint AS kept_bytes
FROM pg_replication_slots WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 1
