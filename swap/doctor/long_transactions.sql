-- Other sessions of this database that have been in one transaction for a long time.
SELECT a.pid, coalesce(a.usename, '') AS user, coalesce(a.state, '') AS state,
       extract(epoch FROM now() - a.xact_start)::float8 AS age_s, coalesce(left(a.query, 120), '') AS query
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()
  AND now() - a.xact_start > make_interval(secs => %(seconds)s)
ORDER BY a.xact_start
