-- Walsenders: how many there can be, and how many are in use.
SELECT current_setting('max_wal_senders')::int AS most, (SELECT count(*) FROM pg_stat_replication)::int AS used
