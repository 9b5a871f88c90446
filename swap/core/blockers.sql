-- The sessions that a session waits for. Without pg_monitor the server hides what other roles' sessions do. `own`: see OWN_CLASS in
-- swap/core/session_settings.py.
SELECT b.pid, coalesce(a.usename, '') AS user, coalesce(a.application_name, '') AS application, coalesce(a.state, '') AS state,
       coalesce(left(a.query, 200), '') AS query,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, coalesce(a.backend_type, '') AS backend_type,
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true) AS privileged,
       coalesce(a.usename = session_user AND b.pid = ANY (ARRAY(
           SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %(own_class)s AND l.objsubid = 2
           AND l.granted AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))), false) AS own
FROM unnest(pg_blocking_pids(%(pid)s)) b(pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
