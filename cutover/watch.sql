-- Seen from outside while a session asks for its locks: who blocks it, and how many wait behind it.
SELECT b.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(left(a.query, 200), ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, a.backend_type,
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true)
FROM unnest(pg_blocking_pids(%(pid)s)) b(pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
