SELECT current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication)::int
