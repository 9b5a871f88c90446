-- How far the stream is behind: WAL written since what is noted, and since when nothing was noted while there was more.
SELECT s.slot, s.position, greatest(0, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint - s.position),
       extract(epoch FROM clock_timestamp() - s.moved_at)::float
FROM {stream} s WHERE s.run_id = {run}
