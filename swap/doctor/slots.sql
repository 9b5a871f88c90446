-- Slots of this database with a name of this tool that no run uses, and the WAL that they keep.
SELECT s.slot_name::text AS name, s.active,
       (pg_current_wal_insert_lsn() - coalesce(s.restart_lsn, s.confirmed_flush_lsn))::bigint AS kept_bytes
FROM pg_replication_slots s
WHERE s.database = current_database() AND s.slot_name ~ '^swap_[0-9]+_[0-9]+$' AND s.slot_name <> ALL (%(used)s::text[])
ORDER BY name
