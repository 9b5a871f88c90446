-- Transactions of more than a second, or of an age that is not known, that hold a lock on one of the tables. A prepared one has no process.
SELECT DISTINCT coalesce(format('pid %%s (%%s, %%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no application_name')),
                         'a prepared transaction') || format(' holds %%s', l.relation::regclass)
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY (%(oids)s::oid[])
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - interval '1 second')
ORDER BY 1
