-- How far the stream is behind: WAL written, and time passed, since the position that it noted last.
SELECT s.slot AS name, greatest(0, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint - s.position) AS lag_bytes,
       extract(epoch FROM clock_timestamp() - s.moved_at)::float AS lag_s
FROM {stream} s WHERE s.run_id = {run}
