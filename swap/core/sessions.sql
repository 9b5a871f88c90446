-- These sessions, with the columns of blockers.sql.
SELECT a.pid, coalesce(a.usename, '') AS user, coalesce(a.application_name, '') AS application, coalesce(a.state, '') AS state,
       coalesce(left(a.query, 200), '') AS query,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, coalesce(a.backend_type, '') AS backend_type,
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true) AS privileged,
       coalesce(a.usename = session_user AND a.pid = ANY (ARRAY(
           SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %(own_class)s AND l.objsubid = 2
           AND l.granted AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))), false) AS own
FROM pg_stat_activity a WHERE a.pid = ANY (%(pids)s::int[]) ORDER BY a.pid
