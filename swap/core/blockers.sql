-- The sessions that a session waits for. Without pg_monitor the server hides what other roles' sessions do.
SELECT b.pid, coalesce(a.usename, '') AS user, coalesce(a.application_name, '') AS application, coalesce(a.state, '') AS state,
       coalesce(left(a.query, 200), '') AS query,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, coalesce(a.backend_type, '') AS backend_type,
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true) AS privileged
FROM unnest(pg_blocking_pids(%(pid)s)) b(pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
