-- Bytes of WAL that a standby still has to replay to reach a position: zero or less once it has.
SELECT pg_wal_lsn_diff(%(lsn)s::text::pg_lsn, pg_last_wal_replay_lsn())::bigint
