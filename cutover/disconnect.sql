-- Sessions of before the exchange, of roles whose sessions are to end: the idle ones end here, the others are named.
SELECT a.pid, a.state = 'idle' AND pg_terminate_backend(a.pid) AS ended,
       format('pid %%s (%%s, %%s%%s)', a.pid, a.usename, a.state, coalesce(' since ' || date_trunc('second', a.xact_start)::text, '')) AS name
FROM pg_stat_activity a
WHERE a.usename = ANY (%(roles)s::text[]) AND a.datname = current_database() AND a.backend_type = 'client backend'
  AND a.backend_start < %(exchange)s AND a.pid <> pg_backend_pid() AND NOT (a.usename = session_user AND a.pid = ANY (ARRAY(
      SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %(own_class)s AND l.objsubid = 2
      AND l.granted AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))))
ORDER BY a.pid
