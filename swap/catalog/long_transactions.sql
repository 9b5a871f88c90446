SELECT a.pid, coalesce(a.usename, ''), coalesce(a.state, ''), extract(epoch FROM now() - a.xact_start)::float8,
       coalesce(left(a.query, 120), ''), a.backend_xmin::text
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()
  AND now() - a.xact_start > make_interval(secs => %(seconds)s)
ORDER BY a.xact_start
