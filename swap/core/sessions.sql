-- What these sessions are doing, as blockers.sql says it.
SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(left(a.query, 200), ''),
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, coalesce(a.backend_type, ''),
       coalesce((SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.oid = a.usesysid), true)
FROM pg_stat_activity a WHERE a.pid = ANY (%(pids)s::int[]) ORDER BY a.pid
