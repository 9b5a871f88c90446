-- Who keeps a session from going on. Without pg_monitor the server hides what other roles' sessions do.
SELECT b.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(left(a.query, 200), ''),
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, coalesce(a.backend_type, ''),
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true)
FROM unnest(pg_blocking_pids(%(pid)s)) b(pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
