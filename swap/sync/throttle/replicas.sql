-- Every streaming replica: how far it has replayed, how late it said it was, and how far the WAL is now. Without pg_monitor the server
-- shows no positions, and no row comes.
SELECT coalesce(application_name, '') AS name, (replay_lsn - '0/0')::bigint AS replayed,
       extract(epoch FROM replay_lag)::float8 AS said_s, (pg_current_wal_lsn() - replay_lsn)::bigint AS behind_bytes
FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL ORDER BY replay_lsn
