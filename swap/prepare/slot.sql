-- A replication slot of this database, with positions as numbers. Readable by every role.
SELECT s.slot_name::text AS name, s.active_pid, s.wal_status, (s.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint AS confirmed,
       (pg_current_wal_insert_lsn() - coalesce(s.restart_lsn, s.confirmed_flush_lsn))::bigint AS retained_bytes,
       s.safe_wal_size AS left_bytes
FROM pg_replication_slots s
WHERE s.slot_name = %(name)s AND s.database = current_database() AND s.plugin = 'pgoutput'
