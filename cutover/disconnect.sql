-- Sessions of before the exchange, of roles whose sessions are to end: the idle ones end here, the others are named.
SELECT a.pid, a.state = 'idle' AND pg_terminate_backend(a.pid) AS ended,
       format('pid %%s (%%s, %%s%%s)', a.pid, a.usename, a.state, coalesce(' since ' || date_trunc('second', a.xact_start)::text, '')) AS name
FROM pg_stat_activity a
WHERE a.usename = ANY (%(roles)s::text[]) AND a.datname = current_database() AND a.backend_type = 'client backend'
  AND a.backend_start < %(exchange)s AND a.pid <> pg_backend_pid() AND a.application_name NOT LIKE 'swap %%'
ORDER BY a.pid
